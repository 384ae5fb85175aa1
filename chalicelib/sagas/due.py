"""Which sagas have waited long enough."""

from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa

from chalicelib.sagas.registry import DEFINITIONS


@dataclass(frozen=True)
class Due:
    """A saga whose pending command was due when this was read; whether it still is, is decided under the order's lock."""

    saga_id: UUID
    command_id: str
    published: bool


# Definitions that this code doesn't know belong to a newer release; its sweeps will look after them. The clock is read in a
# subquery because no index is searched for a volatile function's value.
READ = sa.text("""
    SELECT s.saga_id, s.awaited_id, NOT EXISTS (SELECT 1 FROM campusg.outbox o WHERE o.message_id = s.awaited_id) AS published
    FROM campusg.sagas s
    WHERE s.due_at <= (SELECT clock_timestamp()) AND s.name || ' ' || s.definition_version = ANY(CAST(:known AS text[]))
    ORDER BY s.due_at LIMIT :most""")

# Not by way of the engine: the saga may have failed because its rows can't be read. Somebody else's lock means that it goes on.
PUSH_BACK = sa.text("""
    WITH held AS (
        SELECT o.order_id FROM campusg.orders o
        WHERE o.order_id = (SELECT order_id FROM campusg.sagas WHERE saga_id = :saga_id) FOR NO KEY UPDATE SKIP LOCKED)
    UPDATE campusg.sagas s
    SET setbacks = setbacks + 1, due_at = clock_timestamp() + make_interval(secs => least(2 ^ least(setbacks, 10), 300))
    FROM held WHERE s.order_id = held.order_id AND s.saga_id = :saga_id AND s.due_at <= clock_timestamp()""")


def read_due(session: sa.Connection, most: int) -> list[Due]:
    """Up to `most` due sagas, longest due first; locks nothing."""
    known = [f"{name} {version}" for name, version in DEFINITIONS]
    rows = session.execute(READ, {"known": known, "most": most})
    return [Due(row.saga_id, row.awaited_id, row.published) for row in rows]


def push_back(session: sa.Connection, saga_id: UUID) -> None:
    """Let a saga whose sweep failed wait, longer each time; locks its order, and leaves it alone where somebody else has."""
    session.execute(PUSH_BACK, {"saga_id": saga_id})
