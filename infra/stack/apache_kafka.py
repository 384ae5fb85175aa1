"""Apache Kafka itself, one node in KRaft mode, from Maven Central's jars and with the settings of docker-compose.yml."""

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from infra.console import complain, say
from infra.stack.broker import BrokerError, check_reachable
from infra.stack.files import make_private_folder
from infra.stack.logfile import LogFile
from infra.stack.ports import HOST, accepts, free_port, refusal
from infra.stack.process import ServerCommand, ServerProcess, last_lines
from infra.stack.settings import data_dir

ROOT = Path(__file__).resolve().parents[2]
COMPOSE = ROOT / "docker-compose.yml"
JARS = ROOT / ".tools" / "kafka"
OLDEST_JAVA = 17
START_PATIENCE_SECONDS = 60.0
# One that was killed first reads its log, on a machine that has other work.
RESTART_PATIENCE_SECONDS = 300.0
INSTALL_PATIENCE_SECONDS = 600.0
COPY_JARS = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
# Kafka's own jars bring Log4j but not what lets SLF4J find it.
POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>campusg</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{version}</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.24.3</version></dependency>
  </dependencies>
</project>
"""


class ApacheKafka:
    """One node with its data in `folder`, reached by clients at `port`. The service `kafka` of docker-compose.yml says all else."""

    def __init__(self, folder: Path, port: int, service: Mapping[str, Any]) -> None:
        """Nothing is written or started yet."""
        self._folder = folder.absolute()
        self._version = version_of(service)
        self._environment = {name: str(value) for name, value in service["environment"].items()}
        self.port = port

    @property
    def bootstrap(self) -> str:
        """What a client is given as bootstrap server."""
        return f"{HOST}:{self.port}"

    def prepare(self) -> None:
        """Write its settings and make its storage, once."""
        make_private_folder(self._folder)
        ports = {name: self.port if name == "HOST" else free_port() for name in _names(self._environment["KAFKA_LISTENERS"])}
        properties = server_properties(self._environment, self._folder / "data", ports)
        self._properties.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        format_storage = ["format", "--ignore-formatted", "--cluster-id", self._environment["CLUSTER_ID"]]
        arguments = [*java(self._version), "kafka.tools.StorageTool", *format_storage, "--config", str(self._properties)]
        formatted = subprocess.run(arguments, capture_output=True, text=True, check=False)
        if formatted.returncode:
            raise BrokerError(f"Apache Kafka's storage can't be made:\n{formatted.stdout}{formatted.stderr}")

    def command(self) -> ServerCommand:
        """How it is started."""
        return ServerCommand(
            arguments=[*java(self._version, "-Xmx512m"), "kafka.Kafka", str(self._properties)],
            environment={"PATH": os.environ.get("PATH", os.defpath)},
        )

    @property
    def _properties(self) -> Path:
        return self._folder / "server.properties"


def kafka_service(environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """The service `kafka` of docker-compose.yml, its variables replaced as Compose does: in its texts, whatever a variable holds."""
    service: dict[str, Any] = _replaced(yaml.safe_load(COMPOSE.read_text())["services"]["kafka"], environment)
    return service


def _replaced(value: Any, environment: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _replaced(each, environment) for name, each in value.items()}
    if isinstance(value, list):
        return [_replaced(each, environment) for each in value]
    if isinstance(value, str):
        return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda match: environment.get(match[1]) or match[2], value)
    return value


def server_properties(environment: Mapping[str, str], data: Path, ports: Mapping[str, int]) -> dict[str, str]:
    """The node's settings from its container's environment, named as the image names them.

    What differs: `data` is the folder of the log, and every listener is at 127.0.0.1, with the port of its name.
    """
    settings = {name.removeprefix("KAFKA_"): value for name, value in environment.items() if name.startswith("KAFKA_")}
    properties = {name.lower().replace("_", "."): value for name, value in settings.items()}
    for name in ("listeners", "advertised.listeners"):
        properties[name] = ",".join(f"{each}://{HOST}:{ports[each]}" for each in _names(properties[name]))
    controller = ports[properties["controller.listener.names"]]
    properties["controller.quorum.voters"] = f"{properties['node.id']}@{HOST}:{controller}"
    properties["log.dirs"] = str(data)
    return properties


def _names(listeners: str) -> list[str]:
    return [each.partition("://")[0] for each in listeners.split(",")]


def version_of(service: Mapping[str, Any]) -> str:
    """The version of the image, and so of the jars."""
    return str(service["image"]).rpartition(":")[2]


def java(version: str, *options: str) -> list[str]:
    """Java with the jars of one version of Kafka."""
    return [shutil.which("java") or "java", *options, "-cp", f"{JARS / version}/*"]


def install(service: Mapping[str, Any]) -> None:
    """Have Maven fetch the jars unless they are there; raises BrokerError saying what is missing."""
    version = version_of(service)
    missing = missing_tools()
    if missing:
        raise BrokerError(f"Apache Kafka needs {' and '.join(missing)}; `docker compose up` and `make run` do without")
    jars = JARS / version
    if jars.exists():
        return
    say(f"Maven fetches Apache Kafka {version}")
    fetched = JARS / f"{version}.{os.getpid()}"
    make_private_folder(JARS)
    make_private_folder(fetched)
    try:
        pom = fetched / "pom.xml"
        pom.write_text(POM.format(version=version))
        maven = ["mvn", "--quiet", "--batch-mode", f"--file={pom}", COPY_JARS, "-DincludeScope=runtime", f"-DoutputDirectory={fetched}"]
        done = subprocess.run(maven, capture_output=True, text=True, check=False, timeout=INSTALL_PATIENCE_SECONDS)
        if done.returncode:
            raise BrokerError(f"Maven does not bring Apache Kafka {version}:\n{done.stdout}{done.stderr}")
        fetched.replace(jars)
    finally:
        shutil.rmtree(fetched, ignore_errors=True)


def missing_tools() -> list[str]:
    """What of Java and Maven is not at hand."""
    maven = [] if shutil.which("mvn") else ["Maven (mvn)"]
    needed = f"Java {OLDEST_JAVA} or newer"
    java = shutil.which("java")
    if java is None:
        return [needed, *maven]
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(?:1\.)?(\d+)', told)
    return maven if version and int(version[1]) >= OLDEST_JAVA else [needed, *maven]


def start_kafka(
    folder: Path, port: int, log: Path, service: Mapping[str, Any], patience: float = START_PATIENCE_SECONDS
) -> tuple[ApacheKafka, ServerProcess]:
    """Start Apache Kafka and wait until it answers; the caller stops the process. The jars of its version must be there: `install`.

    Raises BrokerError with the end of its log if it doesn't answer within `patience` seconds, or if the port is taken.
    """
    if (reason := refusal(port)) is not None:
        raise BrokerError(f"KAFKA_PORT: {HOST}:{port} can't be used: {reason}")
    kafka = ApacheKafka(folder, port, service)
    kafka.prepare()
    output = LogFile(log)
    process = ServerProcess(kafka.command(), output)
    deadline = time.monotonic() + patience
    try:
        while not accepts(HOST, port):
            if process.exit_code is not None or time.monotonic() > deadline:
                raise BrokerError(f"Apache Kafka did not start:\n{last_lines(output)}")
            time.sleep(0.05)
        check_reachable(kafka.bootstrap, max(1.0, deadline - time.monotonic()))
    except BaseException:
        process.stop()
        raise
    return kafka, process


def run() -> int:
    """Keep Apache Kafka running until Ctrl-C or SIGTERM, its data in DATA_DIR; return the exit code.

    One that has been there and has ended is started again, without limit, as everything of `make run` is.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    service = kafka_service()
    folder = data_dir() / "apache-kafka"
    log = folder / "kafka.log"
    port = int(str(service["environment"]["KAFKA_ADVERTISED_LISTENERS"]).partition(",")[0].rpartition(":")[2])
    start = partial(start_kafka, folder, port, log, service)
    again = partial(start, patience=RESTART_PATIENCE_SECONDS)
    process: ServerProcess | None = None
    try:
        install(service)
        make_private_folder(folder)
        say(f"Apache Kafka {version_of(service)} starts")
        kafka, process = start()
        while True:
            say(f"Apache Kafka {version_of(service)} runs until Ctrl-C; its log is {log}", f"KAFKA_BROKERS={kafka.bootstrap}")
            while process.exit_code is None:
                time.sleep(0.2)
            complain("make kafka: Apache Kafka has ended by itself and is started again", *last_lines(LogFile(log)).split("\n"))
            process = _started_again(again)
    except BrokerError as error:
        complain(*f"make kafka: {error}".split("\n"))
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        if process is not None:
            process.stop()


def _started_again(start: Callable[[], tuple[ApacheKafka, ServerProcess]]) -> ServerProcess:
    while True:
        try:
            return start()[1]
        except BrokerError as error:
            complain(*f"make kafka: {error}; it is started once more".split("\n"))


def fetch() -> int:
    """Fetch the jars; return the exit code."""
    try:
        install(kafka_service())
    except BrokerError as error:
        complain(*f"make kafka-jars: {error}".split("\n"))
        return 1
    return 0
