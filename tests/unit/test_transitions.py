"""The literal tables of the state machine, held against the contract's arrows, written down here as the contract draws them."""

from itertools import pairwise

import pytest

from chalicelib.operations.move_status import BY_HAND
from chalicelib.orders import expiry
from chalicelib.orders.lifecycle import ENTERED_AT, ORDER_MOVES, PAYMENT_MOVES
from chalicelib.orders.order import ORDER, OrderStatus, PaymentStatus

# The usual way, and the statuses that an order doesn't leave any more.
WAY = "CREATED → PENDING_PAYMENT → PAYMENT_AUTHORIZED → READY_FOR_PICKUP → ACCEPTED → COLLECTED → ON_THE_WAY → DELIVERED → COMPLETED"
ENDS = {"COMPLETED", "CANCELLED", "TIMED_OUT"}
# CANCELLED: from any status before COLLECTED, and by an admin from COLLECTED to DELIVERED. TIMED_OUT: nobody accepted.
CANCELLABLE = ["CREATED", "PENDING_PAYMENT", "PAYMENT_AUTHORIZED", "READY_FOR_PICKUP", "ACCEPTED"]
CANCELLABLE_BY_ADMIN = ["COLLECTED", "ON_THE_WAY", "DELIVERED"]
ASIDE = ["READY_FOR_PICKUP → TIMED_OUT", "ACCEPTED → READY_FOR_PICKUP"]
PAYMENT_ARROWS = ["PENDING → AUTHORIZED → CAPTURED → REFUNDED", "AUTHORIZED → RELEASED", "PENDING → FAILED"]
PATCHED = "ACCEPTED → COLLECTED → ON_THE_WAY → DELIVERED"


def arrows(*drawn: str) -> set[tuple[str, str]]:
    """`A → B → C` as the pairs (A, B) and (B, C)."""
    ways = [way.split(" → ") for way in drawn]
    return {(before, after) for way in ways for before, after in pairwise(way)}


def pairs(table: dict[OrderStatus, frozenset[OrderStatus]] | dict[PaymentStatus, frozenset[PaymentStatus]]) -> set[tuple[str, str]]:
    return {(before.value, after.value) for before, afters in table.items() for after in afters}


def test_an_orders_moves_are_the_contracts_arrows() -> None:
    cancelled = [f"{status} → CANCELLED" for status in CANCELLABLE + CANCELLABLE_BY_ADMIN]
    assert pairs(ORDER_MOVES) == arrows(WAY, *ASIDE, *cancelled)


def test_a_payments_moves_are_the_contracts_arrows() -> None:
    assert pairs(PAYMENT_MOVES) == arrows(*PAYMENT_ARROWS)


def test_every_status_has_its_row_and_only_the_ends_lead_nowhere() -> None:
    assert {status.value for status in ORDER_MOVES} == {*WAY.split(" → "), *ENDS}
    assert {status.value for status, afters in ORDER_MOVES.items() if not afters} == ENDS
    assert {status.value for status, afters in PAYMENT_MOVES.items() if not afters} == {"REFUNDED", "RELEASED", "FAILED"}
    assert set(ORDER_MOVES) == set(OrderStatus)
    assert set(PAYMENT_MOVES) == set(PaymentStatus)


def test_by_hand_an_order_goes_from_accepted_to_delivered_one_status_at_a_time() -> None:
    assert {(before.value, after.value) for before, after in BY_HAND.items()} == arrows(PATCHED)
    assert all(after in ORDER_MOVES[before] for before, after in BY_HAND.items())


@pytest.mark.parametrize("status", OrderStatus)
def test_an_expired_authorization_cancels_what_is_not_yet_collected_and_not_at_its_end(status: OrderStatus) -> None:
    assert (status in expiry.NOT_YET_COLLECTED) == (status.value in CANCELLABLE)


def test_the_statuses_that_an_order_dates_are_fields_of_its_document() -> None:
    names = {name.title().replace("_", "") for name in ENTERED_AT.values()}
    assert {name[0].lower() + name[1:] for name in names} <= {field.name for field in ORDER.fields}
    assert {status.value for status in ENTERED_AT} == {"ACCEPTED", "COLLECTED", "ON_THE_WAY", "DELIVERED", "COMPLETED", "CANCELLED"}
