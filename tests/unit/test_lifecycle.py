"""The state machine's tables: every pair of statuses is either a move or an IllegalTransition."""

from datetime import datetime, timedelta
from itertools import pairwise, product

import pytest

from chalicelib.errors import IllegalTransition
from chalicelib.orders.lifecycle import ENTERED_AT, ORDER_MOVES, PAYMENT_MOVES, move, move_payment
from chalicelib.orders.order import OrderStatus, PaymentStatus
from tests.support.examples import NOW, an_order

LATER = NOW + timedelta(minutes=5)
MOMENTS = ("accepted_at", "collected_at", "on_the_way_at", "delivered_at", "completed_at", "cancelled_at")

# Written down a second time, from the contract: the way of an order, its ends, and a runner who gives it back.
WAY = [
    "CREATED",
    "PENDING_PAYMENT",
    "PAYMENT_AUTHORIZED",
    "READY_FOR_PICKUP",
    "ACCEPTED",
    "COLLECTED",
    "ON_THE_WAY",
    "DELIVERED",
    "COMPLETED",
]
ALLOWED = {
    *pairwise(WAY),
    *((status, "CANCELLED") for status in WAY[:-1]),
    ("READY_FOR_PICKUP", "TIMED_OUT"),
    ("ACCEPTED", "READY_FOR_PICKUP"),
}
ALLOWED_PAYMENTS = {
    ("PENDING", "AUTHORIZED"),
    ("PENDING", "FAILED"),
    ("AUTHORIZED", "CAPTURED"),
    ("AUTHORIZED", "RELEASED"),
    ("CAPTURED", "REFUNDED"),
}


@pytest.mark.parametrize(("before", "after"), list(product(OrderStatus, OrderStatus)))
def test_an_order_moves_as_the_contract_says_and_in_no_other_way(before: OrderStatus, after: OrderStatus) -> None:
    order = an_order(order_status=before)
    if (before.value, after.value) in ALLOWED:
        assert move(order, after, LATER).order_status is after
        return
    with pytest.raises(IllegalTransition, match=f"from {before} to {after}"):
        move(order, after, LATER)


@pytest.mark.parametrize(("before", "after"), list(product(PaymentStatus, PaymentStatus)))
def test_a_payment_moves_as_the_contract_says_and_in_no_other_way(before: PaymentStatus, after: PaymentStatus) -> None:
    order = an_order(payment_status=before)
    if (before.value, after.value) in ALLOWED_PAYMENTS:
        assert move_payment(order, after).payment_status is after
        return
    with pytest.raises(IllegalTransition, match=f"from {before} to {after}"):
        move_payment(order, after)


def test_both_tables_speak_of_every_status() -> None:
    assert set(ORDER_MOVES) == set(OrderStatus)
    assert set(PAYMENT_MOVES) == set(PaymentStatus)
    assert set(ENTERED_AT.values()) == set(MOMENTS)


@pytest.mark.parametrize(("before", "after"), sorted(ALLOWED))
def test_a_move_sets_the_time_of_the_status_it_enters_and_of_no_other(before: str, after: str) -> None:
    earlier: dict[str, datetime] = dict.fromkeys(MOMENTS, NOW)
    moved = move(an_order(order_status=OrderStatus(before), **earlier), OrderStatus(after), LATER)

    changed = {name for name in MOMENTS if getattr(moved, name) != NOW}
    assert changed == ({f"{after.lower()}_at"} & set(MOMENTS))
    assert all(getattr(moved, name) == LATER for name in changed)


def test_a_move_changes_nothing_else() -> None:
    order = an_order()

    moved = move(order, OrderStatus.PENDING_PAYMENT, LATER)

    assert {name for name, value in vars(order).items() if getattr(moved, name) != value} == {"order_status"}
    assert order.order_status is OrderStatus.CREATED
