"""Dead letters for people: listed, shown, counted, and claimed by whoever has them redriven or dismisses them."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chalicelib.db.bulk import array
from chalicelib.db.lists import given, newest_first
from chalicelib.messages.envelope import Incoming


@dataclass(frozen=True)
class KeptDeadLetter:
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

    @property
    def explanation(self) -> str:
        """The error's class and text."""
        return f"{self.error_class}: {self.error}"


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

SELECT = f"SELECT {COLUMNS} FROM campusg.dead_letters"  # noqa: S608 - literals of ours
# Of an order, or of one of these sagas.
ABOUT = sa.text(f"""
    {SELECT} WHERE order_id = :order_id OR saga_id = ANY(CAST(:saga_ids AS uuid[])) ORDER BY dead_letter_id DESC LIMIT :most""")
READ = sa.text(f"{SELECT} WHERE dead_letter_id = :id")
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


def list_dead_letters(session: sa.Connection, filters: DeadLetterFilters, limit: int) -> list[KeptDeadLetter]:
    """Up to `limit` dead letters, newest first; locks nothing."""
    parameters = given(filters, CONDITIONS)
    conditions = [SETTLED[filters.redriven, filters.dismissed], *map(CONDITIONS.__getitem__, parameters)]
    rows = newest_first(session, SELECT, "dead_letter_id", conditions, {**parameters, "limit": limit})
    return [_letter(row) for row in rows]


def letters_about(session: sa.Connection, order_id: UUID, saga_ids: Iterable[UUID], most: int) -> list[KeptDeadLetter]:
    """Up to `most` dead letters that name the order or one of these sagas, newest first; locks nothing."""
    rows = session.execute(ABOUT, {"order_id": order_id, "saga_ids": array(saga_ids), "most": most}).mappings()
    return [_letter(row) for row in rows]


def read_letter(session: sa.Connection, dead_letter_id: UUID) -> KeptDeadLetter | None:
    """A dead letter without its record; locks nothing."""
    row = session.execute(READ, {"id": dead_letter_id}).mappings().one_or_none()
    return _letter(row) if row else None


def read_dead_letter(session: sa.Connection, dead_letter_id: UUID) -> tuple[KeptDeadLetter, Incoming] | None:
    """A dead letter and its record, as it came but for header names that could not be stored; locks nothing."""
    row = session.execute(READ_WHOLE, {"id": dead_letter_id}).mappings().one_or_none()
    if row is None:
        return None
    headers = tuple((name, base64.b64decode(value)) for name, value in row["headers"])
    return _letter(row), Incoming(row["topic"], row["partition"], row["offset"], row["key"], row["value"], headers)


def claim(session: sa.Connection, dead_letter_id: UUID, now: datetime) -> bool:
    """Mark a dead letter as redriven; False where it no longer waits. Locks its row until the transaction ends."""
    return session.execute(CLAIM, {"id": dead_letter_id, "now": now}).scalar_one_or_none() is not None


def dismiss(session: sa.Connection, letter: KeptDeadLetter) -> bool:
    """Mark a dead letter as dismissed, as `letter` says; False where it no longer waits. Locks its row until the transaction ends."""
    by = {"at": letter.dismissed_at, "by": letter.dismissed_by, "reason": letter.dismiss_reason}
    return session.execute(DISMISS, {"id": letter.dead_letter_id, **by}).scalar_one_or_none() is not None


def waiting(session: sa.Connection) -> dict[str, int]:
    """How many dead letters wait to be redriven or dismissed, by error class; locks nothing."""
    return {row.error_class: row.number for row in session.execute(WAITING)}


def _letter(row: Mapping[Any, Any]) -> KeptDeadLetter:
    return KeptDeadLetter(**{name: row[name] for name in KeptDeadLetter.__dataclass_fields__})
