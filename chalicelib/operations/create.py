"""Place an order: the row, its saga and the first command, in one transaction."""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

import sqlalchemy as sa

from chalicelib.operations.call import Call, Served, served_by
from chalicelib.orders.changes import Cause
from chalicelib.orders.order import FoodItem, Order, OrderStatus, PaymentStatus
from chalicelib.orders.pricing import CURRENCY, price
from chalicelib.sagas.create_order import CREATE_ORDER
from chalicelib.sagas.engine import unit_of_work


@dataclass(frozen=True)
class NewOrder:
    """What a customer wants, validated and trimmed."""

    customer_id: str
    items: tuple[FoodItem, ...]
    store_location: str
    delivery_location: str
    delivery_fee: Decimal


def create_order(session: sa.Connection, call: Call, order_id: UUID, new: NewOrder) -> Served:
    """Insert the order under an id that is new and start `create_order` on it."""
    call.once(session)
    with unit_of_work(session, call.rules, call.written) as work:
        cost = price(new.items, new.delivery_fee)
        order = Order(
            order_id=order_id,
            customer_id=new.customer_id,
            food_items=new.items,
            store_location=new.store_location,
            delivery_location=new.delivery_location,
            food_fee=cost.food_fee,
            delivery_fee=cost.delivery_fee,
            total=cost.total,
            currency=CURRENCY,
            order_status=OrderStatus.CREATED,
            payment_status=PaymentStatus.PENDING,
            created_at=work.moment.now,
            updated_at=work.moment.now,
            version=1,
        )
        cause = Cause(call.viewer.actor(customer_id=new.customer_id), call.context)
        return served_by(work, work.start(CREATE_ORDER, order, cause, call.ids))
