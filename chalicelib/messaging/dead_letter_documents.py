"""Dead letters as HTTP answers show them: in lists, alone, and whole with the record's bytes."""

import json
from dataclasses import dataclass
from typing import Any

from chalicelib.fields import ACTOR, COUNT, ID, NUMBER, TEXT, TIME, Field, Kind, Table, maybe
from chalicelib.messages.envelope import Incoming
from chalicelib.messages.wire import in_base64
from chalicelib.messaging.dead_letter_queries import KeptDeadLetter

# Lambda's answer may have 6 MB = 6,291,456 bytes (AWS Lambda developer guide, quotas; the runtime refuses a larger one). That leaves
# 790 KB: 64 KiB of control characters take 459 KB as JSON within JSON, and everything else of a letter at most 20 KB.
RECORD_ROOM = 5_500_000
TEXT_ROOM = 64 * 1024

BASE64 = Kind({"type": "string", "contentEncoding": "base64"})
HEADER = {"type": "array", "items": TEXT.schema, "minItems": 2, "maxItems": 2, "description": "A name, and a value in base64."}

DEAD_LETTER = Table(
    "DeadLetter",
    "A record that could not be taken, and why.",
    (
        Field("deadLetterId", "dead_letter_id", ID),
        Field("topic", "topic", TEXT),
        Field("partition", "partition", COUNT),
        Field("offset", "offset", COUNT),
        Field("type", "type", maybe(TEXT), "Its `ce_type`, where that much is known."),
        Field("orderId", "order_id", maybe(ID)),
        Field("sagaId", "saga_id", maybe(ID)),
        Field("error", "explanation", Kind({"type": "string", "pattern": r"^[A-Za-z_][A-Za-z0-9_]*: "}), "The error's class and text."),
        Field("deliveryCount", "delivery_count", NUMBER, "How often it was tried."),
        Field("at", "at", TIME),
        Field("redrivenAt", "redriven_at", maybe(TIME)),
        Field("dismissedAt", "dismissed_at", maybe(TIME)),
    ),
)
DISMISSED_DEAD_LETTER = Table(
    "DismissedDeadLetter",
    "With who dismissed it, and why, where anybody has.",
    (*DEAD_LETTER.fields, Field("dismissedBy", "dismissed_by", maybe(ACTOR)), Field("dismissReason", "dismiss_reason", maybe(TEXT))),
)
WHOLE_DEAD_LETTER = Table(
    "WholeDeadLetter",
    "With the record as it came. Header names that PostgreSQL can't hold are mended.\n\n"
    "A part that would make the answer larger than Lambda's 6 MB is null, and its size is given.",
    (
        *DISMISSED_DEAD_LETTER.fields,
        Field("key", "key", maybe(BASE64)),
        Field("value", "value", maybe(BASE64)),
        Field("headers", "headers", maybe(Kind({"type": "array", "items": HEADER}))),
        Field("valueOmitted", "value_omitted", NUMBER, "The size of a value that doesn't fit, in bytes.", optional=True),
        Field("headersOmitted", "headers_omitted", NUMBER, "The size of headers that don't fit, in bytes.", optional=True),
        Field("keyOmitted", "key_omitted", NUMBER, "The size of a key that doesn't fit, in bytes.", optional=True),
        Field("valueText", "value_text", TEXT, "The value as text, where it is UTF-8: at most 64 KiB of it.", optional=True),
        Field(
            "valueTextTruncated",
            "value_text_truncated",
            Kind({"type": "boolean", "default": False}),
            "Whether the value goes on behind its text.",
            optional=True,
        ),
    ),
)


@dataclass(frozen=True)
class _Whole(KeptDeadLetter):
    """A dead letter with its record's parts as they are shown; what doesn't fit is None, and its size is given."""

    key: str | None = None
    value: str | None = None
    headers: list[list[str]] | None = None
    key_omitted: int | None = None
    value_omitted: int | None = None
    headers_omitted: int | None = None
    value_text: str | None = None
    value_text_truncated: bool | None = None


def full_document(letter: KeptDeadLetter, record: Incoming) -> dict[str, Any]:
    """The dead letter with the record's bytes in base64, and the value as text where it is UTF-8.

    Of what doesn't fit into an answer of Lambda's the largest part is null, and its size is given instead.
    """
    parts: dict[str, Any] = {
        "key": in_base64(record.key),
        "value": in_base64(record.value),
        "headers": [[name, in_base64(value)] for name, value in record.headers],
    }
    headers_size = sum(len(name.encode()) + len(value) for name, value in record.headers)
    sizes = {"key": len(record.key or b""), "value": len(record.value or b""), "headers": headers_size}
    omitted: dict[str, Any] = {}
    room = {name: _room(part) for name, part in parts.items()}
    while sum(room.values()) > RECORD_ROOM:
        largest = max(room, key=room.__getitem__)
        parts[largest] = None
        omitted[f"{largest}_omitted"] = sizes[largest]
        del room[largest]
    return WHOLE_DEAD_LETTER.document(_Whole(**vars(letter), **parts, **omitted, **_value_text(record.value)))


def _value_text(value: bytes | None) -> dict[str, Any]:
    """The value's text, as much of it as may be shown; nothing where it is no UTF-8."""
    try:
        text = value.decode() if value is not None else None
    except UnicodeDecodeError:
        return {}
    if value is None or text is None:
        return {}
    if len(value) <= TEXT_ROOM:
        return {"value_text": text}
    # A character that the cut goes through is left out.
    return {"value_text": value[:TEXT_ROOM].decode(errors="ignore"), "value_text_truncated": True}


def _room(part: str | list[list[str]] | None) -> int:
    """How many bytes of Lambda's answer it takes: that is JSON, and has the body as a text. Base64 needs no escapes there."""
    if part is None or isinstance(part, str):
        return len(part or "")
    return len(json.dumps(json.dumps(part, ensure_ascii=False), ensure_ascii=False).encode())
