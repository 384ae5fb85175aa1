"""Scheduled work: resend overdue commands, compensate unanswered sagas, time out and complete orders."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import sqlalchemy as sa

from chalicelib.db.connection import Database
from chalicelib.db.pages import Page, first_page
from chalicelib.db.states import Kind, kind_of
from chalicelib.messages.envelope import MessageContext
from chalicelib.messages.trace import begin_trace
from chalicelib.messaging.outbox import Written
from chalicelib.observability import count, logger
from chalicelib.operations.complete import can_complete
from chalicelib.operations.parts import parts
from chalicelib.orders.access import SYSTEM
from chalicelib.orders.changes import Cause
from chalicelib.orders.due import DueOrder, put_off, read_unaccepted, read_uncompleted
from chalicelib.orders.order import OrderStatus
from chalicelib.sagas.cancel_order import CANCEL_ORDER
from chalicelib.sagas.complete_order import COMPLETE_ORDER
from chalicelib.sagas.due import Due, look_later, push_back, read_due
from chalicelib.sagas.engine import Rules, unit_of_work
from chalicelib.sagas.outcomes import Deferred, IdSource, TimedOut

MOST_AT_ONCE = 500
TIMED_OUT = {"ending": OrderStatus.TIMED_OUT.value, "cancel_reason": "nobody accepted the order in time"}

Items = Sequence[tuple[Any, IdSource]]


class Job(Protocol):
    """One kind of thing that falls due."""

    @property
    def name(self) -> str:
        """The metric that counts it."""

    def read(self, session: sa.Connection, rules: Rules, page: Page) -> Sequence[Any]:
        """The due items of a page, longest due first; locks none of them."""

    def do(self, session: sa.Connection, rules: Rules, items: Items) -> list[Written]:
        """Let happen what, under the lock, is still due; return what is to be published."""

    def put_off(self, session: sa.Connection, item: Any, *, counted: bool) -> None:
        """Make room for others: this item failed alone. `counted`: the fault is its own, and each time it waits longer."""


@dataclass(frozen=True)
class OverdueCommands:
    """Sagas whose pending command was waited for long enough."""

    name: str = "SagasDue"

    def read(self, session: sa.Connection, rules: Rules, page: Page) -> Sequence[Due]:  # noqa: ARG002 - a job
        look_later(session, page)
        return read_due(session, page)

    def do(self, session: sa.Connection, rules: Rules, items: Items) -> list[Written]:
        stuck = []
        with unit_of_work(session, rules, saga_ids=[due.saga_id for due, _ in items]) as work:
            for due, ids in items:
                saga = work.sagas.get(due.saga_id)
                if saga is None or saga.due_at is None or saga.due_at > work.moment.now:
                    continue
                if saga.pending is not None and saga.pending.command_id == due.command_id:
                    work.apply(saga, TimedOut() if due.published else Deferred(), _clock(ids), ids)
                elif saga.due_at == due.due_at:
                    stuck.append(saga.saga_id)
        if stuck:
            # No code of ours leaves such a row. It must not stand in front of the others at every sweep.
            logger.error("Due sagas don't await what their rows say", extra={"saga_ids": [str(each) for each in stuck[:10]]})
            push_back(session, stuck)
        return work.written

    def put_off(self, session: sa.Connection, item: Due, *, counted: bool) -> None:
        push_back(session, [item.saga_id], counted=counted)


@dataclass(frozen=True)
class UnacceptedOrders:
    """Open orders that no runner took by `accept_by`: cancelled, to end as TIMED_OUT."""

    name: str = "OrdersTimedOut"

    def read(self, session: sa.Connection, rules: Rules, page: Page) -> Sequence[DueOrder]:  # noqa: ARG002 - a job
        return read_unaccepted(session, page)

    def do(self, session: sa.Connection, rules: Rules, items: Items) -> list[Written]:
        with unit_of_work(session, rules, order_ids=[due.order_id for due, _ in items]) as work:
            for due, ids in items:
                order = work.orders.get(due.order_id)
                if order is None:
                    continue
                is_open = order.order_status is OrderStatus.READY_FOR_PICKUP and order.active_saga_id is None
                if is_open and order.accept_by == due.since and due.since <= work.moment.now:
                    work.start(CANCEL_ORDER, order, _clock(ids), ids, TIMED_OUT)
        return work.written

    def put_off(self, session: sa.Connection, item: DueOrder, *, counted: bool) -> None:
        put_off(session, item.order_id, counted=counted)


@dataclass(frozen=True)
class UncompletedOrders:
    """Delivered orders that nobody completed: completed for them."""

    name: str = "OrdersCompletedByClock"

    def read(self, session: sa.Connection, rules: Rules, page: Page) -> Sequence[DueOrder]:
        return read_uncompleted(session, page, rules.timeouts.complete)

    def do(self, session: sa.Connection, rules: Rules, items: Items) -> list[Written]:
        with unit_of_work(session, rules, order_ids=[due.order_id for due, _ in items]) as work:
            for due, ids in items:
                order = work.orders.get(due.order_id)
                if order and can_complete(order) and order.active_saga_id is None and order.updated_at == due.since:
                    work.start(COMPLETE_ORDER, order, _clock(ids), ids)
        return work.written

    def put_off(self, session: sa.Connection, item: DueOrder, *, counted: bool) -> None:
        put_off(session, item.order_id, counted=counted)


JOBS: tuple[Job, ...] = (OverdueCommands(), UnacceptedOrders(), UncompletedOrders())


class Sweeper:
    """Does every job, in batches; `publish` is called with what each committed batch has written."""

    def __init__(
        self,
        database: Database,
        rules: Rules,
        publish: Callable[[list[Written]], None],
        new_id_source: Callable[[], IdSource],
        most_at_once: int = MOST_AT_ONCE,
    ) -> None:
        self._most_at_once = most_at_once
        self._database = database
        self._rules = rules
        self._publish = publish
        self._new_ids = new_id_source

    def sweep(self) -> None:
        """Handle all that is due now; an item that fails alone never stops the others. Raises where the database is away."""
        with self._database.transaction() as session:
            page = first_page(session, self._most_at_once)
        for job in JOBS:
            self._sweep(job, page)

    def _sweep(self, job: Job, page: Page) -> None:
        # Page by page: an item that stays due, as somebody else has its order locked, is not on the next page and stops nobody.
        number = page.most
        while number == page.most:
            with self._database.transaction() as session:
                due = job.read(session, self._rules, page)
            number = len(due)
            if not due:
                return
            count({job.name: number})
            self._do(job, [(item, self._new_ids()) for item in due])
            page = replace(page, after=due[-1].place)

    def _do(self, job: Job, items: Items) -> None:
        try:
            with self._database.transaction() as session:
                written = job.do(session, self._rules, items)
        except Exception as error:
            kind = kind_of(error)
            if kind is Kind.AWAY:
                raise
            logger.exception("A sweep failed", extra={"chore": job.name, "items": len(items)})
            if len(items) > 1:
                for part in parts(items, kind):
                    self._do(job, part)
                return
            self._put_off(job, items[0][0], counted=kind is Kind.FAULT)
        else:
            self._publish(written)

    def _put_off(self, job: Job, item: Any, *, counted: bool) -> None:
        try:
            with self._database.transaction() as session:
                job.put_off(session, item, counted=counted)
        except Exception as error:
            if kind_of(error) is Kind.AWAY:
                raise
            # What can't be written can't be put off either. It stays due, and the next page begins behind it.
            logger.exception("An item can't be put off", extra={"chore": job.name})


def _clock(ids: IdSource) -> Cause:
    return Cause(SYSTEM, MessageContext(f"sweep-{ids.saga_id}", traceparent=begin_trace(ids.saga_id)), detail={"cause": "timeout"})
