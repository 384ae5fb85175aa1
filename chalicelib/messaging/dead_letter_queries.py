"""Dead letters for people: listed, shown, counted, and claimed by whoever has them redriven or dismisses them."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chalicelib.messages.envelope import Incoming, timestamp

# Lambda's answer may have 6 MB = 6,291,456 bytes (AWS Lambda developer guide, quotas; the runtime refuses a larger one). That leaves
# 790 KB: 64 KiB of control characters take 459 KB as JSON within JSON, and everything else of a letter at most 20 KB.
RECORD_ROOM = 5_500_000
TEXT_ROOM = 64 * 1024


@dataclass(frozen=True)
class Buried:
    """A dead letter's row without the record's bytes; it waits as long as it was neither redriven nor dismissed."""

    dead_letter_id: UUID
    topic: str
    partition: int
    offset: int
    type: str | None
    order_id: UUID | None
    saga_id: UUID | None
    error_class: str
    error: str
    delivery_count: int
    at: datetime
    redriven_at: datetime | None
    dismissed_at: datetime | None = None
    dismissed_by: str | None = None
    dismiss_reason: str | None = None


@dataclass(frozen=True)
class DeadLetterFilters:
    """What a list of dead letters is narrowed to; `after` is the last one of the page before.

    With `redriven` False and `dismissed` None these are the letters that wait.
    """

    error_class: str | None = None
    order_id: UUID | None = None
    saga_id: UUID | None = None
    topic: str | None = None
    redriven: bool | None = None
    dismissed: bool | None = None
    after: UUID | None = None


COLUMNS = (
    'dead_letter_id, topic, partition, "offset", type, order_id, saga_id, error_class, error, delivery_count, at, redriven_at, '
    "dismissed_at, dismissed_by, dismiss_reason"
)
CONDITIONS: dict[str, str] = {
    "error_class": "error_class = :error_class",
    "order_id": "order_id = :order_id",
    "saga_id": "saga_id = :saga_id",
    "topic": "topic = :topic",
    "after": "dead_letter_id < :after",
}
WAITS = "redriven_at IS NULL AND dismissed_at IS NULL"
# By `redriven` and `dismissed`; written out, because the partial indexes have these conditions. No letter is both.
SETTLED: dict[tuple[bool | None, bool | None], str] = {
    (None, None): "true",
    (None, False): "dismissed_at IS NULL",
    (None, True): "dismissed_at IS NOT NULL",
    (False, None): WAITS,
    (False, False): WAITS,
    (False, True): "dismissed_at IS NOT NULL",
    (True, None): "redriven_at IS NOT NULL",
    (True, False): "redriven_at IS NOT NULL",
    (True, True): "false",
}

READ = sa.text(f"SELECT {COLUMNS} FROM campusg.dead_letters WHERE dead_letter_id = :id")  # noqa: S608 - literals of ours
READ_WHOLE = sa.text(
    f"SELECT {COLUMNS}, key, value, headers FROM campusg.dead_letters WHERE dead_letter_id = :id"  # noqa: S608 - literals of ours
)
CLAIM = sa.text(
    f"UPDATE campusg.dead_letters SET redriven_at = :now WHERE dead_letter_id = :id AND {WAITS} RETURNING 1"  # noqa: S608 - literals of ours
)
DISMISS = sa.text(
    "UPDATE campusg.dead_letters SET dismissed_at = :at, dismissed_by = :by, dismiss_reason = :reason"  # noqa: S608 - literals of ours
    f" WHERE dead_letter_id = :id AND {WAITS} RETURNING 1"
)
WAITING = sa.text(
    f"SELECT error_class, count(*) AS number FROM campusg.dead_letters WHERE {WAITS} GROUP BY error_class"  # noqa: S608 - literals of ours
)


def list_dead_letters(session: sa.Connection, filters: DeadLetterFilters, limit: int) -> list[Buried]:
    """Up to `limit` dead letters, newest first; locks nothing."""
    given = {name: getattr(filters, name) for name in CONDITIONS if getattr(filters, name) is not None}
    where = " AND ".join([SETTLED[filters.redriven, filters.dismissed], *(CONDITIONS[name] for name in given)])
    statement = sa.text(
        f"SELECT {COLUMNS} FROM campusg.dead_letters WHERE {where} ORDER BY dead_letter_id DESC LIMIT :limit"  # noqa: S608 - literals of ours
    )
    return [_buried(row) for row in session.execute(statement, {**given, "limit": limit}).mappings()]


def read_letter(session: sa.Connection, dead_letter_id: UUID) -> Buried | None:
    """A dead letter without its record; locks nothing."""
    row = session.execute(READ, {"id": dead_letter_id}).mappings().one_or_none()
    return _buried(row) if row else None


def read_dead_letter(session: sa.Connection, dead_letter_id: UUID) -> tuple[Buried, Incoming] | None:
    """A dead letter and its record, as it came but for header names that could not be stored; locks nothing."""
    row = session.execute(READ_WHOLE, {"id": dead_letter_id}).mappings().one_or_none()
    if row is None:
        return None
    headers = tuple((name, base64.b64decode(value)) for name, value in row["headers"])
    return _buried(row), Incoming(row["topic"], row["partition"], row["offset"], row["key"], row["value"], headers)


def claim(session: sa.Connection, dead_letter_id: UUID, now: datetime) -> bool:
    """Mark a dead letter as redriven; False where it no longer waits. Locks its row until the transaction ends."""
    return session.execute(CLAIM, {"id": dead_letter_id, "now": now}).scalar_one_or_none() is not None


def dismiss(session: sa.Connection, letter: Buried) -> bool:
    """Mark a dead letter as dismissed, as `letter` says; False where it no longer waits. Locks its row until the transaction ends."""
    by = {"at": letter.dismissed_at, "by": letter.dismissed_by, "reason": letter.dismiss_reason}
    return session.execute(DISMISS, {"id": letter.dead_letter_id, **by}).scalar_one_or_none() is not None


def waiting(session: sa.Connection) -> dict[str, int]:
    """How many dead letters wait to be redriven or dismissed, by error class; locks nothing."""
    return {row.error_class: row.number for row in session.execute(WAITING)}


def document(letter: Buried) -> dict[str, Any]:
    """The dead letter as HTTP answers show it in lists."""
    return {
        "deadLetterId": str(letter.dead_letter_id),
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "type": letter.type,
        "orderId": str(letter.order_id) if letter.order_id else None,
        "sagaId": str(letter.saga_id) if letter.saga_id else None,
        "error": f"{letter.error_class}: {letter.error}",
        "deliveryCount": letter.delivery_count,
        "at": timestamp(letter.at),
        "redrivenAt": timestamp(letter.redriven_at) if letter.redriven_at else None,
        "dismissedAt": timestamp(letter.dismissed_at) if letter.dismissed_at else None,
    }


def explained(letter: Buried) -> dict[str, Any]:
    """The dead letter as HTTP answers show it alone: also who dismissed it, and why."""
    return {**document(letter), "dismissedBy": letter.dismissed_by, "dismissReason": letter.dismiss_reason}


def full_document(letter: Buried, record: Incoming) -> dict[str, Any]:
    """The dead letter with the record's bytes in base64, and the value as text where it is UTF-8.

    Of what doesn't fit into an answer of Lambda's the largest part is null, and its size is given instead.
    """
    parts: dict[str, Any] = {
        "key": _base64(record.key),
        "value": _base64(record.value),
        "headers": [[name, _base64(value)] for name, value in record.headers],
    }
    headers_size = sum(len(name.encode()) + len(value) for name, value in record.headers)
    sizes = {"key": len(record.key or b""), "value": len(record.value or b""), "headers": headers_size}
    omitted = {}
    room = {name: _room(part) for name, part in parts.items()}
    while sum(room.values()) > RECORD_ROOM:
        largest = max(room, key=room.__getitem__)
        parts[largest] = None
        omitted[f"{largest}Omitted"] = sizes[largest]
        del room[largest]
    return {**explained(letter), **parts, **omitted, **_value_text(record.value)}


def _value_text(value: bytes | None) -> dict[str, Any]:
    """The value's text, as much of it as may be shown; nothing where it is no UTF-8."""
    try:
        text = value.decode() if value is not None else None
    except UnicodeDecodeError:
        return {}
    if value is None or text is None:
        return {}
    if len(value) <= TEXT_ROOM:
        return {"valueText": text}
    # A character that the cut goes through is left out.
    return {"valueText": value[:TEXT_ROOM].decode(errors="ignore"), "valueTextTruncated": True}


def _room(part: str | list[list[str]] | None) -> int:
    """How many bytes of Lambda's answer it takes: that is JSON, and has the body as a text. Base64 needs no escapes there."""
    if part is None or isinstance(part, str):
        return len(part or "")
    return len(json.dumps(json.dumps(part, ensure_ascii=False), ensure_ascii=False).encode())


def _base64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _buried(row: Mapping[Any, Any]) -> Buried:
    return Buried(**{name: row[name] for name in Buried.__dataclass_fields__})
