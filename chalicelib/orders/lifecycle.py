"""The one door to an order's statuses: what may follow what, as literals, and the function that moves an order."""

from datetime import datetime
from typing import Any

from chalicelib.errors import IllegalTransition
from chalicelib.orders.order import Order, OrderStatus, PaymentStatus
from chalicelib.values import replace

S, P = OrderStatus, PaymentStatus

ORDER_MOVES: dict[OrderStatus, frozenset[OrderStatus]] = {
    S.CREATED: frozenset({S.PENDING_PAYMENT, S.CANCELLED}),
    S.PENDING_PAYMENT: frozenset({S.PAYMENT_AUTHORIZED, S.CANCELLED}),
    S.PAYMENT_AUTHORIZED: frozenset({S.READY_FOR_PICKUP, S.CANCELLED}),
    S.READY_FOR_PICKUP: frozenset({S.ACCEPTED, S.CANCELLED, S.TIMED_OUT}),
    S.ACCEPTED: frozenset({S.COLLECTED, S.READY_FOR_PICKUP, S.CANCELLED}),
    S.COLLECTED: frozenset({S.ON_THE_WAY, S.CANCELLED}),
    S.ON_THE_WAY: frozenset({S.DELIVERED, S.CANCELLED}),
    S.DELIVERED: frozenset({S.COMPLETED, S.CANCELLED}),
    S.COMPLETED: frozenset(),
    S.CANCELLED: frozenset(),
    S.TIMED_OUT: frozenset(),
}

PAYMENT_MOVES: dict[PaymentStatus, frozenset[PaymentStatus]] = {
    P.PENDING: frozenset({P.AUTHORIZED, P.FAILED}),
    P.AUTHORIZED: frozenset({P.CAPTURED, P.RELEASED}),
    P.CAPTURED: frozenset({P.REFUNDED}),
    P.REFUNDED: frozenset(),
    P.RELEASED: frozenset(),
    P.FAILED: frozenset(),
}

ENTERED_AT: dict[OrderStatus, str] = {
    S.ACCEPTED: "accepted_at",
    S.COLLECTED: "collected_at",
    S.ON_THE_WAY: "on_the_way_at",
    S.DELIVERED: "delivered_at",
    S.COMPLETED: "completed_at",
    S.CANCELLED: "cancelled_at",
}


def move(order: Order, to: OrderStatus, at: datetime) -> Order:
    """Return the order in status `to`, entered at `at`; raises IllegalTransition where the table has no such move."""
    if to not in ORDER_MOVES[order.order_status]:
        raise IllegalTransition(f"an order can't go from {order.order_status} to {to}")
    changes: dict[str, Any] = {"order_status": to}
    if to in ENTERED_AT:
        changes[ENTERED_AT[to]] = at
    return replace(order, **changes)


def move_payment(order: Order, to: PaymentStatus) -> Order:
    """Return the order with payment status `to`; raises IllegalTransition where the table has no such move."""
    if to not in PAYMENT_MOVES[order.payment_status]:
        raise IllegalTransition(f"a payment can't go from {order.payment_status} to {to}")
    return replace(order, payment_status=to)
