"""complete_order, told: the account is checked, the payment captured, and from then on it only goes forward until the runner is paid."""

from datetime import timedelta

import pytest

from chalicelib.messages.envelope import Outgoing, from_json
from chalicelib.orders.order import OrderStatus
from chalicelib.sagas.complete_order import COMPLETE_ORDER
from chalicelib.sagas.retry import RetryPolicy
from chalicelib.sagas.state import SagaStatus, StepStatus
from chalicelib.sagas.verdict import Verdict
from tests.support.examples import ORDER_ID, an_order_in
from tests.support.saga_language import Story, header

COMPLETED, COMPENSATED, RUNNING = SagaStatus.COMPLETED, SagaStatus.COMPENSATED, SagaStatus.RUNNING


@pytest.fixture
def story() -> Story:
    """A story that has just begun: the runner's account is asked for."""
    story = Story(COMPLETE_ORDER, an_order_in(OrderStatus.DELIVERED))
    story.expects("user.validate_runner", runnerId="run_1")
    return story


@pytest.fixture
def capturing(story: Story) -> Story:
    story.answers("user.runner_validated", payoutAccountId="acct_7")
    story.expects("payment.capture", orderId=str(ORDER_ID), paymentId="pay_1", amount="12.99", currency="SGD")
    return story


@pytest.fixture
def paying(capturing: Story) -> Story:
    capturing.answers("payment.captured")
    capturing.has_order(order="DELIVERED", payment="CAPTURED", completed_at=None)
    capturing.expects("escrow.release", orderId=str(ORDER_ID), escrowId="esc_1", runnerId="run_1", payoutAccountId="acct_7")
    return capturing


@pytest.fixture
def unpayable(paying: Story) -> Story:
    """The payout was refused as often as it may be tried: an operator has to act."""
    refuse_payout(paying, paying.policy.attempts)
    paying.is_suspended(error="refused")
    return paying


def refuse_payout(story: Story, times: int) -> None:
    """Refuse the payout, and each new try that is made when its wait is over."""
    for number in range(times):
        if number:
            story.times_out()
            story.expects("escrow.release")
        story.answers("escrow.release_failed", reason="account closed")


def is_paid_out(story: Story) -> None:
    story.answers("escrow.released", amount="12.99")
    story.tells("ORDER_COMPLETED", "CUSTOMER")
    story.tells("ORDER_COMPLETED", "RUNNER")
    story.ends(COMPLETED, order="COMPLETED", payment="CAPTURED")
    story.has_order(order="COMPLETED", payment="CAPTURED", completed_at=story.now, runner_id="run_1")


def stays_delivered(story: Story, error: str, payment: str = "AUTHORIZED") -> None:
    """Nobody is told; the answer to the request, or the operator's, says it."""
    story.ends(COMPENSATED, order="DELIVERED", payment=payment, error=error)
    story.has_order(order="DELIVERED", payment=payment, completed_at=None, runner_id="run_1")


def ids(messages: list[Outgoing], type: str) -> list[str]:
    return list(dict.fromkeys(header(message, "ce_id") for message in messages if header(message, "ce_type") == type))


def test_a_delivered_order_is_captured_paid_out_and_closed(paying: Story) -> None:
    is_paid_out(paying)
    assert {step.status.value for step in paying.saga.steps} == {"DONE"}
    assert [from_json(event.value or b"")["paymentTo"] for event in paying.events] == ["AUTHORIZED", "CAPTURED", "CAPTURED"]


# Before the pivot, and the pivot itself


def test_a_rejected_runner_costs_nobody_anything(story: Story) -> None:
    story.answers("user.runner_rejected")

    stays_delivered(story, "rejected")
    story.has_steps(validate_runner="FAILED", capture_payment="SKIPPED", release_escrow="SKIPPED", close="SKIPPED")


def test_a_silent_user_service_has_the_saga_compensated_before_any_money_moves(story: Story) -> None:
    story.falls_silent()
    stays_delivered(story, "silent")
    story.finds("user.runner_validated", Verdict.STALE, to="user.validate_runner")


def test_an_operator_compensates_a_saga_whose_capture_is_not_yet_written(story: Story) -> None:
    story.is_cancelled()
    stays_delivered(story, "cancelled")


def test_a_refused_capture_has_the_saga_compensated_with_nothing_to_undo(capturing: Story) -> None:
    capturing.answers("payment.capture_failed", reason="expired")

    stays_delivered(capturing, "refused")
    capturing.has_steps(validate_runner="DONE", capture_payment="FAILED", release_escrow="SKIPPED")


def test_a_silent_capture_never_has_the_saga_compensated_and_a_late_reply_heals_it(capturing: Story) -> None:
    capturing.falls_silent()
    capturing.is_suspended(error="silent")
    capturing.has_order(order="DELIVERED", payment="AUTHORIZED", active_saga_id=capturing.saga.saga_id)
    capturing.answers("payment.captured")

    capturing.expects("escrow.release")
    assert (capturing.saga.status, capturing.saga.error) == (RUNNING, None)
    is_paid_out(capturing)


