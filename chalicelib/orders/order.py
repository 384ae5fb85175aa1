"""The order itself: a frozen value, its statuses, and the JSON that the outside sees."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from chalicelib.messages.envelope import timestamp


class OrderStatus(StrEnum):
    CREATED = "CREATED"
    PENDING_PAYMENT = "PENDING_PAYMENT"
    PAYMENT_AUTHORIZED = "PAYMENT_AUTHORIZED"
    READY_FOR_PICKUP = "READY_FOR_PICKUP"
    ACCEPTED = "ACCEPTED"
    COLLECTED = "COLLECTED"
    ON_THE_WAY = "ON_THE_WAY"
    DELIVERED = "DELIVERED"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"


class PaymentStatus(StrEnum):
    PENDING = "PENDING"
    AUTHORIZED = "AUTHORIZED"
    CAPTURED = "CAPTURED"
    REFUNDED = "REFUNDED"
    RELEASED = "RELEASED"
    FAILED = "FAILED"


@dataclass(frozen=True)
class FoodItem:
    name: str
    price: Decimal
    quantity: int


@dataclass(frozen=True)
class Order:
    """One food order. Money is in `currency`, times are aware UTC datetimes.

    `authorization_expired` is ours alone: the bank no longer keeps the money, and whichever saga ends next has to act on it.
    """

    order_id: UUID
    customer_id: str
    food_items: tuple[FoodItem, ...]
    store_location: str
    delivery_location: str
    food_fee: Decimal
    delivery_fee: Decimal
    total: Decimal
    currency: str
    order_status: OrderStatus
    payment_status: PaymentStatus
    created_at: datetime
    updated_at: datetime
    version: int
    runner_id: str | None = None
    payment_id: str | None = None
    escrow_id: str | None = None
    accept_by: datetime | None = None
    active_saga_id: UUID | None = None
    cancel_reason: str | None = None
    accepted_at: datetime | None = None
    collected_at: datetime | None = None
    on_the_way_at: datetime | None = None
    delivered_at: datetime | None = None
    completed_at: datetime | None = None
    cancelled_at: datetime | None = None
    authorization_expired: bool = False


def document(order: Order) -> dict[str, Any]:
    """The order as HTTP answers and events show it: camelCase, money as strings, times RFC 3339 with `Z`."""
    return {
        "orderId": str(order.order_id),
        "customerId": order.customer_id,
        "runnerId": order.runner_id,
        "foodItems": [{"name": item.name, "price": f"{item.price:.2f}", "quantity": item.quantity} for item in order.food_items],
        "storeLocation": order.store_location,
        "deliveryLocation": order.delivery_location,
        "foodFee": f"{order.food_fee:.2f}",
        "deliveryFee": f"{order.delivery_fee:.2f}",
        "total": f"{order.total:.2f}",
        "currency": order.currency,
        "orderStatus": order.order_status.value,
        "paymentStatus": order.payment_status.value,
        "paymentId": order.payment_id,
        "escrowId": order.escrow_id,
        "acceptBy": _time(order.accept_by),
        "activeSagaId": str(order.active_saga_id) if order.active_saga_id else None,
        "cancelReason": order.cancel_reason,
        "createdAt": _time(order.created_at),
        "updatedAt": _time(order.updated_at),
        "acceptedAt": _time(order.accepted_at),
        "collectedAt": _time(order.collected_at),
        "onTheWayAt": _time(order.on_the_way_at),
        "deliveredAt": _time(order.delivered_at),
        "completedAt": _time(order.completed_at),
        "cancelledAt": _time(order.cancelled_at),
        "version": order.version,
    }


def _time(moment: datetime | None) -> str | None:
    return timestamp(moment) if moment else None
