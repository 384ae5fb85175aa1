"""cancel_acceptance, told: the runner is taken off the hold, then the order is open again. There is no way back."""

import pytest

from chalicelib.orders.order import OrderStatus
from chalicelib.sagas.cancel_acceptance import CANCEL_ACCEPTANCE
from chalicelib.sagas.state import SagaStatus
from chalicelib.sagas.verdict import Verdict
from tests.support.examples import ACCEPT_TIMEOUT, NOW, ORDER_ID, an_order_in
from tests.support.saga_language import Story


@pytest.fixture
def story() -> Story:
    """A story that has just begun: escrow is to forget the runner."""
    story = Story(CANCEL_ACCEPTANCE, an_order_in(OrderStatus.ACCEPTED, accepted_at=NOW), data={"runner_id": "run_1"})
    story.expects("escrow.unassign_runner", orderId=str(ORDER_ID), escrowId="esc_1")
    story.has_order(order="ACCEPTED", payment="AUTHORIZED", runner_id="run_1", active_saga_id=story.saga.saga_id)
    return story


def is_reopened(story: Story) -> None:
    story.tells("ORDER_REOPENED", "CUSTOMER")
    story.ends(SagaStatus.COMPLETED, order="READY_FOR_PICKUP", payment="AUTHORIZED")
    story.has_order(order="READY_FOR_PICKUP", payment="AUTHORIZED", runner_id=None, accept_by=story.now + ACCEPT_TIMEOUT)
    story.has_steps(unassign_runner="DONE", reopen="DONE", notify_customer="DONE")


def test_an_order_given_back_is_open_again_with_a_new_time_limit(story: Story) -> None:
    story.answers("escrow.runner_unassigned")

    is_reopened(story)
    story.has_order(order="READY_FOR_PICKUP", payment="AUTHORIZED", accepted_at=NOW)


def test_a_time_out_suspends_the_saga_and_a_late_reply_heals_it(story: Story) -> None:
    story.falls_silent()
    story.is_suspended(error="silent")
    story.has_order(order="ACCEPTED", payment="AUTHORIZED", runner_id="run_1", active_saga_id=story.saga.saga_id)

    story.answers("escrow.runner_unassigned")
    is_reopened(story)


def test_an_operator_has_the_silent_command_sent_again(story: Story) -> None:
    story.falls_silent()
    story.is_retried()

    story.expects("escrow.unassign_runner")
    assert (story.saga.status, story.saga.error) == (SagaStatus.RUNNING, None)
    story.answers("escrow.runner_unassigned")
    is_reopened(story)


def test_copies_of_the_reply_reopen_the_order_once(story: Story) -> None:
    story.answers("escrow.runner_unassigned")
    story.finds("escrow.runner_unassigned", Verdict.STALE, to="escrow.unassign_runner")


@pytest.mark.parametrize("field", ["escrowId", "orderId"])
def test_another_hold_that_lost_its_runner_does_not_fit(story: Story, field: str) -> None:
    story.finds("escrow.runner_unassigned", Verdict.MISFIT, **{field: "another"})


@pytest.mark.parametrize("type", ["escrow.runner_assignment_failed", "escrow.refunded", "escrow.released"])
def test_there_is_no_other_answer(story: Story, type: str) -> None:
    story.finds(type, Verdict.MISFIT)
