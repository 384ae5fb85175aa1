"""cancel_order, told: runner off, escrow back, payment released, order closed; from wherever it starts it only goes forward."""

from collections.abc import Callable

import pytest

from chalicelib.orders import expiry
from chalicelib.orders.order import OrderStatus
from chalicelib.sagas.cancel_order import CANCEL_ORDER
from chalicelib.sagas.state import SagaStatus
from chalicelib.sagas.verdict import Verdict
from tests.support.examples import ORDER_ID, an_order_in
from tests.support.saga_language import Story

WITH_A_RUNNER = [OrderStatus.ACCEPTED, OrderStatus.COLLECTED, OrderStatus.ON_THE_WAY, OrderStatus.DELIVERED]
CANCELLED = {"ending": "CANCELLED", "cancel_reason": "too slow"}


def cancelling(status: OrderStatus, data: dict[str, str] = CANCELLED) -> Story:
    return Story(CANCEL_ORDER, an_order_in(status), data=data)


def gives_the_money_back(story: Story) -> None:
    story.expects("escrow.refund", orderId=str(ORDER_ID), escrowId="esc_1")
    story.answers("escrow.refunded", amount="12.99")
    story.expects("payment.release", orderId=str(ORDER_ID), paymentId="pay_1")
    story.answers("payment.released")


def test_an_open_order_is_cancelled_without_asking_for_a_runner() -> None:
    story = cancelling(OrderStatus.READY_FOR_PICKUP)
    gives_the_money_back(story)

    story.tells("ORDER_CANCELLED", "CUSTOMER")
    story.ends(SagaStatus.COMPLETED, order="CANCELLED", payment="RELEASED")
    story.has_order(order="CANCELLED", payment="RELEASED", cancel_reason="too slow", cancelled_at=story.now, runner_id=None)
    story.has_steps(unassign_runner="SKIPPED", refund_escrow="DONE", release_payment="DONE", close="DONE", notify="DONE")


@pytest.mark.parametrize("status", WITH_A_RUNNER)
def test_the_runner_is_taken_off_first_hears_of_it_and_stays_on_the_order(status: OrderStatus) -> None:
    story = cancelling(status)
    story.expects("escrow.unassign_runner", orderId=str(ORDER_ID), escrowId="esc_1")
    story.answers("escrow.runner_unassigned")
    story.has_order(order=status.value, payment="AUTHORIZED", runner_id="run_1")
    gives_the_money_back(story)

    story.tells("ORDER_CANCELLED", "CUSTOMER")
    story.tells("ORDER_CANCELLED", "RUNNER")
    story.ends(SagaStatus.COMPLETED, order="CANCELLED", payment="RELEASED")
    story.has_order(order="CANCELLED", payment="RELEASED", runner_id="run_1")


def test_an_order_that_nobody_took_in_time_is_timed_out_not_cancelled() -> None:
    story = cancelling(OrderStatus.READY_FOR_PICKUP, {"ending": "TIMED_OUT", "cancel_reason": "nobody came"})
    gives_the_money_back(story)

    story.tells("ORDER_TIMED_OUT", "CUSTOMER")
    story.ends(SagaStatus.COMPLETED, order="TIMED_OUT", payment="RELEASED")
    story.has_order(order="TIMED_OUT", payment="RELEASED", cancel_reason="nobody came", cancelled_at=None)


def test_an_expired_authorization_is_released_all_the_same() -> None:
    story = Story(CANCEL_ORDER, an_order_in(OrderStatus.READY_FOR_PICKUP, authorization_expired=True), data=expiry.DATA)
    gives_the_money_back(story)

    story.tells("ORDER_CANCELLED", "CUSTOMER")
    story.ends(SagaStatus.COMPLETED, order="CANCELLED", payment="RELEASED")
    story.has_order(order="CANCELLED", payment="RELEASED", cancel_reason="the payment's authorization expired")


def test_nobody_has_to_give_a_reason() -> None:
    story = cancelling(OrderStatus.READY_FOR_PICKUP, {"ending": "CANCELLED"})
    gives_the_money_back(story)

    story.has_order(order="CANCELLED", payment="RELEASED", cancel_reason=None)


def test_the_order_changes_only_when_all_is_given_back() -> None:
    story = cancelling(OrderStatus.ACCEPTED)
    for _ in range(2):
        story.is_done()
        story.has_order(order="ACCEPTED", payment="AUTHORIZED", cancelled_at=None)
    assert len(story.events) == 1
    story.is_done()
    assert len(story.events) == 2


STEPS = [("unassign_runner", 0), ("refund_escrow", 1), ("release_payment", 2)]


@pytest.mark.parametrize(("step", "done"), STEPS)
@pytest.mark.parametrize("wake", [Story.is_done, Story.is_retried], ids=["late reply", "operator"])
def test_a_time_out_suspends_the_saga_at_any_step_and_it_goes_on_from_there(step: str, done: int, wake: Callable[[Story], None]) -> None:
    story = cancelling(OrderStatus.ACCEPTED)
    for _ in range(done):
        story.is_done()
    silent = story.awaited
    for _ in range(story.policy.attempts):
        story.times_out()
    assert (story.saga.status, story.saga.current_step, story.awaited) == (SagaStatus.FAILED, step, silent)
    story.has_order(order="ACCEPTED", payment="AUTHORIZED", active_saga_id=story.saga.saga_id)

    wake(story)
    assert (story.saga.status, story.saga.error) == (SagaStatus.RUNNING, None) or story.saga.ended
    while not story.saga.ended:
        story.is_done()
    story.has_order(order="CANCELLED", payment="RELEASED")
    assert story.saga.error is None


def test_a_late_reply_to_a_step_already_done_is_stale() -> None:
    story = cancelling(OrderStatus.ACCEPTED)
    for command in ("escrow.unassign_runner", "escrow.refund", "payment.release"):
        reply = {"escrow.unassign_runner": "escrow.runner_unassigned", "escrow.refund": "escrow.refunded"}.get(command, "payment.released")
        story.answers(reply)
        story.finds(reply, Verdict.STALE, to=command)


def test_nothing_of_it_can_be_refused() -> None:
    story = cancelling(OrderStatus.ACCEPTED)
    for type in ("escrow.runner_assignment_failed", "escrow.hold_failed", "escrow.release_failed"):
        story.finds(type, Verdict.MISFIT)
