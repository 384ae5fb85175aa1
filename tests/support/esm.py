"""Helpers for the tests of the event source mapping emulator."""

import threading
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from infra.esm.destinations import Destination
from infra.esm.endpoint import EndpointFunction
from infra.esm.feed import Cluster
from infra.esm.invoke import Function
from infra.esm.mapping import EventSourceMapping
from infra.esm.poller import Poller
from infra.esm.readings import DEFAULT, Readings
from infra.esm.retry import Backoff
from infra.stack.broker import ensure_topics
from tests.support.eventually import eventually

# How long a failed batch waits in tests.
SOON = Backoff(0.05, 0.2)


@dataclass(frozen=True)
class FakeRecord:
    """A record as a Kafka client hands it out."""

    topic: str = "orders"
    partition: int = 0
    offset: int = 0
    timestamp: int = 1545084650987
    timestamp_type: int = 0
    key: bytes | None = None
    value: bytes | None = b"v"
    headers: tuple[tuple[str, bytes | None], ...] = ()


class Recorder:
    """A Lambda function that keeps what it was given and reacts as it is told."""

    def __init__(self, react: Callable[[Any], Any] = lambda event: None) -> None:
        self.events: list[Any] = []
        self.react = react

    def __call__(self, event: Any, context: Any) -> Any:
        self.events.append(event)
        return self.react(event)

    @property
    def batches(self) -> list[list[tuple[int, int]]]:
        """For each invocation, the partition and offset of its records."""
        return [[(record["partition"], record["offset"]) for record in records_of(event)] for event in self.events]

    @property
    def places(self) -> list[tuple[int, int]]:
        """Partition and offset of all records, in the order of delivery."""
        return [place for batch in self.batches for place in batch]

    @property
    def values(self) -> list[bytes]:
        """The values of all records, in the order of delivery."""
        return [b64decode(record["value"]) for event in self.events for record in records_of(event)]


def calls(folder: Path) -> list[str]:
    """The lines that functions in another process noted in the folder's `calls.log`."""
    log = folder / "calls.log"
    return log.read_text().splitlines() if log.exists() else []


def records_of(event: Any) -> list[Any]:
    """All records of an event."""
    return [record for records in event["records"].values() for record in records]


def failed(topic: str, *places: tuple[int, int]) -> dict[str, Any]:
    """A partial batch response that reports these partitions and offsets."""
    return {"batchItemFailures": [{"itemIdentifier": {"partition": f"{topic}-{number}", "offset": offset}} for number, offset in places]}


class Topic:
    """A topic of its own on a running broker, with a consumer group and a producer."""

    def __init__(self, bootstrap: str, partitions: int, name: str = "") -> None:
        self.bootstrap = bootstrap
        self.name = name or f"topic-{uuid4().hex[:12]}"
        self.group = f"group-{self.name}"
        self.partitions = partitions
        self.make()
        # Without idempotence, whose numbers a broker that was killed does not know any more.
        self._producer = KafkaProducer(
            bootstrap_servers=bootstrap, linger_ms=20, acks="all", enable_idempotence=False, max_in_flight_requests_per_connection=1
        )

    def make(self) -> None:
        """Create it, unless it exists."""
        ensure_topics(self.bootstrap, {self.name: self.partitions})

    def close(self) -> None:
        self._producer.close()

    def write(self, *values: bytes | None, partition: int = 0, **options: Any) -> None:
        """Append records and wait until the broker has them: a killed one may lead again only when its old session is over."""
        sent = [self._producer.send(self.name, value, partition=partition, **options) for value in values]
        for future in sent:
            future.get(60)

    def fill(self, records: Iterable[tuple[int, bytes, bytes]]) -> None:
        """Append many records, each with its partition, key and value, and wait until the broker has all."""
        sent = [self._producer.send(self.name, value, key=key, partition=partition) for partition, key, value in records]
        for future in sent:
            future.get(60)

    def ends(self) -> dict[int, int]:
        """The end offset of each partition."""
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap)
        try:
            ends = consumer.end_offsets([TopicPartition(self.name, number) for number in range(self.partitions)])
            return {partition.partition: end for partition, end in ends.items()}
        finally:
            consumer.close()

    def committed(self) -> dict[int, int | None]:
        """The group's committed offset of each partition."""
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, group_id=self.group, enable_auto_commit=False)
        try:
            return {number: consumer.committed(TopicPartition(self.name, number)) for number in range(self.partitions)}
        finally:
            consumer.close()

    def mapping(self, **parameters: Any) -> EventSourceMapping:
        """A mapping of this topic that delivers at once."""
        values: dict[str, Any] = {
            "function_name": "recorder",
            "topics": (self.name,),
            "starting_position": "TRIM_HORIZON",
            "consumer_group_id": self.group,
            "maximum_batching_window_in_seconds": 0,
        }
        return EventSourceMapping(**(values | parameters))


@contextmanager
def polling(
    mapping: EventSourceMapping,
    handler: Callable[[Any, Any], Any] | EndpointFunction,
    bootstrap: str,
    readings: Readings = DEFAULT,
    destination: Destination | None = None,
    commit_seconds: float = 0.0,
    backoff: Backoff = SOON,
) -> Iterator[Poller]:
    """A poller at work while the block runs; it ends in good order."""
    function = handler if isinstance(handler, EndpointFunction) else Function(mapping.function_name, handler, 30)
    poller = Poller(mapping, function, Cluster(bootstrap, commit_seconds), backoff, readings, destination=destination)
    thread = threading.Thread(target=poller.run, daemon=True)
    thread.start()
    try:
        eventually(poller.positioned.is_set, what="a position")
        yield poller
    finally:
        poller.stop()
        thread.join(10)
    assert not thread.is_alive()
