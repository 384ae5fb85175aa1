"""create_order, told: what it asks of whom, and how it is undone from wherever it has come to."""

from datetime import timedelta

import pytest

from chalicelib.messages.envelope import from_json
from chalicelib.messages.trace import span_of
from chalicelib.sagas.create_order import CREATE_ORDER
from chalicelib.sagas.state import ErrorCode, SagaStatus
from chalicelib.sagas.verdict import Verdict
from tests.support.examples import ACCEPT_TIMEOUT, CONTEXT, NOW, ORDER_ID, an_order
from tests.support.saga_language import Story, header

COMPLETED, COMPENSATED = SagaStatus.COMPLETED, SagaStatus.COMPENSATED


@pytest.fixture
def story() -> Story:
    """A story that has just begun: the customer is to be validated."""
    story = Story(CREATE_ORDER, an_order())
    story.expects("user.validate_customer", customerId="cust_1")
    return story


@pytest.fixture
def authorizing(story: Story) -> Story:
    story.answers("user.customer_validated", paymentMethodId="pm_7")
    story.expects("payment.authorize", paymentMethodId="pm_7", amount="12.99", currency="SGD")
    return story


@pytest.fixture
def holding(authorizing: Story) -> Story:
    authorizing.answers("payment.authorized", paymentId="pay_7")
    authorizing.expects("escrow.hold", customerId="cust_1", amount="12.99", foodFee="9.00", deliveryFee="3.99", currency="SGD")
    return authorizing


def is_refunded_and_released(story: Story) -> None:
    story.expects("escrow.refund", orderId=str(ORDER_ID), escrowId=None)
    story.answers("escrow.refunded", amount="12.99")
    story.expects("payment.release", orderId=str(ORDER_ID), paymentId="pay_7")
    story.answers("payment.released")


def test_an_order_that_everybody_agrees_to_is_opened_to_runners(story: Story) -> None:
    story.has_order(order="CREATED", payment="PENDING", active_saga_id=story.saga.saga_id)
    story.answers("user.customer_validated")
    story.has_order(order="PENDING_PAYMENT", payment="PENDING")
    story.expects("payment.authorize", customerId="cust_1", orderId=str(ORDER_ID), paymentMethodId="pm_1")
    story.answers("payment.authorized", paymentId="pay_7")
    story.has_order(order="PAYMENT_AUTHORIZED", payment="AUTHORIZED", payment_id="pay_7", accept_by=None)
    story.expects("escrow.hold", amount="12.99")
    story.answers("escrow.held", escrowId="esc_7")

    story.tells("ORDER_OPENED", "CUSTOMER")
    story.ends(COMPLETED, order="READY_FOR_PICKUP", payment="AUTHORIZED")
    story.has_order(order="READY_FOR_PICKUP", payment="AUTHORIZED", escrow_id="esc_7", accept_by=story.now + ACCEPT_TIMEOUT)
    assert {step.status.value for step in story.saga.steps} == {"DONE"}
    assert [from_json(event.value or b"")["to"] for event in story.events] == [
        "CREATED",
        "PENDING_PAYMENT",
        "PAYMENT_AUTHORIZED",
        "READY_FOR_PICKUP",
    ]


def test_a_rejected_customer_ends_the_order_before_any_money_is_touched(story: Story) -> None:
    story.answers("user.customer_rejected", reason="unknown at this university")

    story.tells("ORDER_REFUSED", "CUSTOMER")
    story.ends(COMPENSATED, order="CANCELLED", payment="FAILED", error="rejected")
    story.has_order(
        order="CANCELLED",
        payment="FAILED",
        cancel_reason="validate_customer was refused: unknown at this university",
        cancelled_at=story.now,
    )
    story.has_steps(validate_customer="FAILED", authorize_payment="SKIPPED", hold_escrow="SKIPPED", notify_customer="SKIPPED")


def test_a_declined_payment_has_nothing_to_release(authorizing: Story) -> None:
    authorizing.answers("payment.declined")

    authorizing.tells("ORDER_REFUSED", "CUSTOMER")
    authorizing.ends(COMPENSATED, order="CANCELLED", payment="FAILED", error="declined")
    authorizing.has_steps(validate_customer="DONE", authorize_payment="FAILED", hold_escrow="SKIPPED")