def test_a_late_refusal_of_the_capture_compensates_a_suspended_saga(capturing: Story) -> None:
    capturing.falls_silent()
    capturing.answers("payment.capture_failed")
    stays_delivered(capturing, "refused")


def test_an_operator_has_a_silent_capture_sent_again_as_it_was(capturing: Story) -> None:
    capturing.falls_silent()
    capturing.is_retried()

    capturing.expects("payment.capture")
    assert len(ids(capturing.sent, "payment.capture")) == 1
    capturing.answers("payment.captured")
    capturing.expects("escrow.release")


@pytest.mark.parametrize(("field", "said"), [("amount", "12.98"), ("paymentId", "pay_2"), ("orderId", "another")])
def test_a_capture_of_something_else_does_not_fit(capturing: Story, field: str, said: str) -> None:
    capturing.finds("payment.captured", Verdict.MISFIT, **{field: said})


# The payout: tried again where it is refused


def test_each_new_try_of_a_payout_is_a_command_of_its_own_and_comes_after_a_wait_that_grows(paying: Story) -> None:
    waits = []
    for _ in range(paying.policy.attempts - 1):
        paying.answers("escrow.release_failed")
        assert paying.saga.due_at
        waits.append(paying.saga.due_at - paying.now)
        assert paying.saga.status is RUNNING
        assert paying.saga.step("release_escrow").status is StepStatus.RUNNING
        paying.times_out()
        paying.expects("escrow.release", payoutAccountId="acct_7")
    paying.answers("escrow.release_failed")

    paying.is_suspended(error="refused")
    paying.has_order(order="DELIVERED", payment="CAPTURED", active_saga_id=paying.saga.saga_id)
    assert waits == [timedelta(seconds=seconds) for seconds in (10, 20, 40, 80)]
    assert len(ids(paying.sent, "escrow.release")) == paying.policy.attempts
    assert paying.saga.current_step == "release_escrow"


def test_nothing_is_sent_while_a_new_try_waits(paying: Story) -> None:
    sent = len(paying.sent)
    paying.answers("escrow.release_failed")
    assert len(paying.sent) == sent
    paying.finds("escrow.release_failed", Verdict.STALE, to="escrow.release")


def test_refusals_and_time_outs_are_counted_apart(paying: Story) -> None:
    """Four refusals, each after all copies but one were lost, leave the fifth try its own five copies."""
    for _ in range(paying.policy.attempts - 1):
        for _ in range(paying.policy.attempts - 1):
            paying.times_out()
            paying.expects("escrow.release")
        paying.answers("escrow.release_failed")
        paying.times_out()
        paying.expects("escrow.release")
    assert paying.saga.pending
    assert paying.saga.pending.attempts == 1
    paying.falls_silent()

    paying.is_suspended(error="silent")
    is_paid_out(paying)


def test_a_silent_try_is_sent_again_with_its_own_id(paying: Story) -> None:
    refuse_payout(paying, 1)
    paying.times_out()
    paying.expects("escrow.release")
    second = paying.awaited
    paying.times_out()
    paying.expects("escrow.release")
    assert paying.awaited == second
    is_paid_out(paying)


def test_the_try_after_a_refusal_may_be_the_one_that_pays(paying: Story) -> None:
    refuse_payout(paying, 3)
    paying.times_out()
    paying.expects("escrow.release")
    is_paid_out(paying)
    tries = paying.saga.step("release_escrow").tries
    assert [attempt.reply and attempt.reply["type"] for attempt in tries] == ["escrow.release_failed"] * 3 + ["escrow.released"]


def test_a_late_refusal_of_a_silent_payout_counts_as_its_refusal(paying: Story) -> None:
    refuse_payout(paying, 2)
    paying.times_out()
    paying.expects("escrow.release")
    paying.falls_silent()
    paying.is_suspended(error="silent")
    paying.answers("escrow.release_failed")

    assert (paying.saga.status, paying.saga.error) == (RUNNING, None)
    assert paying.saga.due_at == paying.now + timedelta(seconds=40)


def test_with_one_attempt_the_first_refusal_waits_for_an_operator() -> None:
    story = Story(COMPLETE_ORDER, an_order_in(OrderStatus.DELIVERED), RetryPolicy(timedelta(seconds=10), 1))
    for _ in range(2):
        story.is_done()
    story.is_refused()
    assert (story.saga.status, story.saga.pending) == (SagaStatus.FAILED, None)


def test_a_payout_already_refused_that_is_now_said_to_be_done_is_a_contradiction(unpayable: Story) -> None:
    unpayable.finds("escrow.released", Verdict.CONTRADICTS, to="escrow.release")
    unpayable.finds("escrow.release_failed", Verdict.STALE, to="escrow.release", reason="account closed")


# What an operator does about a refused payout


