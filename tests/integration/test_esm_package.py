"""The examples of the emulator's README, run as they are written by its wheel, in another project and another environment.

Nothing is fetched: what the package requires is linked into that environment from the one that runs the tests, and nothing else is.
"""

import json
import os
import re
import runpy
import shlex
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer

from infra.stack.ports import free_port
from tests.support.eventually import eventually
from tests.support.lambda_api import Answer, lambda_api
from tests.support.packages import ROOT, SOURCE, Environment, blocks, build_wheel, install
from tests.support.servers import KafkaBroker
from tests.support.tools import TOOLS

README = SOURCE / "README.md"
RULES = ROOT / "infra" / "docs" / "event-source-mapping.md"
SAM, MINISTACK = "127.0.0.1:3001", "127.0.0.1:4566"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    before = sorted(SOURCE.rglob("*"))
    built = build_wheel(tmp_path_factory.mktemp("wheel"))
    assert [path for path in sorted(SOURCE.rglob("*")) if "__pycache__" not in path.parts and path not in before] == []
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return install(wheel, tmp_path_factory.mktemp("environment"), "aws")


@pytest.fixture
def project(tmp_path: Path, bare_kafka: KafkaBroker) -> Path:
    """Another project, with the example's files."""
    for _, name, text in blocks(README):
        if name and "." in name:
            (tmp_path / name).write_text(text.replace("127.0.0.1:9092", bare_kafka.bootstrap))
    return tmp_path


def example(name: str, environment: Environment, addresses: dict[str, str]) -> list[Sequence[str]]:
    """The commands of an example, but for the one that starts a server, on this machine's ports."""
    [text] = [text for language, called, text in blocks(README) if language == "sh" and called == name]
    for written, here in addresses.items():
        text = text.replace(written, here)
    programs = {"python": str(environment.python), "kafka-event-source-mapping": str(environment.command)}
    lines = [shlex.split(line) for line in text.splitlines() if not re.search(r" &( |$)", line)]
    return [[programs[program], *arguments] for program, *arguments in lines]


def variables(**others: str) -> dict[str, str]:
    """Those of this process, without what would let the package find this project or an account."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "AWS_"))} | others


@contextmanager
def running(commands: list[Sequence[str]], project: Path, extra: Path | None = None) -> Iterator[Path]:
    """The commands, the last of which goes on while the block runs and ends well; its log. They find the packages of `extra`."""
    own = variables(PYTHONPATH=str(extra)) if extra else variables()
    *first, last = commands
    for command in first:
        subprocess.run(command, cwd=project, env=own, check=True, timeout=60)
    log = project / "log"
    with log.open("w") as output, subprocess.Popen(last, cwd=project, env=own, stderr=output) as emulator:
        try:
            yield log
            emulator.send_signal(signal.SIGTERM)
            assert emulator.wait(10) == 0
        finally:
            emulator.kill()


def read(bootstrap: str, topic: str) -> Any:
    """The first message of a topic, read from JSON."""
    consumer = KafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=60_000)
    try:
        return json.loads(next(consumer).value)
    finally:
        consumer.close()


def check_failed(failed: Any) -> None:
    """What the README says of the payment that nobody takes."""
    assert failed["requestContext"]["approximateInvokeCount"] == 3
    assert [record["offset"] for record in failed["payload"]["records"]["payments-0"]] == [2]


def test_a_handler_of_another_project_is_run_as_the_readme_says(project: Path, installed: Environment, bare_kafka: KafkaBroker) -> None:
    with running(example("handler", installed, {}), project) as log:
        check_failed(read(bare_kafka.bootstrap, "payments-failed"))
        eventually(lambda: "taken: cust_1 pays 5" in log.read_text().splitlines(), what="the first payment")

    assert "cust_2" not in log.read_text()


@pytest.mark.rule("endpoint-invoke")
def test_a_function_behind_an_invoke_endpoint_is_called_as_the_readme_says(
    project: Path, installed: Environment, bare_kafka: KafkaBroker
) -> None:
    handle = runpy.run_path(str(project / "payments.py"))["handle"]
    with (
        lambda_api(lambda event: Answer(handle(event, None)), timeout=None) as api,
        running(example("sam", installed, {SAM: api.url.removeprefix("http://")}), project, installed.extra),
    ):
        check_failed(read(bare_kafka.bootstrap, "payments-failed"))

    assert {called[:2] for called in api.invoked} == {("on-payments", None)}


def test_without_boto3_an_endpoint_is_refused_and_the_extra_named(project: Path, installed: Environment) -> None:
    *_, command = example("sam", installed, {})

    ended = subprocess.run(command, cwd=project, env=variables(), capture_output=True, text=True, timeout=20, check=False)

    assert ended.returncode == 1
    assert ended.stderr == "--lambda-endpoint needs boto3: install kafka-event-source-mapping[aws]\n"


def test_the_documented_call_in_code_works(project: Path, installed: Environment) -> None:
    [code] = [text for language, name, text in blocks(RULES) if language == "python" and not name]
    command = [installed.python, "-c", f"{code}print(answer)"]

    ended = subprocess.run(command, cwd=project, env=variables(), capture_output=True, text=True, timeout=30, check=False)

    assert (ended.stdout, ended.stderr) == ("{'batchItemFailures': []}\n", "")


@pytest.fixture
def ministack(tmp_path: Path) -> Iterator[str]:
    """MiniStack's address; it ends with all that it started."""
    port = free_port()
    own = variables(
        BIND_HOST="127.0.0.1",
        GATEWAY_PORT=str(port),
        IOT_MTLS_ENABLED="0",
        LAMBDA_EXECUTOR="local",
        TMPDIR=str(tmp_path),
        HOME=str(tmp_path),
    )
    with (
        (tmp_path / "ministack.log").open("w") as log,
        subprocess.Popen([TOOLS["ministack"].file], env=own, stdout=log, stderr=log, start_new_session=True) as server,
    ):
        try:
            eventually(lambda: _listens(port), what="MiniStack")
            yield f"127.0.0.1:{port}"
        finally:
            os.killpg(server.pid, signal.SIGKILL)


@pytest.mark.tool("ministack")
@pytest.mark.rule("endpoint-whole")
def test_a_function_in_ministack_is_called_as_the_readme_says(
    project: Path, installed: Environment, ministack: str, bare_kafka: KafkaBroker
) -> None:
    deploy = project / "deploy.py"
    deploy.write_text(deploy.read_text().replace(MINISTACK, ministack))
    with running(example("ministack", installed, {MINISTACK: ministack}), project, installed.extra):
        check_failed(read(bare_kafka.bootstrap, "payments-failed"))

    assert "taken: cust_1 pays 5" in (project / "ministack.log").read_text()


def _listens(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0
