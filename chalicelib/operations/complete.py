"""The food has arrived: pay the runner."""

from uuid import UUID

import sqlalchemy as sa

from chalicelib.errors import WrongStatus
from chalicelib.messages.envelope import Trail
from chalicelib.operations.asked import Asked, Versions, done_before, holder_of, lock_order, refuse_if_held, refuse_unless_at, written
from chalicelib.operations.once import Once, unclaimed
from chalicelib.orders.access import Viewer, changeable
from chalicelib.orders.changes import Cause
from chalicelib.orders.order import Order, OrderStatus, PaymentStatus
from chalicelib.sagas.complete_order import COMPLETE_ORDER
from chalicelib.sagas.engine import Rules
from chalicelib.sagas.outcomes import Fresh


def complete_order(
    session: sa.Connection,
    rules: Rules,
    order_id: UUID,
    viewer: Viewer,
    *,
    trail: Trail,
    fresh: Fresh,
    once: Once = unclaimed,
    versions: Versions = None,
) -> Asked:
    """Start `complete_order`, join it, or find it done; raises NotFound, Forbidden, PreconditionFailed, HeldBySaga, WrongStatus."""
    batch = lock_order(session, rules, order_id)
    order = changeable(batch.orders[order_id], viewer, by_owner=True, by_runner=True)
    once(session)
    holder = holder_of(batch, order)
    if holder and holder.name == COMPLETE_ORDER.name and not holder.turned:
        return Asked(order, holder)
    if not holder and order.order_status is OrderStatus.COMPLETED:
        return done_before(session, order, COMPLETE_ORDER.name)
    refuse_unless_at(order, versions)
    refuse_if_held(batch, order)
    if not can_complete(order):
        raise WrongStatus(f"the order is {order.order_status} and its payment {order.payment_status}")
    saga = batch.start(COMPLETE_ORDER, order, Cause(viewer.acting_as(order), trail), fresh)
    return written(batch, order_id, saga.saga_id)


def can_complete(order: Order) -> bool:
    """Whether the food has arrived and the money is still there."""
    return order.order_status is OrderStatus.DELIVERED and order.payment_status is PaymentStatus.AUTHORIZED
