"""The planner on a saga with a pivot, a step that may be skipped and one without undo: it knows no saga by name."""

from dataclasses import replace
from decimal import Decimal

import pytest

from chalicelib.messages import commands, replies
from chalicelib.orders.order import Order, OrderStatus, PaymentStatus
from chalicelib.sagas.definition import Definition, Exchange, Moment, Notify, SagaData, Step, Undone
from chalicelib.sagas.notices import to_runner
from chalicelib.sagas.retry import RetryPolicy
from chalicelib.sagas.state import ErrorCode, SagaError, SagaStatus, StepStatus
from chalicelib.sagas.verdict import Verdict
from tests.support.examples import ORDER_ID, POLICY, an_order
from tests.support.saga_language import Story


def _capture(order: Order, _data: SagaData) -> commands.CapturePayment:
    return commands.CapturePayment(order_id=str(order.order_id), payment_id="pay_1", amount=order.total, currency=order.currency)


def _captured(order: Order, _data: SagaData, _moment: Moment) -> Order:
    return replace(order, payment_status=PaymentStatus.CAPTURED)


def _unchanged(order: Order, _data: SagaData, _error: SagaError, _moment: Moment) -> Order:
    return order


PAY_OUT = Definition(
    name="pay_out",
    version=1,
    steps=(
        Step(
            "validate_runner",
            Exchange(
                commands.ValidateRunner,
                lambda order, _: commands.ValidateRunner(runner_id=order.runner_id or ""),
                done=replies.RunnerValidated,
                refused=replies.RunnerRejected,
                code=ErrorCode.REJECTED,
            ),
            keep=("payout_account_id",),
            harmless=True,
        ),
        Step(
            "assign",
            Exchange(
                commands.AssignRunner,
                lambda order, _: commands.AssignRunner(order_id=str(order.order_id), escrow_id="esc_1", runner_id=order.runner_id or ""),
                done=replies.RunnerAssigned,
                refused=replies.RunnerAssignmentFailed,
            ),
            undo=Exchange(
                commands.UnassignRunner,
                lambda order, _: commands.UnassignRunner(order_id=str(order.order_id), escrow_id="esc_1"),
                done=replies.RunnerUnassigned,
            ),
            skip=lambda order, _: order.escrow_id is None,
        ),
        Step(
            "capture",
            Exchange(commands.CapturePayment, _capture, done=replies.PaymentCaptured, refused=replies.PaymentCaptureFailed),
            then=_captured,
            pivot=True,
        ),
        Step(
            "release",
            Exchange(
                commands.ReleaseEscrow,
                lambda order, data: commands.ReleaseEscrow(
                    order_id=str(order.order_id),
                    escrow_id="esc_1",
                    runner_id=order.runner_id or "",
                    payout_account_id=data["payout_account_id"],
                ),
                done=replies.EscrowReleased,
            ),
        ),
        Notify("notify", lambda order, _: (to_runner(order, "ORDER_COMPLETED"),)),
    ),
    undone=Undone(_unchanged, lambda _order, _error: ()),
)


def delivered(**changes: object) -> Order:
    fields = {
        "order_status": OrderStatus.DELIVERED,
        "payment_status": PaymentStatus.AUTHORIZED,
        "payment_id": "pay_1",
        "escrow_id": "esc_1",
        "runner_id": "run_1",
        "version": 8,
    }
    return an_order(**{**fields, **changes})


@pytest.fixture
def capturing() -> Story:
    """A story at its pivot: the capture is asked for."""
    story = Story(PAY_OUT, delivered(), RetryPolicy(POLICY.timeout, 2))
    story.expects("user.validate_runner", runnerId="run_1")
    story.answers("user.runner_validated", payoutAccountId="acct_7")
    story.expects("escrow.assign_runner", runnerId="run_1")
    story.answers("escrow.runner_assigned")
    story.expects("payment.capture", amount="12.99", currency="SGD")
    return story


def test_what_a_reply_said_is_known_to_later_steps(capturing: Story) -> None:
    capturing.answers("payment.captured")
    capturing.expects("escrow.release", payoutAccountId="acct_7", runnerId="run_1")
    capturing.answers("escrow.released", amount="12.99")

    capturing.tells("ORDER_COMPLETED", "RUNNER")
    capturing.ends(SagaStatus.COMPLETED, order="DELIVERED", payment="CAPTURED")


