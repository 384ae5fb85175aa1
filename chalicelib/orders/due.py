"""Which orders the clock has to do something about."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chalicelib.db.pages import Page, Place


@dataclass(frozen=True)
class DueOrder:
    """An order that was due when this was read, since when, and where it stands; whether it still is, is decided under its lock."""

    order_id: UUID
    since: datetime
    place: Place


# An order that was put off comes after those that became due before its pause ended.
UNACCEPTED = sa.text("""
    SELECT o.order_id, o.accept_by AS since, d.due_at
    FROM campusg.orders o LEFT JOIN campusg.order_setbacks s ON s.order_id = o.order_id AND s.version = o.version,
        LATERAL (SELECT greatest(o.accept_by, s.put_off_until) AS due_at) d
    WHERE o.order_status = 'READY_FOR_PICKUP' AND o.active_saga_id IS NULL AND o.accept_by <= :until
      AND d.due_at <= :until AND (d.due_at, o.order_id) > (:after, CAST(:after_id AS uuid))
    ORDER BY d.due_at, o.order_id LIMIT :most""")

# A completion that was undone changed the order, so the next one is tried only after the same patience.
UNCOMPLETED = sa.text("""
    SELECT o.order_id, o.updated_at AS since, d.due_at
    FROM campusg.orders o LEFT JOIN campusg.order_setbacks s ON s.order_id = o.order_id AND s.version = o.version,
        LATERAL (SELECT greatest(o.updated_at + make_interval(secs => :patience), s.put_off_until) AS due_at) d
    WHERE o.order_status = 'DELIVERED' AND o.payment_status = 'AUTHORIZED' AND o.active_saga_id IS NULL
      AND o.updated_at <= CAST(:until AS timestamptz) - make_interval(secs => :patience)
      AND d.due_at <= :until AND (d.due_at, o.order_id) > (:after, CAST(:after_id AS uuid))
    ORDER BY d.due_at, o.order_id LIMIT :most""")

# An order that still fails is put off again every few minutes: what has been over for an hour is of one that went on.
FORGET = sa.text("DELETE FROM campusg.order_setbacks WHERE put_off_until <= clock_timestamp() - interval '1 hour'")

# The pauses are those of sagas: 1 s, 2 s, 4 s, … up to 300 s. Of two sweeps that fail at once over an order, one is counted.
PUT_OFF = sa.text("""
    INSERT INTO campusg.order_setbacks AS s (order_id, version, setbacks, put_off_until)
    SELECT order_id, version, :counted, clock_timestamp() + interval '1 second' FROM campusg.orders WHERE order_id = :order_id
    ON CONFLICT (order_id) DO UPDATE SET version = excluded.version,
        setbacks = CASE WHEN s.version = excluded.version THEN s.setbacks + :counted ELSE :counted END,
        put_off_until = CASE WHEN s.version = excluded.version
            THEN clock_timestamp() + make_interval(secs => least(2 ^ least(s.setbacks, 10), 300)) ELSE excluded.put_off_until END
        WHERE s.version <> excluded.version OR s.put_off_until <= clock_timestamp()""")


def read_unaccepted(session: sa.Connection, page: Page) -> list[DueOrder]:
    """The open orders of a page whose time to be accepted is over, longest due first; locks nothing."""
    return _due(session.execute(UNACCEPTED, page.parameters))


def read_uncompleted(session: sa.Connection, page: Page, patience: timedelta) -> list[DueOrder]:
    """The delivered orders of a page that nobody completed for `patience`, longest due first; locks nothing."""
    return _due(session.execute(UNCOMPLETED, {"patience": patience.total_seconds(), **page.parameters}))


def put_off(session: sa.Connection, order_id: UUID, *, counted: bool = True) -> None:
    """Let a due order whose sweep failed wait, longer each time where that is `counted`, or until anything about it changes.

    Neither writes nor locks the order's row.
    """
    session.execute(FORGET)
    session.execute(PUT_OFF, {"order_id": order_id, "counted": int(counted)})


def _due(rows: sa.CursorResult[Any]) -> list[DueOrder]:
    return [DueOrder(row.order_id, row.since, (row.due_at, row.order_id)) for row in rows]
