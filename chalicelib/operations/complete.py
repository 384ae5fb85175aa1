"""The food has arrived: pay the runner."""

from uuid import UUID

import sqlalchemy as sa

from chalicelib.errors import WrongStatus
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
from chalicelib.orders.access import changeable
from chalicelib.orders.changes import Cause
from chalicelib.orders.order import Order, OrderStatus, PaymentStatus
from chalicelib.sagas.complete_order import COMPLETE_ORDER
from chalicelib.sagas.state import Saga


def complete_order(session: sa.Connection, call: Call, order_id: UUID) -> Served:
    """Start `complete_order`, join it, or find it done; raises NotFound, Forbidden, PreconditionFailed, HeldBySaga, WrongStatus."""
    with order_locked(session, call, order_id) as (work, order):
        holder = holder_of(work, order)
        if not must_complete(order, holder, call.asking(session)):
            return served_before(session, order, holder, COMPLETE_ORDER.name)
        cause = Cause(call.viewer.acting_as(order), call.context)
        return served_by(work, work.start(COMPLETE_ORDER, order, cause, call.ids))


def must_complete(order: Order, holder: Saga | None, asking: Asking) -> bool:
    """Whether completing starts a saga; False where one is at it, or the order is complete. Raises what `complete_order` does."""
    changeable(order, asking.viewer, by_owner=True, by_runner=True)
    asking.claim()
    if holder and holder.name == COMPLETE_ORDER.name and not holder.compensating:
        return False
    if not holder and order.order_status is OrderStatus.COMPLETED:
        return False
    refuse_unless_at(order, asking.versions)
    refuse_if_held(holder)
    if not can_complete(order):
        raise WrongStatus(f"the order is {order.order_status} and its payment {order.payment_status}")
    return True


def can_complete(order: Order) -> bool:
    """Whether the food has arrived and the money is still there."""
    return order.order_status is OrderStatus.DELIVERED and order.payment_status is PaymentStatus.AUTHORIZED
