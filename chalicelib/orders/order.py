"""The order itself: a frozen value, its statuses, and the JSON that the outside sees."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from chalicelib.fields import ID, MONEY, NUMBER, PERSON, TEXT, TIME, Field, Kind, Table, each, maybe, one_of


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


FOOD_ITEM = Table(
    "FoodItem",
    "",
    (
        Field("name", "name", TEXT),
        Field("price", "price", MONEY),
        Field("quantity", "quantity", Kind({"type": "integer", "minimum": 1, "maximum": 99})),
    ),
)
# As HTTP answers and events show an order.
ORDER = Table(
    "Order",
    "One food order. Each `…At` is set by the outcome that enters the status.",
    (
        Field("orderId", "order_id", ID),
        Field("customerId", "customer_id", PERSON),
        Field("runnerId", "runner_id", maybe(PERSON)),
        Field("foodItems", "food_items", each(FOOD_ITEM, minItems=1, maxItems=50)),
        Field("storeLocation", "store_location", TEXT),
        Field("deliveryLocation", "delivery_location", TEXT),
        Field("foodFee", "food_fee", MONEY),
        Field("deliveryFee", "delivery_fee", MONEY),
        Field("total", "total", MONEY),
        Field("currency", "currency", Kind({"type": "string", "pattern": "^[A-Z]{3}$"}), "ISO 4217."),
        Field("orderStatus", "order_status", one_of(OrderStatus)),
        Field("paymentStatus", "payment_status", one_of(PaymentStatus)),
        Field("paymentId", "payment_id", maybe(TEXT)),
        Field("escrowId", "escrow_id", maybe(TEXT)),
        Field("acceptBy", "accept_by", maybe(TIME)),
        Field("activeSagaId", "active_saga_id", maybe(ID), "The saga that holds the order; while it is set, other changes are refused."),
        Field("cancelReason", "cancel_reason", maybe(TEXT)),
        Field("createdAt", "created_at", TIME),
        Field("updatedAt", "updated_at", TIME),
        Field("acceptedAt", "accepted_at", maybe(TIME)),
        Field("collectedAt", "collected_at", maybe(TIME)),
        Field("onTheWayAt", "on_the_way_at", maybe(TIME)),
        Field("deliveredAt", "delivered_at", maybe(TIME)),
        Field("completedAt", "completed_at", maybe(TIME)),
        Field("cancelledAt", "cancelled_at", maybe(TIME)),
        Field("version", "version", NUMBER, "Raised by one with every change; the entity tag."),
    ),
)
