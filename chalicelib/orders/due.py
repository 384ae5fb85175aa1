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


# The clock is read in a subquery because no index is searched for a volatile function's value.
# The clock is read in a subquery because no index is searched for a volatile function's value.
UNACCEPTED = sa.text("""
    SELECT order_id, accept_by AS since FROM campusg.orders
    WHERE order_status = 'READY_FOR_PICKUP' AND active_saga_id IS NULL AND accept_by <= (SELECT clock_timestamp())
    ORDER BY accept_by LIMIT :most""")

# A completion that was undone changed the order, so the next one is tried only after the same patience.
UNCOMPLETED = sa.text("""
    SELECT order_id, updated_at AS since FROM campusg.orders
    WHERE order_status = 'DELIVERED' AND payment_status = 'AUTHORIZED' AND active_saga_id IS NULL
      AND updated_at <= (SELECT clock_timestamp() - make_interval(secs => :patience))
    ORDER BY updated_at LIMIT :most""")


def read_unaccepted(session: sa.Connection, most: int) -> list[DueOrder]:
    """Open orders whose time to be accepted is over; locks nothing."""
    return [DueOrder(row.order_id, row.since) for row in session.execute(UNACCEPTED, {"most": most})]


def read_uncompleted(session: sa.Connection, most: int, patience: timedelta) -> list[DueOrder]:
    """Delivered orders that nobody completed for `patience`; locks nothing."""
    rows = session.execute(UNCOMPLETED, {"most": most, "patience": patience.total_seconds()})
    return [DueOrder(row.order_id, row.since) for row in rows]
