"""A runner takes an open order: exactly one wins."""

from uuid import UUID

import sqlalchemy as sa

from chalicelib.errors import HeldBySaga, Taken, TooLate, WrongStatus
from chalicelib.messages.envelope import Trail
from chalicelib.operations.asked import Asked, Versions, done_before, holder_of, lock_order, refuse_if_held, refuse_unless_at, written
from chalicelib.operations.once import Once, unclaimed
from chalicelib.orders.changes import Cause
from chalicelib.orders.order import Order, OrderStatus
from chalicelib.sagas.accept_order import ACCEPT_ORDER
from chalicelib.sagas.engine import Batch, Rules
from chalicelib.sagas.outcomes import Fresh

HAS_ITS_RUNNER = frozenset(
    {OrderStatus.ACCEPTED, OrderStatus.COLLECTED, OrderStatus.ON_THE_WAY, OrderStatus.DELIVERED, OrderStatus.COMPLETED}
)


def accept_order(
    session: sa.Connection,
    rules: Rules,
    order_id: UUID,
    runner_id: str,
    *,
    actor: str,
    trail: Trail,
    fresh: Fresh,
    once: Once = unclaimed,
    versions: Versions = None,
) -> Asked:
    """Start `accept_order` for `runner_id`, join it, or find it done.

    Raises NotFound, PreconditionFailed, Taken, TooLate, HeldBySaga (also where an accept is being undone), WrongStatus (not open, or the
    runner's own order).
    """
    batch = lock_order(session, rules, order_id)
    order = batch.orders[order_id]
    once(session)
    holder = holder_of(batch, order)
    is_its_runner = order.runner_id == runner_id
    if holder and holder.name == ACCEPT_ORDER.name and is_its_runner and not holder.turned:
        return Asked(order, holder)
    if not holder and order.order_status in HAS_ITS_RUNNER and is_its_runner:
        return done_before(session, order, ACCEPT_ORDER.name)
    refuse_unless_at(order, versions)
    if holder and holder.name == ACCEPT_ORDER.name:
        if not is_its_runner:
            raise Taken("another runner is accepting the order")
        raise HeldBySaga("this acceptance is being undone; try again when it has ended")
    refuse_if_held(batch, order)
    _refuse_unless_open(batch, order, runner_id)
    saga = batch.start(ACCEPT_ORDER, order, Cause(actor, trail), fresh, {"runner_id": runner_id})
    return written(batch, order_id, saga.saga_id)


def _refuse_unless_open(batch: Batch, order: Order, runner_id: str) -> None:
    if order.order_status in HAS_ITS_RUNNER:
        raise Taken("another runner has the order")
    if order.order_status is not OrderStatus.READY_FOR_PICKUP:
        raise WrongStatus(f"the order is {order.order_status} and not open")
    if order.customer_id == runner_id:
        raise WrongStatus("a runner can't take their own order")
    if order.accept_by is None or order.accept_by <= batch.moment.now:
        raise TooLate("the time to accept the order is over")
