"""Which orders the clock has to do something about."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa


@dataclass(frozen=True)
class DueOrder:
    """An order that was due when this was read, and since when; whether it still is, is decided under its lock."""

    order_id: UUID
    since: datetime


# The clock is read in a subquery because no index is searched for a volatile function's value. An order that was put off comes after
# those that became due before its pause ended: however many fail, they don't stand in front of the others.
UNACCEPTED = sa.text("""
    SELECT o.order_id, o.accept_by AS since
    FROM campusg.orders o LEFT JOIN campusg.order_setbacks s ON s.order_id = o.order_id AND s.version = o.version
    WHERE o.order_status = 'READY_FOR_PICKUP' AND o.active_saga_id IS NULL AND o.accept_by <= (SELECT clock_timestamp())
      AND (s.put_off_until IS NULL OR s.put_off_until <= (SELECT clock_timestamp()))
    ORDER BY greatest(o.accept_by, s.put_off_until) LIMIT :most""")

# A completion that was undone changed the order, so the next one is tried only after the same patience.
UNCOMPLETED = sa.text("""
    SELECT o.order_id, o.updated_at AS since
    FROM campusg.orders o LEFT JOIN campusg.order_setbacks s ON s.order_id = o.order_id AND s.version = o.version
    WHERE o.order_status = 'DELIVERED' AND o.payment_status = 'AUTHORIZED' AND o.active_saga_id IS NULL
      AND o.updated_at <= (SELECT clock_timestamp() - make_interval(secs => :patience))
      AND (s.put_off_until IS NULL OR s.put_off_until <= (SELECT clock_timestamp()))
    ORDER BY greatest(o.updated_at + make_interval(secs => :patience), s.put_off_until) LIMIT :most""")

# An order that still fails is put off again every few minutes: what has been over for an hour is of one that went on.
FORGET = sa.text("DELETE FROM campusg.order_setbacks WHERE put_off_until <= clock_timestamp() - interval '1 hour'")

# The pauses are those of sagas: 1 s, 2 s, 4 s, … up to 300 s. Of two sweeps that fail at once over an order, one is counted.
PUT_OFF = sa.text("""
    INSERT INTO campusg.order_setbacks AS s (order_id, version, setbacks, put_off_until)
    SELECT order_id, version, 1, clock_timestamp() + interval '1 second' FROM campusg.orders WHERE order_id = :order_id
    ON CONFLICT (order_id) DO UPDATE SET version = excluded.version,
        setbacks = CASE WHEN s.version = excluded.version THEN s.setbacks + 1 ELSE 1 END,
        put_off_until = CASE WHEN s.version = excluded.version
            THEN clock_timestamp() + make_interval(secs => least(2 ^ least(s.setbacks, 10), 300)) ELSE excluded.put_off_until END
        WHERE s.version <> excluded.version OR s.put_off_until <= clock_timestamp()""")


def read_unaccepted(session: sa.Connection, most: int) -> list[DueOrder]:
    """Up to `most` open orders whose time to be accepted is over, longest due first; locks nothing."""
    return [DueOrder(row.order_id, row.since) for row in session.execute(UNACCEPTED, {"most": most})]


def read_uncompleted(session: sa.Connection, most: int, patience: timedelta) -> list[DueOrder]:
    """Up to `most` delivered orders that nobody completed for `patience`, longest due first; locks nothing."""
    rows = session.execute(UNCOMPLETED, {"most": most, "patience": patience.total_seconds()})
    return [DueOrder(row.order_id, row.since) for row in rows]


def put_off(session: sa.Connection, order_id: UUID) -> None:
    """Let a due order whose sweep failed wait, longer each time, or until anything about it changes.

    Neither writes nor locks the order's row.
    """
    session.execute(FORGET)
    session.execute(PUT_OFF, {"order_id": order_id})
