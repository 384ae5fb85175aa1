"""Dead letters for people: listed, shown, counted, and claimed by whoever has them redriven."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chalicelib.messages.envelope import Incoming, timestamp


@dataclass(frozen=True)
class Buried:
    """A dead letter's row without the record's bytes; `redriven_at` is None as long as it waits."""

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


@dataclass(frozen=True)
class DeadLetterFilters:
    """What a list of dead letters is narrowed to; `after` is the last one of the page before."""

    error_class: str | None = None
    order_id: UUID | None = None
    saga_id: UUID | None = None
    topic: str | None = None
    redriven: bool | None = None
    after: UUID | None = None


COLUMNS = 'dead_letter_id, topic, partition, "offset", type, order_id, saga_id, error_class, error, delivery_count, at, redriven_at'
CONDITIONS: dict[str, str] = {
    "error_class": "error_class = :error_class",
    "order_id": "order_id = :order_id",
    "saga_id": "saga_id = :saga_id",
    "topic": "topic = :topic",
    "after": "dead_letter_id < :after",
}
# Written out, because the partial indexes have these conditions.
REDRIVEN: dict[bool | None, str] = {None: "true", True: "redriven_at IS NOT NULL", False: "redriven_at IS NULL"}

READ = sa.text(
    f"SELECT {COLUMNS}, key, value, headers FROM campusg.dead_letters WHERE dead_letter_id = :id"  # noqa: S608 - literals of ours
)
CLAIM = sa.text("UPDATE campusg.dead_letters SET redriven_at = :now WHERE dead_letter_id = :id AND redriven_at IS NULL RETURNING 1")
WAITING = sa.text("SELECT error_class, count(*) AS number FROM campusg.dead_letters WHERE redriven_at IS NULL GROUP BY error_class")


def list_dead_letters(session: sa.Connection, filters: DeadLetterFilters, limit: int) -> list[Buried]:
    """Up to `limit` dead letters, newest first; locks nothing."""
    given = {name: getattr(filters, name) for name in CONDITIONS if getattr(filters, name) is not None}
    where = " AND ".join([REDRIVEN[filters.redriven], *(CONDITIONS[name] for name in given)])
    statement = sa.text(
        f"SELECT {COLUMNS} FROM campusg.dead_letters WHERE {where} ORDER BY dead_letter_id DESC LIMIT :limit"  # noqa: S608 - literals of ours
    )
    return [_buried(row) for row in session.execute(statement, {**given, "limit": limit}).mappings()]


def read_dead_letter(session: sa.Connection, dead_letter_id: UUID) -> tuple[Buried, Incoming] | None:
    """A dead letter and its record, as it came but for header names that could not be stored; locks nothing."""
    row = session.execute(READ, {"id": dead_letter_id}).mappings().one_or_none()
    if row is None:
        return None
    headers = tuple((name, base64.b64decode(value)) for name, value in row["headers"])
    return _buried(row), Incoming(row["topic"], row["partition"], row["offset"], row["key"], row["value"], headers)


def claim(session: sa.Connection, dead_letter_id: UUID, now: datetime) -> bool:
    """Mark a dead letter as redriven; False where somebody else has done so. Locks its row until the transaction ends."""
    return session.execute(CLAIM, {"id": dead_letter_id, "now": now}).scalar_one_or_none() is not None


def waiting(session: sa.Connection) -> dict[str, int]:
    """How many dead letters wait to be redriven, by error class; locks nothing."""
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
    }


def full_document(letter: Buried, record: Incoming) -> dict[str, Any]:
    """The dead letter as HTTP answers show it alone: with the record's bytes in base64, and the value as text where it is UTF-8."""
    shown = {
        **document(letter),
        "key": _base64(record.key),
        "value": _base64(record.value),
        "headers": [[name, _base64(value)] for name, value in record.headers],
    }
    try:
        return shown if record.value is None else {**shown, "valueText": record.value.decode()}
    except UnicodeDecodeError:
        return shown


def _base64(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _buried(row: Mapping[Any, Any]) -> Buried:
    return Buried(**{name: row[name] for name in Buried.__dataclass_fields__})
