"""Retention: an order that ended long ago goes with its history, its sagas and its partners' ids, all at once."""

from datetime import timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chalicelib.db import bulk
from chalicelib.db.connection import Database
from chalicelib.db.lists import CLOCKS_APART, first_id_of

# So many orders a transaction, which holds their locks; so many transactions a call.
MOST_AT_ONCE = 500
MOST_BATCHES = 20
UUID_VERSION = 7

# By id, the oldest first: an order was made before it ended. What is still to be published or judged keeps its order: OFFSET has that
# looked up order by order, as a join would read the whole outbox.
LOCK = sa.text("""
    SELECT o.order_id FROM campusg.orders o
    WHERE o.order_id < :made_before AND o.updated_at < :unchanged_since
      AND o.order_status IN ('COMPLETED', 'CANCELLED', 'TIMED_OUT') AND o.active_saga_id IS NULL
      AND NOT EXISTS (SELECT FROM campusg.outbox w WHERE w.ordering_key = o.order_id OFFSET 0)
      AND NOT EXISTS (
        SELECT FROM campusg.dead_letters d WHERE d.order_id = o.order_id AND d.redriven_at IS NULL AND d.dismissed_at IS NULL OFFSET 0)
    ORDER BY o.order_id LIMIT :most FOR UPDATE OF o SKIP LOCKED""")

# A partner's id that came in a reply besides the order's own stays taken.
DELETE = sa.text("""
    WITH ids AS MATERIALIZED (SELECT unnest(CAST(:order_ids AS uuid[])) AS order_id),
    history AS (DELETE FROM campusg.order_history h USING ids WHERE h.order_id = ids.order_id),
    setbacks AS (DELETE FROM campusg.order_setbacks s USING ids WHERE s.order_id = ids.order_id),
    sagas AS (DELETE FROM campusg.sagas s USING ids WHERE s.order_id = ids.order_id RETURNING s.saga_id),
    orders AS (
        DELETE FROM campusg.orders o USING ids WHERE o.order_id = ids.order_id RETURNING o.order_id, o.payment_id, o.escrow_id),
    partners AS (
        DELETE FROM campusg.partner_ids p
        USING orders o, LATERAL (VALUES ('payment', o.payment_id), ('escrow', o.escrow_id)) known (kind, id)
        WHERE p.kind = known.kind AND p.id = known.id AND p.order_id = o.order_id)
    UPDATE campusg.purged SET order_id = greatest(order_id, (SELECT order_id FROM orders ORDER BY order_id DESC LIMIT 1)),
        saga_id = greatest(saga_id, (SELECT saga_id FROM sagas ORDER BY saga_id DESC LIMIT 1))""")


def purge_orders(database: Database, after: timedelta, most_at_once: int = MOST_AT_ONCE) -> int:
    """Purge orders that ended and have not changed for so long, the oldest first, in short transactions; return how many.

    Locks them first, and leaves those to the next call that somebody else has locked.
    """
    purged = 0
    for _ in range(MOST_BATCHES):
        with database.transaction() as session:
            found = purge_batch(session, after, most_at_once)
        purged += found
        if found < most_at_once:
            break
    return purged


def purge_batch(session: sa.Connection, after: timedelta, most: int) -> int:
    """Lock and purge up to `most` of these orders; return how many."""
    long_ago = session.execute(sa.text("SELECT clock_timestamp()")).scalar_one() - after
    parameters: dict[str, Any] = {"unchanged_since": long_ago, "made_before": first_id_of(long_ago, CLOCKS_APART), "most": most}
    order_ids = session.execute(LOCK, parameters).scalars().all()
    if order_ids:
        session.execute(DELETE, {"order_ids": bulk.array(order_ids)})
    return len(order_ids)


class Purged:
    """Which unknown ids count as those of purged orders: all up to the newest that was purged. Read only if it is asked for."""

    def __init__(self, session: sa.Connection) -> None:
        self._session = session

    def order(self, order_id: UUID) -> bool:
        """Whether an order that isn't there was purged."""
        return order_id.version == UUID_VERSION and order_id <= self._newest[0]

    def saga(self, saga_id: UUID) -> bool:
        """Whether a saga that isn't there was purged."""
        return saga_id.version == UUID_VERSION and saga_id <= self._newest[1]

    @cached_property
    def _newest(self) -> tuple[UUID, UUID]:
        row = self._session.execute(sa.text("SELECT order_id, saga_id FROM campusg.purged")).one()
        return row.order_id, row.saga_id