def test_a_refused_hold_releases_the_payment(holding: Story) -> None:
    holding.answers("escrow.hold_failed")
    holding.has_order(order="PAYMENT_AUTHORIZED", payment="AUTHORIZED")
    holding.expects("payment.release", paymentId="pay_7")
    holding.answers("payment.released")

    holding.tells("ORDER_REFUSED", "CUSTOMER")
    holding.ends(COMPENSATED, order="CANCELLED", payment="RELEASED", error="refused")
    holding.has_steps(authorize_payment="COMPENSATED", hold_escrow="FAILED", open_order="SKIPPED")


def test_a_silent_user_service_leaves_nothing_to_undo(story: Story) -> None:
    story.falls_silent()

    story.tells("ORDER_REFUSED", "CUSTOMER")
    story.ends(COMPENSATED, order="CANCELLED", payment="FAILED", error="silent")
    story.has_steps(validate_customer="FAILED")


def test_a_payment_that_nobody_answered_may_be_done_and_is_released_without_its_id(authorizing: Story) -> None:
    authorizing.falls_silent()
    authorizing.has_order(order="PENDING_PAYMENT", payment="PENDING", cancelled_at=None)
    authorizing.expects("payment.release", orderId=str(ORDER_ID), paymentId=None)
    authorizing.finds("payment.authorized", Verdict.STALE, to="payment.authorize")
    authorizing.answers("payment.released", paymentId="pay_9")

    authorizing.tells("ORDER_REFUSED", "CUSTOMER")
    authorizing.ends(COMPENSATED, order="CANCELLED", payment="FAILED", error="silent")
    authorizing.has_order(order="CANCELLED", payment="FAILED", payment_id=None)
    authorizing.finds("payment.authorized", Verdict.STALE, to="payment.authorize")


def test_a_hold_that_nobody_answered_is_refunded_before_the_payment_is_released(holding: Story) -> None:
    holding.falls_silent()
    is_refunded_and_released(holding)

    holding.tells("ORDER_REFUSED", "CUSTOMER")
    holding.ends(COMPENSATED, order="CANCELLED", payment="RELEASED", error="silent")
    holding.has_steps(authorize_payment="COMPENSATED", hold_escrow="COMPENSATED")


def test_a_reply_to_any_copy_settles_the_step(authorizing: Story) -> None:
    authorizing.times_out()
    authorizing.times_out()
    authorizing.expects("payment.authorize")
    authorizing.expects("payment.authorize")
    authorizing.answers("payment.authorized")

    authorizing.expects("escrow.hold")
    assert authorizing.saga.step("authorize_payment").attempts == 3


def test_copies_are_waited_for_longer_and_longer(story: Story) -> None:
    waits = []
    for _ in range(4):
        assert story.saga.due_at
        waits.append(story.saga.due_at - story.now)
        story.times_out()

    assert waits == [timedelta(seconds=seconds) for seconds in (10, 20, 40, 80)]


def test_a_command_still_in_the_outbox_is_waited_for_anew_and_not_counted(authorizing: Story) -> None:
    authorizing.times_out()
    authorizing.expects("payment.authorize")
    for _ in range(10):
        authorizing.is_deferred()
        assert authorizing.saga.due_at == authorizing.now + timedelta(seconds=20)

    assert authorizing.saga.pending
    assert authorizing.saga.pending.attempts == 2
    authorizing.answers("payment.authorized")
    authorizing.expects("escrow.hold")


def test_cancelling_while_the_customer_is_validated_ends_at_once(story: Story) -> None:
    story.is_cancelled("changed my mind")

    story.tells("ORDER_CANCELLED", "CUSTOMER")
    story.ends(COMPENSATED, order="CANCELLED", payment="FAILED", error="cancelled")
    story.has_order(order="CANCELLED", payment="FAILED", cancel_reason="changed my mind")
    story.finds("user.customer_validated", Verdict.STALE, to="user.validate_customer")


def test_cancelling_while_the_payment_is_authorized_undoes_what_may_have_been_done(authorizing: Story) -> None:
    authorizing.is_cancelled()
    authorizing.has_order(order="PENDING_PAYMENT", payment="PENDING")
    authorizing.expects("payment.release", paymentId=None)
    authorizing.finds("payment.authorized", Verdict.STALE, to="payment.authorize")
    authorizing.answers("payment.released")

    authorizing.tells("ORDER_CANCELLED", "CUSTOMER")
    authorizing.ends(COMPENSATED, order="CANCELLED", payment="FAILED", error="cancelled")
    authorizing.has_order(order="CANCELLED", payment="FAILED", cancel_reason=None)


