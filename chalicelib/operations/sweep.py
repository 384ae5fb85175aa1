"""What the clock brings about: commands sent again, silence drawn conclusions from, orders timed out and completed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

import sqlalchemy as sa

from chalicelib.db.connection import Database, is_transient
from chalicelib.messages.envelope import Trail
from chalicelib.messages.trace import begin_trace
from chalicelib.observability import count, logger
from chalicelib.operations.complete import can_complete
from chalicelib.orders.changes import Cause
from chalicelib.orders.due import DueOrder, put_off, read_unaccepted, read_uncompleted
from chalicelib.orders.order import OrderStatus
from chalicelib.sagas.cancel_order import CANCEL_ORDER
from chalicelib.sagas.complete_order import COMPLETE_ORDER
from chalicelib.sagas.due import Due, push_back, read_due
from chalicelib.sagas.engine import Batch, Rules, lock
from chalicelib.sagas.outcomes import Deferred, Fresh, TimedOut

MOST_AT_ONCE = 500
TIMED_OUT = {"ending": OrderStatus.TIMED_OUT.value, "cancel_reason": "nobody accepted the order in time"}

Items = Sequence[tuple[Any, Fresh]]


class Chore(Protocol):
    """One kind of thing that falls due."""

    @property
    def name(self) -> str:
        """The metric that counts it."""

    def read(self, session: sa.Connection, rules: Rules, most: int) -> Sequence[Any]:
        """Up to `most` due items, longest due first; locks nothing."""

    def do(self, session: sa.Connection, rules: Rules, items: Items) -> set[UUID]:
        """Let happen what, under the lock, is still due; return the outbox keys."""

    def put_off(self, session: sa.Connection, item: Any) -> None:
        """Make room for others: this item failed alone."""


@dataclass(frozen=True)
class SilentCommands:
    """Sagas whose pending command was waited for long enough."""

    name: str = "SagasDue"

    def read(self, session: sa.Connection, rules: Rules, most: int) -> Sequence[Due]:  # noqa: ARG002 - a chore
        return read_due(session, most)

    def do(self, session: sa.Connection, rules: Rules, items: Items) -> set[UUID]:
        batch = lock(session, rules, saga_ids=[due.saga_id for due, _ in items])
        for due, fresh in items:
            if _still_due(batch, due):
                batch.apply(batch.sagas[due.saga_id], TimedOut() if due.published else Deferred(), "system", fresh, {"cause": "timeout"})
        return batch.write()

    def put_off(self, session: sa.Connection, item: Due) -> None:
        push_back(session, item.saga_id)


@dataclass(frozen=True)
class UnacceptedOrders:
    """Open orders that no runner took by `accept_by`: cancelled, to end as TIMED_OUT."""

    name: str = "OrdersTimedOut"

    def read(self, session: sa.Connection, rules: Rules, most: int) -> Sequence[DueOrder]:  # noqa: ARG002 - a chore
        return read_unaccepted(session, most)

    def do(self, session: sa.Connection, rules: Rules, items: Items) -> set[UUID]:
        batch = lock(session, rules, order_ids=[due.order_id for due, _ in items])
        for due, fresh in items:
            order = batch.orders[due.order_id]
            is_open = order.order_status is OrderStatus.READY_FOR_PICKUP and order.active_saga_id is None
            if is_open and order.accept_by == due.since and due.since <= batch.moment.now:
                batch.start(CANCEL_ORDER, order, _clock(fresh), fresh, TIMED_OUT)
        return batch.write()

    def put_off(self, session: sa.Connection, item: DueOrder) -> None:
        put_off(session, item.order_id)


@dataclass(frozen=True)
class UncompletedOrders:
    """Delivered orders that nobody completed: completed for them."""

    name: str = "OrdersCompletedByClock"

    def read(self, session: sa.Connection, rules: Rules, most: int) -> Sequence[DueOrder]:
        return read_uncompleted(session, most, rules.complete_timeout)

    def do(self, session: sa.Connection, rules: Rules, items: Items) -> set[UUID]:
        batch = lock(session, rules, order_ids=[due.order_id for due, _ in items])
        for due, fresh in items:
            order = batch.orders[due.order_id]
            if can_complete(order) and order.active_saga_id is None and order.updated_at == due.since:
                batch.start(COMPLETE_ORDER, order, _clock(fresh), fresh)
        return batch.write()

    def put_off(self, session: sa.Connection, item: DueOrder) -> None:
        put_off(session, item.order_id)


CHORES: tuple[Chore, ...] = (SilentCommands(), UnacceptedOrders(), UncompletedOrders())


class Sweeper:
    """Does every chore, in batches; `publish` is called with the outbox keys of each committed batch."""

    def __init__(self, database: Database, rules: Rules, publish: Callable[[set[UUID]], None], new_fresh: Callable[[], Fresh]) -> None:
        self._database = database
        self._rules = rules
        self._publish = publish
        self._new_fresh = new_fresh

    def sweep(self) -> None:
        """Handle all that is due now; an item that fails alone never stops the others. Raises where the database is away."""
        for chore in CHORES:
            self._sweep(chore)

    def _sweep(self, chore: Chore) -> None:
        # An item that could not be put off, as somebody else has its order locked, is still due: it is tried once a sweep.
        tried: set[Any] = set()
        number = MOST_AT_ONCE
        while number == MOST_AT_ONCE:
            with self._database.transaction() as session:
                due = chore.read(session, self._rules, MOST_AT_ONCE)
            number = len(due)
            untried = [item for item in due if item not in tried]
            if not untried:
                return
            tried.update(untried)
            count({chore.name: len(untried)})
            self._do(chore, [(item, self._new_fresh()) for item in untried])

    def _do(self, chore: Chore, items: Items) -> None:
        try:
            with self._database.transaction() as session:
                keys = chore.do(session, self._rules, items)
        except Exception as error:
            if is_transient(error):
                raise
            logger.exception("A sweep failed", extra={"chore": chore.name, "items": len(items)})
            self._split(chore, items)
        else:
            if keys:
                self._publish(keys)

    def _split(self, chore: Chore, items: Items) -> None:
        if len(items) > 1:
            middle = len(items) // 2
            self._do(chore, items[:middle])
            self._do(chore, items[middle:])
            return
        with self._database.transaction() as session:
            chore.put_off(session, items[0][0])


def _clock(fresh: Fresh) -> Cause:
    return Cause("system", Trail(f"sweep-{fresh.saga_id}", traceparent=begin_trace(fresh.saga_id)), detail={"cause": "timeout"})


def _still_due(batch: Batch, due: Due) -> bool:
    saga = batch.sagas[due.saga_id]
    awaited = saga.pending is not None and saga.pending.command_id == due.command_id
    return awaited and saga.due_at is not None and saga.due_at <= batch.moment.now
