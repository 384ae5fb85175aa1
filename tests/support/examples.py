"""Orders, records and rules as tests need them: complete and valid, but for what a test changes."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from chalicelib.messages.envelope import Incoming, MessageContext, to_json
from chalicelib.operations.expire import cancel_expired
from chalicelib.orders.order import FoodItem, Order, OrderStatus, PaymentStatus
from chalicelib.orders.timeouts import Timeouts
from chalicelib.sagas.definition import Definition, Moment
from chalicelib.sagas.engine import Rules
from chalicelib.sagas.retry import RetryPolicy
from chalicelib.sagas.state import Saga, SagaStatus, StepState

NOW = datetime(2026, 11, 22, 8, 15, tzinfo=UTC)
POLICY = RetryPolicy(timedelta(seconds=10), 5)
ACCEPT_TIMEOUT = timedelta(minutes=30)
RULES = Rules(POLICY, Timeouts(ACCEPT_TIMEOUT), cancel_expired)
ORDER_ID = UUID("01930000-0000-7000-8000-00000000000a")
SAGA_ID = UUID("01930000-0000-7000-8000-00000000000b")
CONTEXT = MessageContext("corr-1", traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

_NEW_ORDER = Order(
    order_id=ORDER_ID,
    customer_id="cust_1",
    food_items=(FoodItem("Chicken rice", Decimal("4.50"), 2),),
    store_location="Koufu",
    delivery_location="Hall 5, room 210",
    food_fee=Decimal("9.00"),
    delivery_fee=Decimal("3.99"),
    total=Decimal("12.99"),
    currency="SGD",
    order_status=OrderStatus.CREATED,
    payment_status=PaymentStatus.PENDING,
    created_at=NOW,
    updated_at=NOW,
    version=1,
)


def an_order(**changes: Any) -> Order:
    """A new order over 12.99 of cust_1, with `changes`."""
    return replace(_NEW_ORDER, **changes)


def an_order_in(status: OrderStatus, **changes: Any) -> Order:
    """An order that has come to that status (from READY_FOR_PICKUP on) by the usual way; run_1 is its runner from ACCEPTED on."""
    opened: dict[str, Any] = {
        "order_status": status,
        "payment_status": PaymentStatus.AUTHORIZED,
        "payment_id": "pay_1",
        "escrow_id": "esc_1",
        "accept_by": NOW + ACCEPT_TIMEOUT,
        "runner_id": None if status is OrderStatus.READY_FOR_PICKUP else "run_1",
        "version": 7,
    }
    return an_order(**{**opened, **changes})


def a_saga(definition: Definition, **changes: Any) -> Saga:
    """A saga of that definition on `an_order()`, about to begin, with `changes`."""
    saga = Saga(
        saga_id=SAGA_ID,
        order_id=ORDER_ID,
        name=definition.name,
        definition_version=definition.version,
        status=SagaStatus.RUNNING,
        steps=tuple(StepState(step.name) for step in definition.steps),
        context=CONTEXT,
        started_at=NOW,
    )
    return replace(saga, **changes)


def a_moment(now: datetime = NOW, policy: RetryPolicy = POLICY) -> Moment:
    return Moment(now, policy, Timeouts(ACCEPT_TIMEOUT))


def a_record(value: bytes | None = b"{}", headers: Mapping[str, str | bytes] | None = None, **changes: Any) -> Incoming:
    """A record of `user-events` with these headers, as it came from Kafka."""
    raw = tuple((name, text if isinstance(text, bytes) else text.encode()) for name, text in (headers or {}).items())
    return replace(Incoming("user-events", 1, 42, str(ORDER_ID).encode(), value, raw), **changes)


def a_reply_record(type: str, data: Any, **headers: str | bytes | None) -> Incoming:
    """A reply in binary mode on its partner's topic; a keyword such as `ce_id` sets that header, None leaves it out."""
    complete: dict[str, str | bytes | None] = {
        "ce_specversion": "1.0",
        "ce_id": "reply-1",
        "ce_type": type,
        "ce_source": "/partner",
        "content-type": "application/json",
        "ce_sagaid": str(SAGA_ID),
        "ce_causationid": "command-1",
        **headers,
    }
    present = {name: text for name, text in complete.items() if text is not None}
    topic = f"{type.partition('.')[0]}-events"
    return a_record(data if isinstance(data, bytes) else to_json(data), present, topic=topic)
