"""accept_order, told: one runner reserves the order, is checked and named to the escrow; or the order is open again."""

from datetime import timedelta

import pytest

from chalicelib.orders.order import OrderStatus
from chalicelib.sagas.accept_order import ACCEPT_ORDER
from chalicelib.sagas.state import SagaStatus
from chalicelib.sagas.verdict import Verdict
from tests.support.examples import ACCEPT_TIMEOUT, NOW, ORDER_ID, an_order_in
from tests.support.saga_language import Story

COMPLETED, COMPENSATED = SagaStatus.COMPLETED, SagaStatus.COMPENSATED
ACCEPT_BY = NOW + ACCEPT_TIMEOUT


@pytest.fixture
def story() -> Story:
    """A story that has just begun: the order is reserved, its runner is to be validated."""
    story = Story(ACCEPT_ORDER, an_order_in(OrderStatus.READY_FOR_PICKUP), data={"runner_id": "run_7"})
    story.expects("user.validate_runner", runnerId="run_7")
    return story


@pytest.fixture
def assigning(story: Story) -> Story:
    story.answers("user.runner_validated")
    story.expects("escrow.assign_runner", orderId=str(ORDER_ID), escrowId="esc_1", runnerId="run_7")
    return story


def is_open_again(story: Story, error: str) -> None:
    """Nobody is told: only the runner who asked would care, and hears it in the answer."""
    story.ends(COMPENSATED, order="READY_FOR_PICKUP", payment="AUTHORIZED", error=error)
    story.has_order(order="READY_FOR_PICKUP", payment="AUTHORIZED", runner_id=None, accept_by=ACCEPT_BY, accepted_at=None)


def test_a_runner_whom_everybody_agrees_to_has_the_order(story: Story) -> None:
    story.has_order(order="READY_FOR_PICKUP", payment="AUTHORIZED", runner_id="run_7", active_saga_id=story.saga.saga_id)
    story.answers("user.runner_validated")
    story.expects("escrow.assign_runner")
    story.has_order(order="READY_FOR_PICKUP", payment="AUTHORIZED", runner_id="run_7", accepted_at=None)
    story.answers("escrow.runner_assigned")

    story.tells("ORDER_ACCEPTED", "CUSTOMER")
    story.tells("ORDER_ACCEPTED", "RUNNER")
    story.ends(COMPLETED, order="ACCEPTED", payment="AUTHORIZED")
    story.has_order(order="ACCEPTED", payment="AUTHORIZED", runner_id="run_7", accepted_at=story.now, accept_by=ACCEPT_BY)
    assert {step.status.value for step in story.saga.steps} == {"DONE"}


def test_a_step_that_does_not_change_the_order_makes_no_version(story: Story) -> None:
    story.answers("user.runner_validated")
    assert len(story.events) == 1
    story.answers("escrow.runner_assigned")
    assert len(story.events) == 2


def test_a_rejected_runner_leaves_the_order_open_and_escrow_untouched(story: Story) -> None:
    story.answers("user.runner_rejected", reason="no licence")

    is_open_again(story, "rejected")
    story.has_steps(reserve="DONE", validate_runner="FAILED", assign_escrow="SKIPPED", confirm="SKIPPED", notify_runner="SKIPPED")
    assert story.saga.error
    assert story.saga.error.detail == "validate_runner was refused: no licence"


def test_a_refused_assignment_was_not_done_and_is_not_undone(assigning: Story) -> None:
    assigning.answers("escrow.runner_assignment_failed")

    is_open_again(assigning, "refused")
    assigning.has_steps(validate_runner="DONE", assign_escrow="FAILED")


def test_a_silent_user_service_leaves_nothing_to_undo(story: Story) -> None:
    story.falls_silent()

    is_open_again(story, "silent")
    story.finds("user.runner_validated", Verdict.STALE, to="user.validate_runner")


