"""The food has arrived: pay the runner."""

from uuid import UUID

import sqlalchemy as sa

from chalicelib.errors import WrongStatus
from chalicelib.operations.call import Call, Served, done_before, holder_of, order_locked, refuse_if_held, refuse_unless_at, served_by
from chalicelib.orders.access import changeable
from chalicelib.orders.changes import Cause
from chalicelib.orders.order import Order, OrderStatus, PaymentStatus
from chalicelib.sagas.complete_order import COMPLETE_ORDER


def complete_order(session: sa.Connection, call: Call, order_id: UUID) -> Served:
    """Start `complete_order`, join it, or find it done; raises NotFound, Forbidden, PreconditionFailed, HeldBySaga, WrongStatus."""
    with order_locked(session, call, order_id) as (work, locked):
        order = changeable(locked, call.viewer, by_owner=True, by_runner=True)
        call.once(session)
        holder = holder_of(work, order)
        if holder and holder.name == COMPLETE_ORDER.name and not holder.compensating:
            return Served(order, holder)
        if not holder and order.order_status is OrderStatus.COMPLETED:
            return done_before(session, order, COMPLETE_ORDER.name)
        refuse_unless_at(order, call.versions)
        refuse_if_held(work, order)
        if not can_complete(order):
            raise WrongStatus(f"the order is {order.order_status} and its payment {order.payment_status}")
        cause = Cause(call.viewer.acting_as(order), call.context)
        return served_by(work, work.start(COMPLETE_ORDER, order, cause, call.ids))


def can_complete(order: Order) -> bool:
    """Whether the food has arrived and the money is still there."""
    return order.order_status is OrderStatus.DELIVERED and order.payment_status is PaymentStatus.AUTHORIZED