def test_cancelling_while_the_money_is_held_undoes_hold_and_payment(holding: Story) -> None:
    holding.is_cancelled("too slow")
    is_refunded_and_released(holding)

    holding.tells("ORDER_CANCELLED", "CUSTOMER")
    holding.ends(COMPENSATED, order="CANCELLED", payment="RELEASED", error="cancelled")
    holding.has_order(order="CANCELLED", payment="RELEASED", cancel_reason="too slow")


def test_an_expired_authorization_is_told_as_a_cancellation(holding: Story) -> None:
    holding.is_cancelled(code=ErrorCode.EXPIRED)
    is_refunded_and_released(holding)

    holding.tells("ORDER_CANCELLED", "CUSTOMER")
    holding.ends(COMPENSATED, order="CANCELLED", payment="RELEASED", error="expired")
    holding.has_order(order="CANCELLED", payment="RELEASED", cancel_reason="somebody asked for it")


@pytest.mark.parametrize("compensated_before", [False, True])
def test_a_saga_that_undoes_or_has_ended_can_not_be_compensated(holding: Story, compensated_before: bool) -> None:
    if compensated_before:
        holding.is_cancelled()
    else:
        holding.answers("escrow.held")
    before = holding.saga

    with pytest.raises(ValueError, match="can't be compensated"):
        holding.is_cancelled()
    assert holding.saga is before


def test_an_undo_without_reply_suspends_the_saga_and_a_late_reply_heals_it(holding: Story) -> None:
    holding.is_cancelled()
    holding.expects("escrow.refund")
    holding.falls_silent()
    holding.is_suspended(error="cancelled")
    holding.has_order(order="PAYMENT_AUTHORIZED", payment="AUTHORIZED", active_saga_id=holding.saga.saga_id)

    holding.answers("escrow.refunded", amount="12.99")
    assert holding.saga.status is SagaStatus.COMPENSATING
    holding.expects("payment.release")
    holding.falls_silent()
    holding.is_suspended(error="cancelled")
    holding.answers("payment.released")

    holding.tells("ORDER_CANCELLED", "CUSTOMER")
    holding.ends(COMPENSATED, order="CANCELLED", payment="RELEASED", error="cancelled")


def test_a_second_reply_to_an_undo_is_stale(holding: Story) -> None:
    holding.answers("escrow.hold_failed")
    holding.expects("payment.release")
    holding.answers("payment.released", paymentId="pay_7")

    holding.finds("payment.released", Verdict.STALE, to="payment.release", paymentId="pay_7")
    holding.finds("escrow.hold_failed", Verdict.STALE, to="escrow.hold")
    holding.finds("escrow.held", Verdict.CONTRADICTS, to="escrow.hold")


def test_a_long_reason_is_cut_where_the_order_keeps_it(authorizing: Story) -> None:
    authorizing.answers("payment.declined", reason="x" * 10_000)

    assert authorizing.order.cancel_reason
    assert len(authorizing.order.cancel_reason) == 255
    assert authorizing.saga.error
    assert len(authorizing.saga.error.detail) < 600


def test_messages_carry_their_saga_their_cause_and_the_callers_context(authorizing: Story) -> None:
    created, paying = authorizing.events
    first, second = authorizing.sent

    for message in (created, paying, first, second):
        assert header(message, "ce_sagaid") == str(authorizing.saga.saga_id)
        assert header(message, "ce_correlationid") == CONTEXT.correlation_id
        assert header(message, "traceparent") == span_of(CONTEXT.traceparent or "", header(message, "ce_id"))
        assert header(message, "ce_subject") == str(ORDER_ID)
        assert message.key == str(ORDER_ID).encode()
    assert header(first, "ce_causationid") == header(created, "ce_id")
    assert header(second, "ce_causationid") not in (header(message, "ce_id") for message in (*authorizing.events, *authorizing.sent))
    assert header(second, "ce_time") > NOW.isoformat()[:19]
