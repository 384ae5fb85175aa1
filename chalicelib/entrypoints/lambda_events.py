"""The raw Kafka event of Lambda, unwrapped in one place: nobody else sees base64 or signed bytes.

Source: AWS Lambda developer guide, "Using Lambda with Amazon MSK" and "self-managed Apache Kafka": header values are lists of Java's
signed bytes; a null key or value may be absent, null or empty.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chalicelib.messages.envelope import Incoming


def records(event: Mapping[str, Any]) -> list[Incoming]:
    """All records of the event, by partition and in offset order."""
    unwrapped = [_record(record) for partition in event["records"].values() for record in partition]
    return sorted(unwrapped, key=lambda record: (record.topic, record.partition, record.offset))


def partial_response(failed: Iterable[Incoming]) -> dict[str, Any]:
    """The batch response that has Lambda deliver the `failed` records again (ReportBatchItemFailures for Kafka)."""
    places = sorted({(record.topic, record.partition, record.offset) for record in failed})
    return {
        "batchItemFailures": [
            {"itemIdentifier": {"partition": f"{topic}-{partition}", "offset": offset}} for topic, partition, offset in places
        ]
    }


def _record(record: Mapping[str, Any]) -> Incoming:
    return Incoming(
        topic=record["topic"],
        partition=record["partition"],
        offset=record["offset"],
        key=_bytes(record.get("key")) or None,
        value=_bytes(record.get("value")),
        headers=tuple(_headers(record.get("headers") or ())),
    )


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def _headers(headers: Iterable[Mapping[str, Sequence[int] | None]]) -> Iterable[tuple[str, bytes]]:
    for header in headers:
        for name, value in header.items():
            yield name, _from_signed(value or ())


def _from_signed(numbers: Sequence[int]) -> bytes:
    try:
        return bytes(numbers)
    except ValueError:
        return bytes(number & 0xFF for number in numbers)
