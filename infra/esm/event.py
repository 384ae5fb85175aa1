"""From Kafka records to the text of the event that Lambda hands to a function.

The event is documented in the AWS Lambda developer guide ("Using Lambda with Amazon MSK", "… with self-managed Apache Kafka").
"""

import json
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from .readings import DEFAULT, Readings

# The oldest message format has no time; Kafka's client calls that NO_TIMESTAMP_TYPE, and the time -1.
TIMESTAMP_TYPES = {None: "NO_TIMESTAMP_TYPE", 0: "CREATE_TIME", 1: "LOG_APPEND_TIME"}
NO_TIMESTAMP = -1


class KafkaRecord(Protocol):
    """A record as a Kafka client hands it out; `timestamp` is in milliseconds, `timestamp_type` Kafka's 0 or 1, or both are None."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int | None: ...
    @property
    def timestamp_type(self) -> int | None: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...


class Source(Protocol):
    """What an event says of the mapping that it comes by."""

    @property
    def topic(self) -> str: ...
    @property
    def event_source_arn(self) -> str | None: ...


class EncodedRecord(NamedTuple):
    """A record as it will stand in the event, and where it came from; `timestamp` is in milliseconds, -1 if it has none."""

    partition: int
    offset: int
    text: str
    timestamp: int


def encode_record(record: KafkaRecord, readings: Readings = DEFAULT) -> EncodedRecord:
    """The record's JSON; `readings` say how an absent key, value or header value stands in it."""
    timestamp = NO_TIMESTAMP if record.timestamp is None else record.timestamp
    fields: dict[str, Any] = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": timestamp,
        "timestampType": TIMESTAMP_TYPES.get(record.timestamp_type, "CREATE_TIME"),
    }
    if record.key is not None or readings.null_key != "omit":
        fields["key"] = _base64(record.key, "" if readings.null_key == "empty" else None)
    if record.value is not None or readings.null_value != "omit":
        fields["value"] = _base64(record.value, None)
    absent: list[int] | None = [] if readings.null_header == "empty" else None
    fields["headers"] = [{name: absent if value is None else _signed(value)} for name, value in record.headers]
    return EncodedRecord(record.partition, record.offset, _json(fields), timestamp)


@dataclass(frozen=True)
class EventFrame:
    """All of an event but its records. Texts are ASCII, so their lengths are bytes."""

    topic: str
    head: str

    @classmethod
    def of(cls, mapping: Source, bootstrap_servers: str) -> "EventFrame":
        """The frame for a mapping; `bootstrap_servers` is one comma-separated string, as in the event."""
        fields = {"eventSource": "SelfManagedKafka"}
        if mapping.event_source_arn is not None:
            fields = {"eventSource": "aws:kafka", "eventSourceArn": mapping.event_source_arn}
        fields["bootstrapServers"] = bootstrap_servers
        return cls(mapping.topic, _json(fields)[:-1] + ',"records":{')

    @property
    def size(self) -> int:
        """The size of an event without records, in bytes."""
        return len(self.head) + len("}}")

    def added_size(self, text: str, *, opens_partition: int | None) -> int:
        """Bytes, a comma included, by which a record makes an event longer; `opens_partition`: its partition, if it is the first there."""
        if opens_partition is None:
            return len(text) + len(",")
        return len(self._partition_key(opens_partition)) + len("[],") + len(text)

    def event_text(self, records: Iterable[EncodedRecord]) -> str:
        """The event of these records, in their order."""
        texts: dict[int, list[str]] = {}
        for record in records:
            texts.setdefault(record.partition, []).append(record.text)
        partitions = (f"{self._partition_key(partition)}[{','.join(those)}]" for partition, those in texts.items())
        return f"{self.head}{','.join(partitions)}}}}}"

    def _partition_key(self, partition: int) -> str:
        return f"{json.dumps(f'{self.topic}-{partition}')}:"


def _base64(value: bytes | None, absent: str | None) -> str | None:
    return absent if value is None else b64encode(value).decode("ascii")


def _signed(value: bytes) -> list[int]:
    # Lambda's pollers are written in Java, whose bytes run from -128 to 127.
    return [byte - 256 if byte > 127 else byte for byte in value]


def _json(fields: dict[str, Any]) -> str:
    return json.dumps(fields, separators=(",", ":"))
