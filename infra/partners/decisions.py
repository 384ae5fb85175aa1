"""What a partner does with a command and what it answers: pure functions of the order's books and the command.

The rules are those of the message contract: undo commands have no refusal (nothing to undo is answered as undone), an undo bars what it
undoes, everything else that makes no sense gets the refusal its type has. By the beginning of an id the partners misbehave on purpose.
Each of several authorizations or holds of one order stands for itself, so that an order service that asks twice is seen in the books.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from chalicelib.messages import commands, replies
from chalicelib.messages.replies import Reply
from infra.partners.accounts import Account, Hold, Payment

DECLINED, REJECTED, NO_ESCROW, SILENT = "declined_", "rejected_", "noescrow_", "silent_"
# Far above any order's, and small enough that all of an order's holds together can still be written in an answer.
LARGEST_AMOUNT = Decimal("999999.99")


@dataclass(frozen=True)
class Decision:
    """The order's books after the command, and the answer; None: the command is not answered."""

    account: Account
    reply: Reply | None


@dataclass(frozen=True)
class Attempt:
    """What a command brings along: its saga, and an id without prefix for what it may create."""

    saga_id: str | None
    new_id: str


def decide(account: Account, command: commands.Command, attempt: Attempt) -> Decision:
    """What a command that comes for the first time does to the order's books, and its answer."""
    return DECISIONS[type(command)](account, command, attempt)


def payment_method(customer_id: str) -> str:
    """The payment method a customer has at the user service."""
    return f"pm_{_digest(customer_id)}"


def payout_account(runner_id: str) -> str:
    """The account a runner is paid on."""
    return f"acct_{_digest(runner_id)}"


def _digest(person: str) -> str:
    return hashlib.sha256(person.encode()).hexdigest()[:24]


def _validate_customer(account: Account, command: commands.ValidateCustomer, _: Attempt) -> Decision:
    person = command.customer_id
    if person.startswith(REJECTED):
        return Decision(account, replies.CustomerRejected(customer_id=person, reason="the customer's account is suspended"))
    return Decision(account, replies.CustomerValidated(customer_id=person, payment_method_id=payment_method(person)))


def _validate_runner(account: Account, command: commands.ValidateRunner, _: Attempt) -> Decision:
    person = command.runner_id
    if person.startswith(REJECTED):
        return Decision(account, replies.RunnerRejected(runner_id=person, reason="the runner's account is suspended"))
    return Decision(account, replies.RunnerValidated(runner_id=person, payout_account_id=payout_account(person)))


def _authorize(account: Account, command: commands.AuthorizePayment, attempt: Attempt) -> Decision:
    refusal = _why_not_authorize(account, command)
    if refusal:
        decision = Decision(account, replies.PaymentDeclined(order_id=account.order_id, reason=refusal))
    else:
        payment = Payment(f"pay_{attempt.new_id}", command.customer_id, command.amount, command.currency)
        reply = replies.PaymentAuthorized(order_id=account.order_id, payment_id=payment.payment_id, amount=payment.amount)
        decision = Decision(replace(account, payments=(*account.payments, payment)), reply)
    return replace(decision, reply=None) if command.customer_id.startswith(SILENT) else decision


def _why_not_authorize(account: Account, command: commands.AuthorizePayment) -> str:
    # Here and below: the reason of the refusal, empty where there is none.
    if account.payments_barred:
        return "the order's payment was released before"
    if command.customer_id.startswith(DECLINED):
        return "the bank declined"
    if not _is_payable(command.amount):
        return "the amount can't be paid"
    return ""


def _release_payment(account: Account, command: commands.ReleasePayment, _: Attempt) -> Decision:
    def released(payment: Payment) -> Payment:
        meant = command.payment_id in (None, payment.payment_id)
        return replace(payment, status="RELEASED") if meant and payment.status == "AUTHORIZED" else payment

    account = replace(account.with_payments(released), payments_barred=True)
    undone = [payment.payment_id for payment in account.payments if payment.status == "RELEASED"]
    payment_id = command.payment_id or (undone[-1] if undone else None)
    return Decision(account, replies.PaymentReleased(order_id=account.order_id, payment_id=payment_id))


def _capture(account: Account, command: commands.CapturePayment, _: Attempt) -> Decision:
    payment = account.payment(command.payment_id)
    refusal = _why_not_capture(payment, command)
    if payment is None or refusal:
        return Decision(account, replies.PaymentCaptureFailed(order_id=account.order_id, reason=refusal))
    captured = replace(payment, status="CAPTURED")
    reply = replies.PaymentCaptured(order_id=account.order_id, payment_id=payment.payment_id, amount=payment.amount)
    return Decision(account.with_payments(lambda each: captured if each is payment else each), reply)


def _why_not_capture(payment: Payment | None, command: commands.CapturePayment) -> str:
    if payment is None:
        return "the order has no such payment"
    if payment.status != "AUTHORIZED":
        return f"the payment is {payment.status}"
    if (command.amount, command.currency) != (payment.amount, payment.currency):
        return f"{payment.currency} {payment.amount} is authorized"
    return ""


def _refund_payment(account: Account, command: commands.RefundPayment, _: Attempt) -> Decision:
    """Give back all that the payment took or kept; the answer says how much, or repeats the command's amount where there is nothing."""

    def refunded(payment: Payment) -> Payment:
        owed = payment.payment_id == command.payment_id and payment.status in ("AUTHORIZED", "CAPTURED")
        return replace(payment, status="REFUNDED") if owed else payment

    account = account.with_payments(refunded)
    payment = account.payment(command.payment_id)
    amount = payment.amount if payment and payment.status == "REFUNDED" else command.amount
    return Decision(account, replies.PaymentRefunded(order_id=account.order_id, payment_id=command.payment_id, amount=amount))


