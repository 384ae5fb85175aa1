"""Which sagas have waited long enough."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from chalicelib.db.connection import send_ahead
from chalicelib.db.pages import Page, Place
from chalicelib.sagas.registry import DEFINITIONS


@dataclass(frozen=True)
class Due:
    """A saga whose pending command was due when this was read; whether it still is, is decided under the order's lock."""

    saga_id: UUID
    command_id: str
    published: bool
    due_at: datetime

    @property
    def place(self) -> Place:
        """Where it stands among what is due."""
        return self.due_at, self.saga_id


# Definitions that this code doesn't know belong to a newer release; its sweeps will look after them.
READ = sa.text("""
    SELECT s.saga_id, s.awaited_id, s.due_at,
        NOT EXISTS (SELECT 1 FROM campusg.outbox o WHERE o.ordering_key = s.order_id AND o.message_id = s.awaited_id) AS published
    FROM campusg.sagas s
    WHERE s.ended_at IS NULL AND s.look_at <= :until AND s.due_at <= :until AND (s.due_at, s.saga_id) > (:after, CAST(:after_id AS uuid))
      AND s.name || ' ' || s.definition_version = ANY(CAST(:known AS text[]))
    ORDER BY s.due_at, s.saga_id LIMIT :most""")

# What was looked at too early is looked at again when it is due. Somebody else's lock means that it goes on.
LOOK_LATER = """
    WITH held AS (
        SELECT o.order_id FROM campusg.orders o
        WHERE o.order_id = ANY(ARRAY(
            SELECT order_id FROM campusg.sagas
            WHERE ended_at IS NULL AND look_at <= CAST($1 AS timestamptz) AND (due_at IS NULL OR due_at > CAST($1 AS timestamptz))))
        ORDER BY o.order_id FOR NO KEY UPDATE SKIP LOCKED)
    UPDATE campusg.sagas s SET look_at = coalesce(due_at, 'infinity') FROM held
    WHERE s.order_id = held.order_id AND s.ended_at IS NULL AND (s.due_at IS NULL OR s.due_at > CAST($1 AS timestamptz))"""

# Not by way of the engine: the sagas may have failed because their rows can't be read. Somebody else's lock means that it goes on.
PUSH_BACK = sa.text("""
    WITH held AS (
        SELECT o.order_id FROM campusg.orders o
        WHERE o.order_id IN (SELECT order_id FROM campusg.sagas WHERE saga_id = ANY(CAST(:saga_ids AS uuid[])))
        ORDER BY o.order_id FOR NO KEY UPDATE SKIP LOCKED)
    UPDATE campusg.sagas s
    SET setbacks = setbacks + :counted, due_at = clock_timestamp() + make_interval(secs => least(2 ^ least(setbacks, 10), 300))
    FROM held
    WHERE s.order_id = held.order_id AND s.saga_id = ANY(CAST(:saga_ids AS uuid[])) AND s.due_at <= clock_timestamp()""")


def read_due(session: sa.Connection, page: Page) -> list[Due]:
    """The due sagas of a page, longest due first; locks nothing."""
    known = [f"{name} {version}" for name, version in DEFINITIONS]
    rows = session.execute(READ, {"known": known, **page.parameters})
    return [Due(row.saga_id, row.awaited_id, row.published, row.due_at) for row in rows]


def look_later(session: sa.Connection, page: Page) -> None:
    """Have sagas that the sweep looks at, and that are not due, left alone until they are; goes along with the next statement.

    Locks their orders, and leaves those alone that somebody else has locked.
    """
    send_ahead(session, LOOK_LATER, page.until.isoformat())


def push_back(session: sa.Connection, saga_ids: Sequence[UUID], *, counted: bool = True) -> None:
    """Let sagas whose sweep failed wait, longer each time where that is `counted`.

    Locks their orders, and leaves those alone that somebody else has locked.
    """
    session.execute(PUSH_BACK, {"saga_ids": list(saga_ids), "counted": int(counted)})
