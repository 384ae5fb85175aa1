"""One order's messages: the examples, written by the functions that write real ones."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from chalicelib.messages.envelope import SOURCE, Incoming, MessageContext, Outgoing, encode
from chalicelib.messages.events import OrderCreated, OrderEvent, OrderPaymentStatusChanged, OrderStatusChanged, OrderUpdated
from chalicelib.messages.wire import Wire
from chalicelib.messaging.dead_letters import DeadLetter, copy_of
from infra.documents.asyncapi.catalogue import Kind, Message
from infra.documents.openapi import examples as shown

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
MESSAGE_ID = "019aaa6e-0b43-7d10-9a52-2e4c6f8b0d13"
PARTNERS = {"user": "/campusg/users", "payment": "/campusg/payments", "escrow": "/campusg/escrow"}

VALUES: dict[str, Any] = {
    "order_id": str(shown.ORDER_ID),
    "customer_id": "cust_1",
    "runner_id": "run_1",
    "payment_method_id": "pm_4d2e",
    "payout_account_id": "acct_08c1",
    "payment_id": "pay_7f3a",
    "escrow_id": "esc_91bc",
    "amount": Decimal("12.99"),
    "food_fee": Decimal("9.00"),
    "delivery_fee": Decimal("3.99"),
    "currency": "SGD",
    "reason": "the card has expired",
    "recipient_id": "cust_1",
    "recipient_type": "CUSTOMER",
    "notification_type": "ORDER_OPENED",
    "title": "Order placed",
    "message": "Your order from Koufu is paid for and waits for a runner.",
}
PAID = {**shown.COLLECTED, "version": 12, "orderStatus": "DELIVERED", "paymentStatus": "CAPTURED", "activeSagaId": str(shown.SAGA_ID)}
HELD = {**shown.OPEN, "version": 5, "runnerId": "run_1", "activeSagaId": str(shown.SAGA_ID)}
EVENTS: dict[type[OrderEvent], OrderEvent] = {
    OrderCreated: OrderCreated(from_=None, to="CREATED", payment_from=None, payment_to="PENDING", order=shown.NEW),
    OrderStatusChanged: OrderStatusChanged(
        from_="PAYMENT_AUTHORIZED", to="READY_FOR_PICKUP", payment_from="AUTHORIZED", payment_to="AUTHORIZED", order=shown.OPEN
    ),
    OrderPaymentStatusChanged: OrderPaymentStatusChanged(
        from_="DELIVERED", to="DELIVERED", payment_from="AUTHORIZED", payment_to="CAPTURED", order=PAID
    ),
    OrderUpdated: OrderUpdated(
        from_="READY_FOR_PICKUP", to="READY_FOR_PICKUP", payment_from="AUTHORIZED", payment_to="AUTHORIZED", order=HELD
    ),
}


def record_of(message: Message) -> Outgoing:
    """The message as a record, complete."""
    context = MessageContext(shown.CORRELATION_ID, traceparent=TRACE)
    if message.asked or message.ours:
        context = replace(context, causation_id=MESSAGE_ID if message.ours else shown.COMMAND_ID, saga_id=str(shown.SAGA_ID))
    return encode(
        _example(message.kind),
        str(shown.ORDER_ID),
        context,
        id=shown.COMMAND_ID if message.ours else MESSAGE_ID,
        time=shown.OPENED - timedelta(milliseconds=200),
        source=SOURCE if message.ours else PARTNERS[message.type.split(".", maxsplit=1)[0]],
    )


def dead_letter() -> Outgoing:
    """A record that nobody could read, as `orders-dlq` has it."""
    record = Incoming("payment-events", 2, 1704, str(shown.ORDER_ID).encode(), b'{"orderId": ', (("ce_type", b"payment.authorized"),))
    letter = DeadLetter(
        shown.SAGA_ID, record, "Unintelligible", "no CloudEvent: ce_specversion, ce_id, ce_source missing", 1, "payment.authorized"
    )
    return copy_of(letter)


def _example(kind: Kind) -> Wire:
    if issubclass(kind, OrderEvent):
        return EVENTS[kind]
    return kind.model_validate({name: VALUES.get(name, f"some {name}") for name in kind.model_fields})
