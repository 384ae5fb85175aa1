"""When the bank no longer keeps the money: what that means for an order."""

from chalicelib.orders.order import Order, OrderStatus, PaymentStatus

NOT_YET_COLLECTED = frozenset(
    {
        OrderStatus.CREATED,
        OrderStatus.PENDING_PAYMENT,
        OrderStatus.PAYMENT_AUTHORIZED,
        OrderStatus.READY_FOR_PICKUP,
        OrderStatus.ACCEPTED,
    }
)
DATA = {"ending": OrderStatus.CANCELLED.value, "cancel_reason": "the payment's authorization expired"}


def concerns(order: Order, payment_id: str) -> bool:
    """Whether an expiry is news: once an order, while the payment could be that authorization."""
    open_payment = order.payment_status in (PaymentStatus.PENDING, PaymentStatus.AUTHORIZED)
    return not order.authorization_expired and open_payment and order.payment_id in (None, payment_id)


def cancels(order: Order) -> bool:
    """Whether an order that no saga holds has to be cancelled because its authorization expired."""
    return order.authorization_expired and order.active_saga_id is None and order.order_status in NOT_YET_COLLECTED
