"""What people are told, and in which words."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from chalicelib.messages.commands import NotificationType, SendNotification
from chalicelib.orders.order import Order
from chalicelib.sagas.definition import SagaData
from chalicelib.sagas.state import SagaError

WORDS: dict[NotificationType, tuple[str, str]] = {
    "ORDER_OPENED": ("Order placed", "Your order from {store} is paid for and waits for a runner."),
    "ORDER_REFUSED": ("Order refused", "Your order from {store} could not be placed. You were not charged."),
    "ORDER_ACCEPTED": ("Runner found", "The order from {store} to {place} has its runner."),
    "ORDER_REOPENED": ("Looking for a new runner", "The runner gave your order from {store} back; it is open again."),
    "ORDER_COMPLETED": ("Order completed", "The order from {store} to {place} is delivered and paid."),
    "ORDER_CANCELLED": ("Order cancelled", "The order from {store} was cancelled. No money was taken."),
    "ORDER_TIMED_OUT": ("No runner found", "Nobody took the order from {store} in time. No money was taken."),
}


Notices: TypeAlias = Callable[[Order, SagaData], Sequence[SendNotification]]


def customer_is_told(type: NotificationType) -> Notices:
    """For a Notify step: one message to the order's customer."""
    return lambda order, _data: (to_customer(order, type),)


def runner_is_told(type: NotificationType) -> Notices:
    """For a Notify step: one message to the order's runner."""
    return lambda order, _data: (to_runner(order, type),)


def nobody_is_told(_order: Order, _error: SagaError) -> Sequence[SendNotification]:
    """For a saga whose undoing concerns nobody but the one who asked."""
    return ()


def to_customer(order: Order, type: NotificationType) -> SendNotification:
    return _notice(order, order.customer_id, "CUSTOMER", type)


def to_runner(order: Order, type: NotificationType) -> SendNotification:
    """Raises ValueError where the order has no runner."""
    if order.runner_id is None:
        raise ValueError(f"order {order.order_id} has no runner to notify")
    return _notice(order, order.runner_id, "RUNNER", type)


def _notice(order: Order, recipient: str, recipient_type: str, type: NotificationType) -> SendNotification:
    title, message = WORDS[type]
    return SendNotification.model_validate(
        {
            "recipient_id": recipient,
            "recipient_type": recipient_type,
            "notification_type": type,
            "title": title,
            "message": message.format(store=order.store_location, place=order.delivery_location),
            "order_id": str(order.order_id),
        }
    )
