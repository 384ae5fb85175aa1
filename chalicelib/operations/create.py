"""Place an order: the row, its saga and the first command, in one transaction."""

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

import sqlalchemy as sa

from chalicelib.messages.envelope import Trail
from chalicelib.operations.asked import Asked, written
from chalicelib.operations.once import Once, unclaimed
from chalicelib.orders.changes import Cause
from chalicelib.orders.order import FoodItem, Order, OrderStatus, PaymentStatus
from chalicelib.orders.pricing import CURRENCY, price
from chalicelib.sagas.create_order import CREATE_ORDER
from chalicelib.sagas.engine import Rules, fresh_batch
from chalicelib.sagas.outcomes import Fresh


@dataclass(frozen=True)
class NewOrder:
    """What a customer wants, validated and trimmed."""

    customer_id: str
    items: tuple[FoodItem, ...]
    store_location: str
    delivery_location: str
    delivery_fee: Decimal


@dataclass(frozen=True)
class Ids:
    """Made before the transaction, so that it can be run again."""

    order_id: UUID
    fresh: Fresh


def create_order(session: sa.Connection, rules: Rules, new: NewOrder, ids: Ids, actor: str, trail: Trail, once: Once = unclaimed) -> Asked:
    """Insert the order and start `create_order` on it."""
    once(session)
    batch = fresh_batch(session, rules)
    cost = price(new.items, new.delivery_fee)
    order = Order(
        order_id=ids.order_id,
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
        created_at=batch.moment.now,
        updated_at=batch.moment.now,
        version=1,
    )
    saga = batch.start(CREATE_ORDER, order, Cause(actor, trail), ids.fresh)
    return written(batch, order.order_id, saga.saga_id)