def test_retry_asks_for_the_account_anew_and_pays_out_to_it_by_a_new_command(unpayable: Story) -> None:
    tried = ids(unpayable.sent, "escrow.release")
    unpayable.is_retried()
    unpayable.expects("user.validate_runner", runnerId="run_1")
    assert (unpayable.saga.status, unpayable.saga.error, unpayable.saga.current_step) == (RUNNING, None, "validate_runner")
    unpayable.answers("user.runner_validated", payoutAccountId="acct_8")

    unpayable.expects("escrow.release", payoutAccountId="acct_8")
    assert ids(unpayable.sent, "escrow.release")[:-1] == tried
    assert len(ids(unpayable.sent, "payment.capture")) == 1
    is_paid_out(unpayable)


def test_retry_gives_the_payout_all_its_tries_again(unpayable: Story) -> None:
    unpayable.is_retried()
    unpayable.expects("user.validate_runner")
    unpayable.is_done()
    unpayable.expects("escrow.release")
    refuse_payout(unpayable, unpayable.policy.attempts - 1)
    unpayable.times_out()
    unpayable.expects("escrow.release")
    assert unpayable.saga.status is RUNNING
    unpayable.answers("escrow.release_failed")

    unpayable.is_suspended(error="refused")
    assert len(ids(unpayable.sent, "escrow.release")) == 2 * unpayable.policy.attempts


def test_compensate_gives_escrow_then_payment_back_and_the_order_stays_delivered(unpayable: Story) -> None:
    unpayable.is_cancelled()
    unpayable.expects("escrow.refund", orderId=str(ORDER_ID), escrowId="esc_1")
    unpayable.has_order(order="DELIVERED", payment="CAPTURED")
    unpayable.answers("escrow.refunded", amount="12.99")
    unpayable.expects("payment.refund", orderId=str(ORDER_ID), paymentId="pay_1", amount="12.99", currency="SGD")
    unpayable.has_order(order="DELIVERED", payment="CAPTURED", active_saga_id=unpayable.saga.saga_id)
    unpayable.answers("payment.refunded")

    stays_delivered(unpayable, "cancelled", payment="REFUNDED")
    unpayable.has_steps(
        validate_runner="DONE", capture_payment="COMPENSATED", release_escrow="COMPENSATED", close="SKIPPED", notify_runner="SKIPPED"
    )


@pytest.mark.parametrize("done", [0, 1])
def test_an_undo_without_reply_suspends_the_saga_until_a_late_reply_or_an_operator(unpayable: Story, done: int) -> None:
    undos = ["escrow.refund", "payment.refund"]
    unpayable.is_cancelled()
    for undo in undos[:done]:
        unpayable.expects(undo)
        unpayable.is_done()
    unpayable.expects(undos[done])
    unpayable.falls_silent()
    unpayable.is_suspended(error="cancelled")
    unpayable.has_order(order="DELIVERED", payment="CAPTURED")

    unpayable.is_retried()
    unpayable.expects(undos[done])
    assert len(ids(unpayable.sent, undos[done])) == 1
    for undo in undos[done + 1 :]:
        unpayable.is_done()
        unpayable.expects(undo)
    unpayable.is_done()
    stays_delivered(unpayable, "cancelled", payment="REFUNDED")


def test_a_refund_of_another_amount_does_not_fit(unpayable: Story) -> None:
    unpayable.is_cancelled()
    unpayable.is_done()
    unpayable.finds("payment.refunded", Verdict.MISFIT, amount="12.98")


# Past the pivot even the validation, asked anew, never turns the saga


def test_a_validation_that_times_out_after_a_retry_suspends_the_saga(unpayable: Story) -> None:
    unpayable.is_retried()
    unpayable.expects("user.validate_runner")
    unpayable.falls_silent()
    unpayable.is_suspended(error="silent")
    unpayable.has_order(order="DELIVERED", payment="CAPTURED")

    unpayable.answers("user.runner_validated")
    unpayable.expects("escrow.release")
    is_paid_out(unpayable)


@pytest.mark.parametrize("late", [False, True])
def test_a_validation_that_is_rejected_after_a_retry_leaves_it_to_the_operator_again(unpayable: Story, late: bool) -> None:
    unpayable.is_retried()
    unpayable.expects("user.validate_runner")
    if late:
        unpayable.falls_silent()
    unpayable.answers("user.runner_rejected")

    unpayable.is_suspended(error="rejected")
    unpayable.has_order(order="DELIVERED", payment="CAPTURED", active_saga_id=unpayable.saga.saga_id)
    assert unpayable.saga.current_step == "validate_runner"


def test_after_a_rejected_validation_the_operator_still_has_both_ways(unpayable: Story) -> None:
    unpayable.is_retried()
    unpayable.expects("user.validate_runner")
    unpayable.is_refused()
    unpayable.is_retried()
    unpayable.expects("user.validate_runner")
    unpayable.is_refused()
    unpayable.is_cancelled()
    unpayable.expects("escrow.refund")
    unpayable.is_done()
    unpayable.expects("payment.refund")
    unpayable.is_done()
    stays_delivered(unpayable, "cancelled", payment="REFUNDED")