def _hold(account: Account, command: commands.HoldEscrow, attempt: Attempt) -> Decision:
    refusal = _why_not_hold(account, command)
    if refusal:
        return Decision(account, replies.EscrowHoldFailed(order_id=account.order_id, reason=refusal))
    hold = Hold(f"esc_{attempt.new_id}", command.customer_id, command.amount, command.currency)
    reply = replies.EscrowHeld(order_id=account.order_id, escrow_id=hold.escrow_id, amount=hold.amount)
    return Decision(replace(account, holds=(*account.holds, hold)), reply)


def _why_not_hold(account: Account, command: commands.HoldEscrow) -> str:
    if account.holds_barred:
        return "the order's escrow was refunded before"
    if command.customer_id.startswith(NO_ESCROW):
        return "escrow is not offered to this customer"
    if not _is_payable(command.amount):
        return "the amount can't be held"
    if min(command.food_fee, command.delivery_fee) < 0 or command.food_fee + command.delivery_fee != command.amount:
        return "the fees don't add up to the amount"
    return ""


def _assign_runner(account: Account, command: commands.AssignRunner, attempt: Attempt) -> Decision:
    hold = account.hold(command.escrow_id)
    refusal = _why_not_assign(account, hold, command.runner_id, attempt.saga_id)
    if hold is None or refusal:
        return Decision(account, replies.RunnerAssignmentFailed(order_id=account.order_id, reason=refusal))
    assigned = replace(hold, runner_id=command.runner_id)
    reply = replies.RunnerAssigned(order_id=account.order_id, escrow_id=hold.escrow_id, runner_id=command.runner_id)
    return Decision(account.with_holds(lambda each: assigned if each is hold else each), reply)


def _why_not_assign(account: Account, hold: Hold | None, runner_id: str, saga_id: str | None) -> str:
    if saga_id in account.unassigned_sagas:
        return "the assignment was undone before"
    if runner_id.startswith(NO_ESCROW):
        return "escrow is not offered to this runner"
    if hold is None:
        return "the order has no such hold"
    if hold.status != "HELD":
        return f"the hold is {hold.status}"
    if hold.runner_id not in (None, runner_id):
        return "the hold has another runner"
    return ""


def _unassign_runner(account: Account, command: commands.UnassignRunner, attempt: Attempt) -> Decision:
    def unassigned(hold: Hold) -> Hold:
        return replace(hold, runner_id=None) if hold.escrow_id == command.escrow_id and hold.status == "HELD" else hold

    sagas = account.unassigned_sagas if attempt.saga_id is None else account.unassigned_sagas | {attempt.saga_id}
    account = replace(account.with_holds(unassigned), unassigned_sagas=sagas)
    return Decision(account, replies.RunnerUnassigned(order_id=account.order_id, escrow_id=command.escrow_id))


def _release_escrow(account: Account, command: commands.ReleaseEscrow, _: Attempt) -> Decision:
    hold = account.hold(command.escrow_id)
    refusal = _why_not_release(hold, command.runner_id)
    if hold is None or refusal:
        return Decision(account, replies.EscrowReleaseFailed(order_id=account.order_id, reason=refusal))
    released = replace(hold, status="RELEASED", payout_account_id=command.payout_account_id)
    reply = replies.EscrowReleased(order_id=account.order_id, escrow_id=hold.escrow_id, amount=hold.amount)
    return Decision(account.with_holds(lambda each: released if each is hold else each), reply)


def _why_not_release(hold: Hold | None, runner_id: str) -> str:
    if hold is None:
        return "the order has no such hold"
    if hold.status != "HELD":
        return f"the hold is {hold.status}"
    if hold.runner_id != runner_id:
        return "the runner is not the one assigned"
    return ""


def _refund_escrow(account: Account, command: commands.RefundEscrow, _: Attempt) -> Decision:
    """Give back what is held; the answer's amount is all that now stands refunded of what was meant, so 0.00 where there never was any."""

    def meant(hold: Hold) -> bool:
        return command.escrow_id in (None, hold.escrow_id)

    def refunded(hold: Hold) -> Hold:
        return replace(hold, status="REFUNDED") if meant(hold) and hold.status == "HELD" else hold

    account = replace(account.with_holds(refunded), holds_barred=True)
    undone = [hold for hold in account.holds if meant(hold) and hold.status == "REFUNDED"]
    escrow_id = command.escrow_id or (undone[-1].escrow_id if undone else None)
    amount = sum((hold.amount for hold in undone), Decimal(0))
    return Decision(account, replies.EscrowRefunded(order_id=account.order_id, escrow_id=escrow_id, amount=amount))


def _send_notification(account: Account, _command: commands.SendNotification, _: Attempt) -> Decision:
    return Decision(account, None)


def _is_payable(amount: Decimal) -> bool:
    return 0 < amount <= LARGEST_AMOUNT


DECISIONS: dict[type[commands.Command], Callable[[Account, Any, Attempt], Decision]] = {
    commands.ValidateCustomer: _validate_customer,
    commands.ValidateRunner: _validate_runner,
    commands.AuthorizePayment: _authorize,
    commands.ReleasePayment: _release_payment,
    commands.CapturePayment: _capture,
    commands.RefundPayment: _refund_payment,
    commands.HoldEscrow: _hold,
    commands.AssignRunner: _assign_runner,
    commands.UnassignRunner: _unassign_runner,
    commands.ReleaseEscrow: _release_escrow,
    commands.RefundEscrow: _refund_escrow,
    commands.SendNotification: _send_notification,
}
