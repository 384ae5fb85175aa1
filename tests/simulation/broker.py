"""A broker in memory, and a producer to it that loses, delays and repeats."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from chalicelib.errors import Unavailable
from chalicelib.messages.envelope import Incoming, Outgoing
from chalicelib.messages.topics import ORDER_EVENTS, ORDERS_DLQ, PARTITIONS
from tests.simulation.scheduler import Scheduler
from tests.support.saga_language import header

REST_SECONDS = 5.0


class NotAcknowledged(OSError):
    """Nobody knows whether the record arrived."""


@dataclass
class Broker:
    """Partitions, committed offsets, and what was wrong about what arrived."""

    logs: dict[tuple[str, int], list[Incoming]] = field(default_factory=dict)
    committed: dict[tuple[str, str, int], int] = field(default_factory=dict)
    down: bool = False
    wrongs: list[str] = field(default_factory=list)
    versions: dict[bytes, int] = field(default_factory=dict)
    first: dict[str, Outgoing] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.logs = {(topic, number): [] for topic, count in PARTITIONS.items() for number in range(count)}

    def append(self, message: Outgoing) -> None:
        """A record arrives; the first copies of an order's events must come in order."""
        partition = crc32(message.key or b"") % PARTITIONS[message.topic]
        log = self.logs[message.topic, partition]
        log.append(Incoming(message.topic, partition, len(log), message.key, message.value, message.headers))
        if message.topic == ORDER_EVENTS:
            self._event(message)
        elif message.topic != ORDERS_DLQ:
            self._first_or_equal(f"command or reply {header(message, 'ce_id')}", message)

    def _event(self, message: Outgoing) -> None:
        key, version = message.key or b"", int(header(message, "ce_sequence"))
        seen = self.versions.get(key, 0)
        if version > seen + 1:
            self.wrongs.append(f"of order {key.decode()[-4:]} event {version} arrives behind event {seen}")
        self.versions[key] = max(seen, version)
        self._first_or_equal(f"event {version} of {key.decode()}", message)

    def _first_or_equal(self, what: str, message: Outgoing) -> None:
        """Every copy of a message is the first one, to the byte."""
        if self.first.setdefault(what, message) != message:
            self.wrongs.append(f"a copy of {header(message, 'ce_type')} differs from the first one")

    def records(self, group: str, topic: str, partition: int, most: int) -> list[Incoming]:
        """What a group has not committed yet, the oldest first."""
        begin = self.committed.get((group, topic, partition), 0)
        return self.logs[topic, partition][begin : begin + most]

    def commit(self, group: str, topic: str, partition: int, offset: int) -> None:
        """Note that a group has taken everything before that offset. Of several consumers the slower may set it back."""
        self.committed[group, topic, partition] = offset

    def taken(self, group: str, topic: str) -> bool:
        return all(self.committed.get((group, topic, number), 0) >= len(self.logs[topic, number]) for number in range(PARTITIONS[topic]))


class Producer:
    """What `chalicelib.messaging.producer.Producer` promises, over the broker in memory."""

    def __init__(self, scheduler: Scheduler, broker: Broker) -> None:
        self._scheduler, self._broker = scheduler, broker
        self._rests_until = 0.0

    @property
    def resting(self) -> bool:
        return self._scheduler.now < self._rests_until

    def send(self, messages: Sequence[Outgoing], _timeout: float) -> list[Exception | None]:
        self._scheduler.point("before it reaches the broker")
        if self._broker.down:
            self._rests_until = self._scheduler.now + REST_SECONDS
            raise Unavailable("the broker is away")
        outcomes = [self._sent(message) for message in messages]
        if any(outcomes):
            self._rests_until = self._scheduler.now + REST_SECONDS
        return outcomes

    def _sent(self, message: Outgoing) -> Exception | None:
        scheduler, trouble = self._scheduler, self._scheduler.trouble
        scheduler.point(f"before it sends {header_or(message)}")
        if scheduler.chance(trouble.lost_records):
            scheduler.tell(f"{header_or(message)} is lost")
            return NotAcknowledged("lost")
        if scheduler.chance(trouble.late_records):
            scheduler.tell(f"{header_or(message)} is delayed")
            scheduler.later(scheduler.random.uniform(0.1, 30), lambda: self._broker.append(message))
            return NotAcknowledged("delayed")
        self._broker.append(message)
        scheduler.tell(f"sends {header_or(message)}")
        scheduler.point(f"after it has sent {header_or(message)}")
        return NotAcknowledged("the acknowledgement is lost") if scheduler.chance(trouble.lost_acknowledgements) else None


def header_or(message: Outgoing) -> str:
    """A message as a trace names it."""
    headers = dict(message.headers)
    return f"{headers.get('ce_type', b'?').decode()} {headers.get('ce_sequence', b'').decode()} of {(message.key or b'').decode()[-4:]}"


def lambda_event(batch: Sequence[Incoming]) -> dict[str, Any]:
    """The records as Lambda hands them over."""

    def text(value: bytes | None) -> str | None:
        return None if value is None else base64.b64encode(value).decode()

    records: dict[str, list[dict[str, Any]]] = {}
    for record in batch:
        headers = [{name: list(value)} for name, value in record.headers]
        place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
        records.setdefault(f"{record.topic}-{record.partition}", []).append(
            {**place, "key": text(record.key), "value": text(record.value), "headers": headers}
        )
    return {"records": records}