def test_an_assignment_that_nobody_answered_may_be_done_and_is_undone_before_the_runner_is_cleared(assigning: Story) -> None:
    assigning.falls_silent()
    assigning.expects("escrow.unassign_runner", orderId=str(ORDER_ID), escrowId="esc_1")
    assigning.has_order(order="READY_FOR_PICKUP", payment="AUTHORIZED", runner_id="run_7")
    assigning.finds("escrow.runner_assigned", Verdict.STALE, to="escrow.assign_runner")
    assigning.answers("escrow.runner_unassigned")

    is_open_again(assigning, "silent")
    assigning.has_steps(assign_escrow="COMPENSATED")
    assigning.finds("escrow.runner_assigned", Verdict.STALE, to="escrow.assign_runner")


def test_a_late_reply_to_an_earlier_copy_settles_the_step(assigning: Story) -> None:
    assigning.times_out()
    assigning.expects("escrow.assign_runner")
    assigning.answers("escrow.runner_assigned")

    assert assigning.saga.status is COMPLETED


def test_an_accept_reserved_in_time_may_be_confirmed_later(assigning: Story) -> None:
    assigning.now = ACCEPT_BY + timedelta(seconds=1)
    assigning.answers("escrow.runner_assigned")

    assigning.has_order(order="ACCEPTED", payment="AUTHORIZED", accepted_at=assigning.now)


def test_an_accept_undone_after_its_time_leaves_the_order_due_at_once(assigning: Story) -> None:
    assigning.now = ACCEPT_BY + timedelta(seconds=1)
    assigning.answers("escrow.runner_assignment_failed")

    is_open_again(assigning, "refused")
    assert assigning.order.accept_by
    assert assigning.order.accept_by <= assigning.now


@pytest.mark.parametrize("validated", [False, True])
def test_an_operator_compensates_an_accept_wherever_it_runs(story: Story, validated: bool) -> None:
    if validated:
        story.is_done()
        story.expects("escrow.assign_runner")
    story.is_cancelled()
    if validated:
        story.expects("escrow.unassign_runner")
        story.is_done()

    is_open_again(story, "cancelled")


def test_an_undo_without_reply_suspends_the_saga_until_a_late_reply(assigning: Story) -> None:
    assigning.falls_silent()
    assigning.expects("escrow.unassign_runner")
    assigning.falls_silent()
    assigning.is_suspended(error="silent")
    assigning.has_order(order="READY_FOR_PICKUP", payment="AUTHORIZED", runner_id="run_7", active_saga_id=assigning.saga.saga_id)

    assigning.answers("escrow.runner_unassigned")
    is_open_again(assigning, "silent")


def test_an_operator_has_the_same_undo_sent_again_and_waits_from_the_beginning(assigning: Story) -> None:
    assigning.falls_silent()
    undo = assigning.awaited
    assigning.expects("escrow.unassign_runner")
    assigning.falls_silent()

    assigning.is_retried()

    assigning.expects("escrow.unassign_runner")
    assert assigning.awaited == undo
    assert (assigning.saga.status, assigning.saga.pending and assigning.saga.pending.attempts) == (SagaStatus.COMPENSATING, 1)
    assert assigning.saga.due_at == assigning.now + assigning.policy.timeout
    assigning.falls_silent()
    assigning.is_suspended(error="silent")
    assigning.is_done()
    is_open_again(assigning, "silent")


@pytest.mark.parametrize("type", ["user.runner_validated", "user.runner_rejected"])
def test_a_reply_about_another_runner_does_not_fit(story: Story, type: str) -> None:
    story.finds(type, Verdict.MISFIT, runnerId="run_8")


@pytest.mark.parametrize("field", ["runnerId", "escrowId", "orderId"])
def test_an_assignment_of_something_else_does_not_fit(assigning: Story, field: str) -> None:
    assigning.finds("escrow.runner_assigned", Verdict.MISFIT, **{field: "another"})


def test_the_loser_of_a_settled_step_contradicts(story: Story) -> None:
    story.answers("user.runner_rejected")
    story.finds("user.runner_validated", Verdict.CONTRADICTS, to="user.validate_runner")
    story.finds("user.runner_rejected", Verdict.STALE, to="user.validate_runner")
