"""A runner takes an open order: exactly one wins."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from chalicelib.errors import HeldBySaga, Taken, TooLate, WrongStatus
from chalicelib.operations.call import (
    Asking,
    Call,
    Served,
    holder_of,
    order_locked,
    refuse_if_held,
    refuse_unless_at,
    served_before,
    served_by,
)
from chalicelib.orders.changes import Cause
from chalicelib.orders.order import Order, OrderStatus
from chalicelib.sagas.accept_order import ACCEPT_ORDER
from chalicelib.sagas.state import Saga

HAS_ITS_RUNNER = frozenset(
    {OrderStatus.ACCEPTED, OrderStatus.COLLECTED, OrderStatus.ON_THE_WAY, OrderStatus.DELIVERED, OrderStatus.COMPLETED}
)


def accept_order(session: sa.Connection, call: Call, order_id: UUID, runner_id: str) -> Served:
    """Start `accept_order` for `runner_id`, join it, or find it done.

    Raises NotFound, PreconditionFailed, Taken, TooLate, HeldBySaga (also where an accept is being undone), WrongStatus (not open, or the
    runner's own order).
    """
    with order_locked(session, call, order_id) as (work, order):
        holder = holder_of(work, order)
        if not must_accept(order, holder, runner_id, call.asking(session), work.moment.now):
            return served_before(session, order, holder, ACCEPT_ORDER.name)
        cause = Cause(call.viewer.actor(runner_id=runner_id), call.context)
        return served_by(work, work.start(ACCEPT_ORDER, order, cause, call.ids, {"runner_id": runner_id}))


def must_accept(order: Order, holder: Saga | None, runner_id: str, asking: Asking, now: datetime) -> bool:
    """Whether accepting starts a saga; False where one is at it, or the runner has the order. Raises what `accept_order` does."""
    asking.claim()
    is_its_runner = order.runner_id == runner_id
    if holder and holder.name == ACCEPT_ORDER.name and is_its_runner and not holder.compensating:
        return False
    if not holder and order.order_status in HAS_ITS_RUNNER and is_its_runner:
        return False
    refuse_unless_at(order, asking.versions)
    if holder and holder.name == ACCEPT_ORDER.name:
        if not is_its_runner:
            raise Taken("another runner is accepting the order")
        raise HeldBySaga("this acceptance is being undone; try again when it has ended")
    refuse_if_held(holder)
    _refuse_unless_open(order, runner_id, now)
    return True


def _refuse_unless_open(order: Order, runner_id: str, now: datetime) -> None:
    if order.order_status in HAS_ITS_RUNNER:
        raise Taken("another runner has the order")
    if order.order_status is not OrderStatus.READY_FOR_PICKUP:
        raise WrongStatus(f"the order is {order.order_status} and not open")
    if order.customer_id == runner_id:
        raise WrongStatus("a runner can't take their own order")
    if order.accept_by is None or order.accept_by <= now:
        raise TooLate("the time to accept the order is over")
