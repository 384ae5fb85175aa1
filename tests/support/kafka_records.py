"""Kafka records by hand: what partners would answer, as Lambda hands it over, and what a topic really holds."""

import base64
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from kafka import KafkaConsumer, TopicPartition

from chalicelib.messages.replies import REPLIES

OFFSETS = itertools.count()
Data = Mapping[str, Any]


@dataclass(frozen=True)
class Sent:
    """A message of the service, as its row, or the topic, holds it."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]

    def header(self, name: str) -> str:
        return dict(self.headers)[name].decode()

    @property
    def id(self) -> str:
        return self.header("ce_id")

    @property
    def type(self) -> str:
        return self.header("ce_type")

    @property
    def saga_id(self) -> str:
        return self.header("ce_sagaid")

    @property
    def data(self) -> Any:
        return json.loads(self.value or b"null")


@dataclass(frozen=True)
class Record:
    """A record of a partner's topic. `lambda_event` wraps it up."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    partition: int = 0
    offset: int = field(default_factory=lambda: next(OFFSETS))

    def without(self, *names: str) -> "Record":
        return replace(self, headers=tuple(header for header in self.headers if header[0] not in names))

    def having(self, **headers: str) -> "Record":
        """The record with these headers in place of its own of the same name."""
        kept = self.without(*headers).headers
        return replace(self, headers=(*kept, *((name, value.encode()) for name, value in headers.items())))

    def again(self) -> "Record":
        """The same message once more, at a place of its own."""
        return replace(self, offset=next(OFFSETS))

    @property
    def place(self) -> tuple[str, int]:
        return f"{self.topic}-{self.partition}", self.offset


ANSWERS: dict[str, tuple[str, Callable[[Data], Data]]] = {
    "user.validate_customer": ("user.customer_validated", lambda asked: {"customerId": asked["customerId"], "paymentMethodId": "pm_1"}),
    "payment.authorize": (
        "payment.authorized",
        lambda asked: {"orderId": asked["orderId"], "paymentId": f"pay_{asked['orderId']}", "amount": asked["amount"]},
    ),
    "payment.release": ("payment.released", lambda asked: dict(asked)),
    "escrow.hold": (
        "escrow.held",
        lambda asked: {"orderId": asked["orderId"], "escrowId": f"esc_{asked['orderId']}", "amount": asked["amount"]},
    ),
    "escrow.refund": ("escrow.refunded", lambda asked: {**asked, "amount": "12.99" if "escrowId" in asked else "0.00"}),
}
REFUSALS: dict[str, tuple[str, Callable[[Data], Data]]] = {
    "user.validate_customer": ("user.customer_rejected", lambda asked: {"customerId": asked["customerId"], "reason": "unknown"}),
    "payment.authorize": ("payment.declined", lambda asked: {"orderId": asked["orderId"], "reason": "no funds"}),
    "escrow.hold": ("escrow.hold_failed", lambda asked: {"orderId": asked["orderId"], "reason": "frozen"}),
}


def answer(command: Sent, **changes: Any) -> Record:
    """What a willing partner says to a command; `changes` replace fields of its data."""
    return _reply(command, *ANSWERS[command.type], changes)


def refusal(command: Sent, **changes: Any) -> Record:
    """What an unwilling partner says."""
    return _reply(command, *REFUSALS[command.type], changes)


def _reply(command: Sent, type: str, data: Callable[[Data], Data], changes: Data) -> Record:
    headers = {
        "ce_specversion": "1.0",
        "ce_id": str(uuid4()),
        "ce_type": type,
        "ce_source": "/campusg/partner",
        "content-type": "application/json",
        "ce_sagaid": command.saga_id,
        "ce_causationid": command.id,
    }
    value = json.dumps({**data(command.data), **changes}).encode()
    return Record(REPLIES[type].TOPIC, command.key, value, tuple((name, text.encode()) for name, text in headers.items()))


def lambda_event(*records: Record) -> dict[str, Any]:
    """The records as AWS Lambda gives those of a self-managed Kafka to a function."""
    partitions: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        partitions.setdefault(record.place[0], []).append(_wrapped(record))
    return {"eventSource": "SelfManagedKafka", "bootstrapServers": "127.0.0.1:9092", "records": partitions}


def _wrapped(record: Record) -> dict[str, Any]:
    wrapped: dict[str, Any] = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": 1_790_000_000_000,
        "timestampType": "CREATE_TIME",
        "headers": [{name: [byte - 256 if byte > 127 else byte for byte in value]} for name, value in record.headers],
    }
    parts = {"key": record.key, "value": record.value}
    return wrapped | {name: base64.b64encode(part).decode() for name, part in parts.items() if part is not None}


def failed_places(response: Mapping[str, Any]) -> list[tuple[str, int]]:
    """What a partial batch response asks for again."""
    identifiers = [failure["itemIdentifier"] for failure in response["batchItemFailures"]]
    return [(identifier["partition"], identifier["offset"]) for identifier in identifiers]


@contextmanager
def _reading(bootstrap: str, topic: str) -> Iterator[KafkaConsumer]:
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    try:
        consumer.assign([TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic))])
        yield consumer
    finally:
        consumer.close()


def on_topic(bootstrap: str, topic: str) -> list[Sent]:
    """All that a topic holds just now, each partition in its order."""
    with _reading(bootstrap, topic) as consumer:
        partitions: Sequence[TopicPartition] = sorted(consumer.assignment())
        ends = consumer.end_offsets(partitions)
        consumer.seek_to_beginning(*partitions)
        found: dict[TopicPartition, list[Sent]] = {partition: [] for partition in partitions}
        while any(consumer.position(partition) < ends[partition] for partition in partitions):
            for partition, records in consumer.poll(timeout_ms=1000).items():
                found[partition] += [Sent(topic, record.key, record.value, tuple(record.headers)) for record in records]
        return [each for partition in partitions for each in found[partition]]
