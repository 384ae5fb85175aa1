"""The sentence that says what a saga waits for."""

from dataclasses import replace
from datetime import timedelta

import pytest

from chalicelib.orders.order import Order, OrderStatus, PaymentStatus
from chalicelib.sagas.cancel_order import CANCEL_ORDER
from chalicelib.sagas.complete_order import COMPLETE_ORDER
from chalicelib.sagas.create_order import CREATE_ORDER
from chalicelib.sagas.waits import Unpublished, duration, waits_for
from tests.support.examples import POLICY, an_order
from tests.support.saga_language import Story


@pytest.fixture
def creating() -> Story:
    story = Story(CREATE_ORDER, an_order())
    story.expects("user.validate_customer")
    return story


def delivered(status: OrderStatus = OrderStatus.DELIVERED) -> Order:
    paid = {"payment_status": PaymentStatus.AUTHORIZED, "payment_id": "pay_1", "escrow_id": "esc_1"}
    return an_order(order_status=status, runner_id="run_1", version=8, **paid)


def sentence(story: Story, after: float = 4) -> str:
    return waits_for(story.saga, story.now + timedelta(seconds=after), POLICY)


def test_a_first_copy_says_when_it_was_sent_and_when_the_next_one_follows(creating: Story) -> None:
    assert sentence(creating) == (
        "waits for user.customer_validated or user.customer_rejected from user; copy 1 of 5 was sent 4 s ago; next copy in 6 s"
    )


def test_a_later_copy_says_roughly_when_it_was_sent(creating: Story) -> None:
    creating.times_out()
    creating.times_out()
    assert sentence(creating, 10).endswith("; copy 3 of 5 was sent about 10 s ago; next copy in 30 s")


def test_the_last_copy_says_what_follows_from_a_time_out(creating: Story) -> None:
    for _ in range(4):
        creating.times_out()
    assert sentence(creating, 40).endswith(
        "copy 5 of 5 was sent about 40 s ago, the last one; without an answer it is compensated in 2 min"
    )


def test_the_last_copy_of_a_saga_that_only_goes_forward_says_that_it_will_be_suspended() -> None:
    story = Story(CANCEL_ORDER, delivered(OrderStatus.READY_FOR_PICKUP), data={"ending": "CANCELLED"})
    for _ in range(4):
        story.times_out()
    assert "the last one; without an answer it is suspended in" in sentence(story)


def test_a_wait_begun_anew_is_counted_from_its_deadline(creating: Story) -> None:
    creating.is_deferred()
    assert "copy 1 of 5 was sent about 4 s ago; next copy in 6 s" in sentence(creating)


def test_a_deadline_that_has_passed_is_left_to_the_next_sweep(creating: Story) -> None:
    assert sentence(creating, 13).endswith("its time is over for 3 s, and the next sweep takes notice")


def test_a_command_that_is_still_in_the_outbox_waits_for_the_broker(creating: Story) -> None:
    now = creating.now + timedelta(minutes=3)
    assert waits_for(creating.saga, now, POLICY, Unpublished(creating.now, 0)) == (
        "waits for the broker: user.validate_customer is in the outbox for 3 min"
    )
    assert "which refused it 2 times:" in waits_for(creating.saga, now, POLICY, Unpublished(creating.now, 2))


def test_a_saga_that_is_being_undone_says_why(creating: Story) -> None:
    creating.is_done()
    creating.is_cancelled()
    text = sentence(creating)
    assert text.startswith("waits for payment.released from payment; copy 1 of 5")
    assert text.endswith("; it is being undone because somebody asked for it")


def test_one_that_timed_out_still_waits_and_heals(creating: Story) -> None:
    creating.is_done()
    creating.expects("payment.authorize")
    creating.is_cancelled()
    creating.expects("payment.release")
    creating.falls_silent()
    assert sentence(creating) == (
        "suspended: timed out (somebody asked for it): still waits for payment.released from payment, and goes on by itself when it comes;"
        " an operator may retry"
    )


@pytest.fixture
def paying() -> Story:
    """A story whose payout was refused once."""
    story = Story(COMPLETE_ORDER, delivered())
    for _ in ("validate_runner", "capture_payment"):
        story.is_done()
    story.is_refused()
    return story


def test_a_refused_payout_says_when_it_is_tried_again(paying: Story) -> None:
    assert sentence(paying) == "waits to try release_escrow again, which was refused 1 times: the next try goes out in 6 s"
    assert sentence(paying, 11).endswith("the next try goes out with the next sweep")


def test_one_suspended_by_refusal_needs_an_operator(paying: Story) -> None:
    for _ in range(4):
        paying.times_out()
        paying.is_refused()
    assert sentence(paying) == "suspended: refused: an operator must retry or compensate (release_escrow was refused: because)"


def test_how_a_saga_ended_is_said_with_its_time(creating: Story) -> None:
    for _ in ("validate_customer", "authorize_payment", "hold_escrow"):
        creating.is_done()
    assert sentence(creating) == "ended well at 2026-11-22T08:15:04.000Z"

    refused = Story(CREATE_ORDER, an_order())
    refused.is_refused()
    assert sentence(refused) == "ended undone at 2026-11-22T08:15:02.000Z, because validate_customer was refused: because"


def test_a_saga_of_a_newer_release_is_left_to_it(creating: Story) -> None:
    newer = replace(creating.saga, definition_version=99)
    assert waits_for(newer, creating.now, POLICY) == ("waits for a release that knows create_order version 99: this code leaves it alone")


def test_a_saga_that_awaits_nothing_without_having_ended_is_told_to_be_broken(creating: Story) -> None:
    broken = replace(creating.saga, pending=None, due_at=None)
    assert waits_for(broken, creating.now, POLICY) == "waits for nothing, which must never be: `make audit` says more"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (-3, "0 s"), (59.6, "1 min"), (61, "1 min 1 s"), (3600, "1 h"), (90061, "1 d 1 h"), (86460, "1 d 1 min")],
)
def test_a_span_is_told_by_its_two_largest_units(seconds: float, text: str) -> None:
    assert duration(timedelta(seconds=seconds)) == text