def test_a_saga_on_an_old_order_goes_on_from_its_version(capturing: Story) -> None:
    capturing.has_order(order="DELIVERED", payment="AUTHORIZED", version=9, active_saga_id=capturing.saga.saga_id)


def test_a_time_out_of_the_pivot_suspends_the_saga_and_never_compensates_it(capturing: Story) -> None:
    capturing.falls_silent()
    capturing.is_suspended(error="silent")
    capturing.has_steps(validate_runner="DONE", assign="DONE", capture="RUNNING", release="PENDING")


def test_a_late_reply_of_the_pivot_heals_the_saga_and_clears_its_error(capturing: Story) -> None:
    capturing.falls_silent()
    capturing.answers("payment.captured")

    assert (capturing.saga.status, capturing.saga.error) == (SagaStatus.RUNNING, None)
    capturing.expects("escrow.release")


def test_a_late_refusal_of_the_pivot_has_the_saga_compensated(capturing: Story) -> None:
    capturing.falls_silent()
    capturing.answers("payment.capture_failed")

    capturing.expects("escrow.unassign_runner")
    assert capturing.saga.error == SagaError(ErrorCode.REFUSED, "capture was refused: because")


def test_a_refused_pivot_undoes_what_came_before_it(capturing: Story) -> None:
    capturing.answers("payment.capture_failed")
    capturing.expects("escrow.unassign_runner", orderId=str(ORDER_ID), escrowId="esc_1")
    capturing.answers("escrow.runner_unassigned")

    capturing.ends(SagaStatus.COMPENSATED, order="DELIVERED", payment="AUTHORIZED", error="refused")
    capturing.has_steps(validate_runner="DONE", assign="COMPENSATED", capture="FAILED", release="SKIPPED", notify="SKIPPED")


def test_a_time_out_behind_the_pivot_suspends_the_saga(capturing: Story) -> None:
    capturing.answers("payment.captured")
    capturing.expects("escrow.release")
    capturing.falls_silent()
    capturing.is_suspended(error="silent")

    capturing.answers("escrow.released", amount="12.99")
    assert capturing.saga.status is SagaStatus.COMPLETED
    assert capturing.saga.error is None


def test_a_skipped_step_is_neither_asked_nor_undone() -> None:
    story = Story(PAY_OUT, delivered(escrow_id=None))
    story.expects("user.validate_runner")
    story.answers("user.runner_validated")
    story.expects("payment.capture")
    story.answers("payment.capture_failed")

    story.ends(SagaStatus.COMPENSATED, order="DELIVERED", payment="AUTHORIZED", error="refused")
    assert story.saga.step("assign").status is StepStatus.SKIPPED


def test_a_saga_that_only_goes_forward_is_suspended_by_a_time_out_at_its_first_step() -> None:
    forward = Definition(
        name="give_back",
        version=1,
        steps=(
            Step(
                "unassign",
                Exchange(
                    commands.UnassignRunner,
                    lambda order, _: commands.UnassignRunner(order_id=str(order.order_id), escrow_id="esc_1"),
                    done=replies.RunnerUnassigned,
                ),
            ),
        ),
        undone=None,
    )
    story = Story(forward, delivered())
    story.expects("escrow.unassign_runner")
    story.falls_silent()
    story.is_suspended(error="silent")
    story.answers("escrow.runner_unassigned")
    story.ends(SagaStatus.COMPLETED, order="DELIVERED", payment="AUTHORIZED")


@pytest.mark.parametrize(("name", "said"), [("amount", "12.98"), ("paymentId", "pay_2"), ("orderId", "another")])
def test_a_capture_of_something_else_does_not_fit(capturing: Story, name: str, said: str) -> None:
    capturing.finds("payment.captured", Verdict.MISFIT, **{name: said})


def test_an_amount_is_compared_as_an_amount(capturing: Story) -> None:
    capturing.finds("payment.captured", Verdict.TAKEN, amount=Decimal("12.990"))


def test_a_runner_validated_for_somebody_else_does_not_fit() -> None:
    story = Story(PAY_OUT, delivered())
    story.finds("user.runner_validated", Verdict.MISFIT, runnerId="run_2")
    story.finds("user.runner_rejected", Verdict.MISFIT, runnerId="run_2")
