"""The runner's own steps: collected, on the way, delivered."""

from uuid import UUID

import sqlalchemy as sa

from chalicelib.errors import WrongStatus
from chalicelib.operations.call import Asking, Call, holder_of, order_locked, refuse_if_held, refuse_unless_at
from chalicelib.orders.access import changeable
from chalicelib.orders.changes import Cause
from chalicelib.orders.lifecycle import move
from chalicelib.orders.order import Order, OrderStatus
from chalicelib.sagas.state import Saga

BY_HAND: dict[OrderStatus, OrderStatus] = {
    OrderStatus.ACCEPTED: OrderStatus.COLLECTED,
    OrderStatus.COLLECTED: OrderStatus.ON_THE_WAY,
    OrderStatus.ON_THE_WAY: OrderStatus.DELIVERED,
}


def move_status(session: sa.Connection, call: Call, order_id: UUID, to: OrderStatus) -> Order:
    """Move an order to the next status that a runner sets by hand.

    Raises NotFound, Forbidden, PreconditionFailed, HeldBySaga, WrongStatus.
    """
    with order_locked(session, call, order_id) as (work, order):
        refuse_move(order, holder_of(work, order), to, call.asking(session))
        work.change(move(order, to, work.moment.now), Cause(call.viewer.acting_as(order), call.context), call.ids)
        return work.orders[order_id]


def refuse_move(order: Order, holder: Saga | None, to: OrderStatus, asking: Asking) -> None:
    """Raises what `move_status` does."""
    changeable(order, asking.viewer, by_runner=True)
    refuse_unless_at(order, asking.versions)
    refuse_if_held(holder)
    if BY_HAND.get(order.order_status) is not to:
        raise WrongStatus(f"after {order.order_status} an order can't be set to {to}")
