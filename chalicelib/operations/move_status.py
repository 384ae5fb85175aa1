"""The runner's own steps: collected, on the way, delivered."""

from uuid import UUID

import sqlalchemy as sa

from chalicelib.errors import WrongStatus
from chalicelib.messages.envelope import Trail
from chalicelib.operations.asked import Versions, lock_order, refuse_if_held, refuse_unless_at
from chalicelib.orders.access import Viewer, changeable
from chalicelib.orders.changes import Cause
from chalicelib.orders.lifecycle import move
from chalicelib.orders.order import Order, OrderStatus
from chalicelib.sagas.engine import Rules
from chalicelib.sagas.outcomes import Fresh

BY_HAND: dict[OrderStatus, OrderStatus] = {
    OrderStatus.ACCEPTED: OrderStatus.COLLECTED,
    OrderStatus.COLLECTED: OrderStatus.ON_THE_WAY,
    OrderStatus.ON_THE_WAY: OrderStatus.DELIVERED,
}


def move_status(
    session: sa.Connection,
    rules: Rules,
    order_id: UUID,
    to: OrderStatus,
    viewer: Viewer,
    *,
    versions: Versions,
    trail: Trail,
    fresh: Fresh,
) -> Order:
    """Move an order to the next status that a runner sets by hand;

    Raises NotFound, Forbidden, PreconditionFailed, HeldBySaga, WrongStatus.
    """
    batch = lock_order(session, rules, order_id)
    order = changeable(batch.orders[order_id], viewer, by_runner=True)
    refuse_unless_at(order, versions)
    refuse_if_held(batch, order)
    if BY_HAND.get(order.order_status) is not to:
        raise WrongStatus(f"after {order.order_status} an order can't be set to {to}")
    batch.change(move(order, to, batch.moment.now), Cause(viewer.acting_as(order), trail), fresh)
    batch.write()
    return batch.orders[order_id]
