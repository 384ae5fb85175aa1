"""What the simulated partners do with a command, rule by rule."""

from decimal import Decimal
from typing import Any

import pytest

from chalicelib.messages import commands, replies
from infra.partners.accounts import Account, Hold, Payment
from infra.partners.decisions import DECISIONS, Attempt, Decision, decide, payment_method, payout_account

ORDER = "order-1"
AMOUNT = Decimal("12.99")
NEW = Account(ORDER)


def authorize(customer_id: str = "cust_1", **changed: Any) -> commands.AuthorizePayment:
    fields = {"order_id": ORDER, "customer_id": customer_id, "payment_method_id": "pm_1", "amount": AMOUNT, "currency": "SGD"}
    return commands.AuthorizePayment(**{**fields, **changed})


def release_payment(payment_id: str | None = None) -> commands.ReleasePayment:
    return commands.ReleasePayment(order_id=ORDER, payment_id=payment_id)


def capture(payment_id: str = "pay_1", **changed: Any) -> commands.CapturePayment:
    return commands.CapturePayment(**{"order_id": ORDER, "payment_id": payment_id, "amount": AMOUNT, "currency": "SGD", **changed})


def refund_payment(payment_id: str = "pay_1", **changed: Any) -> commands.RefundPayment:
    return commands.RefundPayment(**{"order_id": ORDER, "payment_id": payment_id, "amount": AMOUNT, "currency": "SGD", **changed})


def hold(customer_id: str = "cust_1", **changed: Any) -> commands.HoldEscrow:
    money = {"amount": AMOUNT, "food_fee": Decimal("9.00"), "delivery_fee": Decimal("3.99"), "currency": "SGD"}
    return commands.HoldEscrow(**{"order_id": ORDER, "customer_id": customer_id, **money, **changed})


def assign(runner_id: str = "run_1", escrow_id: str = "esc_1") -> commands.AssignRunner:
    return commands.AssignRunner(order_id=ORDER, escrow_id=escrow_id, runner_id=runner_id)


def unassign(escrow_id: str = "esc_1") -> commands.UnassignRunner:
    return commands.UnassignRunner(order_id=ORDER, escrow_id=escrow_id)


def release_escrow(runner_id: str = "run_1", escrow_id: str = "esc_1") -> commands.ReleaseEscrow:
    return commands.ReleaseEscrow(order_id=ORDER, escrow_id=escrow_id, runner_id=runner_id, payout_account_id="acct_1")


def refund_escrow(escrow_id: str | None = None) -> commands.RefundEscrow:
    return commands.RefundEscrow(order_id=ORDER, escrow_id=escrow_id)


def paid(status: Any = "AUTHORIZED") -> Account:
    return Account(ORDER, payments=(Payment("pay_1", "cust_1", AMOUNT, "SGD", status),))


def held(status: Any = "HELD", runner_id: str | None = None) -> Account:
    return Account(ORDER, holds=(Hold("esc_1", "cust_1", AMOUNT, "SGD", status, runner_id),))


def done(account: Account, command: commands.Command, *, saga_id: str | None = "saga-1", new_id: str = "1") -> Decision:
    return decide(account, command, Attempt(saga_id, new_id))


def refused(account: Account, command: commands.Command, reply: type[replies.Reply], saga_id: str | None = "saga-1") -> str:
    """Check that the command is refused by this reply and changes nothing; return the reason."""
    decision = done(account, command, saga_id=saga_id)
    assert type(decision.reply) is reply
    assert decision.account == account
    reason: str = decision.reply.data()["reason"]
    assert reason
    return reason


def test_every_command_that_exists_is_decided() -> None:
    assert set(DECISIONS) == set(commands.COMMANDS.values())


class TestUsers:
    def test_a_customer_is_validated_with_a_payment_method_that_is_always_the_same(self) -> None:
        reply = done(NEW, commands.ValidateCustomer(customer_id="cust_1")).reply
        assert reply == replies.CustomerValidated(customer_id="cust_1", payment_method_id=payment_method("cust_1"))
        assert payment_method("cust_1").startswith("pm_")

    def test_a_runner_is_validated_with_a_payout_account_of_his_own(self) -> None:
        reply = done(NEW, commands.ValidateRunner(runner_id="run_1")).reply
        assert reply == replies.RunnerValidated(runner_id="run_1", payout_account_id=payout_account("run_1"))
        assert payout_account("run_1").startswith("acct_")
        assert payout_account("run_1") != payout_account("run_2")

    def test_ids_made_from_the_longest_ids_of_persons_fit_the_contract(self) -> None:
        assert len(payout_account("r" * 128)) <= 128
        assert len(payment_method("c" * 128)) <= 128

    def test_persons_named_rejected_are_rejected(self) -> None:
        refused(NEW, commands.ValidateCustomer(customer_id="rejected_1"), replies.CustomerRejected)
        refused(NEW, commands.ValidateRunner(runner_id="rejected_1"), replies.RunnerRejected)

    @pytest.mark.parametrize("customer_id", ["declined_1", "noescrow_1", "silent_1", "not_rejected_1"])
    def test_customers_who_fail_elsewhere_are_validated(self, customer_id: str) -> None:
        assert isinstance(done(NEW, commands.ValidateCustomer(customer_id=customer_id)).reply, replies.CustomerValidated)


class TestPayments:
    def test_an_authorization_is_kept_and_answered_with_its_amount(self) -> None:
        decision = done(NEW, authorize(), new_id="7")
        assert decision.account.payments == (Payment("pay_7", "cust_1", AMOUNT, "SGD", "AUTHORIZED"),)
        assert decision.reply == replies.PaymentAuthorized(order_id=ORDER, payment_id="pay_7", amount=AMOUNT)

    def test_a_second_try_at_an_authorization_stands_in_the_books_for_itself(self) -> None:
        account = done(paid(), authorize(), new_id="2").account
        assert [payment.payment_id for payment in account.payments] == ["pay_1", "pay_2"]

    def test_customers_named_declined_are_declined(self) -> None:
        refused(NEW, authorize("declined_1"), replies.PaymentDeclined)

    @pytest.mark.parametrize("amount", ["0", "-1", "1000000"])
    def test_an_amount_that_makes_no_sense_is_declined(self, amount: str) -> None:
        refused(NEW, authorize(amount=Decimal(amount)), replies.PaymentDeclined)

    def test_a_silent_customer_is_authorized_without_an_answer(self) -> None:
        decision = done(NEW, authorize("silent_1"))
        assert decision.reply is None
        assert [payment.status for payment in decision.account.payments] == ["AUTHORIZED"]

    def test_a_silent_customer_whose_payment_was_released_is_refused_silently(self) -> None:
        barred = done(NEW, release_payment()).account
        assert done(barred, authorize("silent_1")) == Decision(barred, None)

    def test_everything_else_of_a_silent_customer_is_answered(self) -> None:
        account = done(NEW, authorize("silent_1")).account
        assert done(account, release_payment()).reply == replies.PaymentReleased(order_id=ORDER, payment_id="pay_1")
        assert isinstance(done(NEW, hold("silent_1")).reply, replies.EscrowHeld)

    @pytest.mark.parametrize("payment_id", ["pay_1", None])
    def test_a_release_undoes_the_authorization(self, payment_id: str | None) -> None:
        decision = done(paid(), release_payment(payment_id))
        assert decision.account.payments == paid("RELEASED").payments
        assert decision.reply == replies.PaymentReleased(order_id=ORDER, payment_id="pay_1")

    def test_a_release_without_id_undoes_all_that_stands(self) -> None:
        account = done(paid(), authorize(), new_id="2").account
        assert {payment.status for payment in done(account, release_payment()).account.payments} == {"RELEASED"}

    def test_a_release_by_id_leaves_another_authorization_alone(self) -> None:
        account = done(paid(), authorize(), new_id="2").account
        assert [payment.status for payment in done(account, release_payment("pay_2")).account.payments] == ["AUTHORIZED", "RELEASED"]

    def test_a_release_with_nothing_to_undo_is_answered_as_undone(self) -> None:
        assert done(NEW, release_payment()).reply == replies.PaymentReleased(order_id=ORDER)
        assert done(NEW, release_payment("pay_9")).reply == replies.PaymentReleased(order_id=ORDER, payment_id="pay_9")
        assert done(paid("RELEASED"), release_payment()).reply == replies.PaymentReleased(order_id=ORDER, payment_id="pay_1")

    def test_a_release_gives_no_captured_money_back(self) -> None:
        decision = done(paid("CAPTURED"), release_payment("pay_1"))
        assert decision.account.payments == paid("CAPTURED").payments
        assert isinstance(decision.reply, replies.PaymentReleased)

    @pytest.mark.parametrize("payment_id", ["pay_1", None])
    def test_an_authorization_that_comes_after_its_release_is_declined(self, payment_id: str | None) -> None:
        refused(done(NEW, release_payment(payment_id)).account, authorize(), replies.PaymentDeclined)

    def test_an_authorized_payment_is_captured(self) -> None:
        decision = done(paid(), capture())
        assert decision.account == paid("CAPTURED")
        assert decision.reply == replies.PaymentCaptured(order_id=ORDER, payment_id="pay_1", amount=AMOUNT)

    @pytest.mark.parametrize("status", ["CAPTURED", "RELEASED", "REFUNDED"])
    def test_a_payment_that_is_no_longer_authorized_is_not_captured(self, status: str) -> None:
        assert status in refused(paid(status), capture(), replies.PaymentCaptureFailed)

    @pytest.mark.parametrize("changed", [{"payment_id": "pay_9"}, {"amount": Decimal("13.00")}, {"currency": "EUR"}])
    def test_a_capture_that_does_not_fit_the_authorization_fails(self, changed: dict[str, Any]) -> None:
        refused(paid(), capture(**changed), replies.PaymentCaptureFailed)

    def test_a_refund_gives_captured_money_back(self) -> None:
        decision = done(paid("CAPTURED"), refund_payment())
        assert decision.account == paid("REFUNDED")
        assert decision.reply == replies.PaymentRefunded(order_id=ORDER, payment_id="pay_1", amount=AMOUNT)

    def test_a_capture_that_comes_after_its_refund_fails(self) -> None:
        refused(done(paid(), refund_payment()).account, capture(), replies.PaymentCaptureFailed)

    @pytest.mark.parametrize("account", [NEW, paid("RELEASED"), paid("REFUNDED")])
    def test_a_refund_with_nothing_to_undo_is_answered_as_undone(self, account: Account) -> None:
        decision = done(account, refund_payment())
        assert decision.account == account
        assert decision.reply == replies.PaymentRefunded(order_id=ORDER, payment_id="pay_1", amount=AMOUNT)

    def test_a_refund_says_how_much_it_gave_back_whatever_was_asked(self) -> None:
        reply = done(paid("CAPTURED"), refund_payment(amount=Decimal("1.00"))).reply
        assert reply == replies.PaymentRefunded(order_id=ORDER, payment_id="pay_1", amount=AMOUNT)


class TestEscrow:
    def test_a_hold_is_kept_and_answered_with_its_amount(self) -> None:
        decision = done(NEW, hold(), new_id="7")
        assert decision.account.holds == (Hold("esc_7", "cust_1", AMOUNT, "SGD", "HELD"),)
        assert decision.reply == replies.EscrowHeld(order_id=ORDER, escrow_id="esc_7", amount=AMOUNT)

    def test_customers_named_noescrow_get_no_hold(self) -> None:
        refused(NEW, hold("noescrow_1"), replies.EscrowHoldFailed)

    @pytest.mark.parametrize(
        "changed",
        [
            {"amount": Decimal(0), "food_fee": Decimal(0), "delivery_fee": Decimal(0)},
            {"amount": Decimal("12.98")},
            {"food_fee": Decimal("16.98"), "delivery_fee": Decimal("-3.99")},
        ],
    )
    def test_amounts_that_make_no_sense_are_not_held(self, changed: dict[str, Any]) -> None:
        refused(NEW, hold(**changed), replies.EscrowHoldFailed)

    @pytest.mark.parametrize("escrow_id", ["esc_1", None])
    def test_a_refund_undoes_the_hold_and_says_how_much(self, escrow_id: str | None) -> None:
        decision = done(held(), refund_escrow(escrow_id))
        assert decision.account.holds == held("REFUNDED").holds
        assert decision.reply == replies.EscrowRefunded(order_id=ORDER, escrow_id="esc_1", amount=AMOUNT)

    def test_a_refund_without_id_undoes_all_that_stands(self) -> None:
        account = done(held(), hold(), new_id="2").account
        decision = done(account, refund_escrow())
        assert {each.status for each in decision.account.holds} == {"REFUNDED"}
        assert decision.reply == replies.EscrowRefunded(order_id=ORDER, escrow_id="esc_2", amount=2 * AMOUNT)

    def test_a_refund_with_nothing_to_undo_is_answered_with_no_money(self) -> None:
        reply = done(NEW, refund_escrow()).reply
        assert reply is not None
        assert reply.data() == {"orderId": ORDER, "amount": "0.00"}

    def test_a_refund_of_what_is_refunded_already_names_it_again(self) -> None:
        assert done(held("REFUNDED"), refund_escrow()).reply == replies.EscrowRefunded(order_id=ORDER, escrow_id="esc_1", amount=AMOUNT)

    def test_a_refund_takes_nothing_back_from_a_runner_who_was_paid(self) -> None:
        decision = done(held("RELEASED", "run_1"), refund_escrow("esc_1"))
        assert decision.account.holds == held("RELEASED", "run_1").holds
        assert decision.reply == replies.EscrowRefunded(order_id=ORDER, escrow_id="esc_1", amount=Decimal(0))

    @pytest.mark.parametrize("escrow_id", ["esc_1", None])
    def test_a_hold_that_comes_after_its_refund_fails(self, escrow_id: str | None) -> None:
        refused(done(NEW, refund_escrow(escrow_id)).account, hold(), replies.EscrowHoldFailed)

    def test_a_payment_release_bars_no_hold_and_an_escrow_refund_no_authorization(self) -> None:
        assert isinstance(done(done(NEW, release_payment()).account, hold()).reply, replies.EscrowHeld)
        assert isinstance(done(done(NEW, refund_escrow()).account, authorize()).reply, replies.PaymentAuthorized)

    def test_a_runner_is_assigned_and_by_another_command_again(self) -> None:
        first = done(held(), assign())
        assert first.account == held(runner_id="run_1")
        assert first.reply == replies.RunnerAssigned(order_id=ORDER, escrow_id="esc_1", runner_id="run_1")
        assert done(first.account, assign()) == first

    def test_a_second_runner_is_refused(self) -> None:
        refused(held(runner_id="run_1"), assign("run_2"), replies.RunnerAssignmentFailed)

    def test_runners_named_noescrow_are_refused(self) -> None:
        refused(held(), assign("noescrow_1"), replies.RunnerAssignmentFailed)

    @pytest.mark.parametrize("account", [NEW, held("RELEASED"), held("REFUNDED")])
    def test_nobody_is_assigned_where_nothing_is_held(self, account: Account) -> None:
        refused(account, assign(), replies.RunnerAssignmentFailed)

    def test_an_unassignment_frees_the_hold_for_another_runner(self) -> None:
        decision = done(held(runner_id="run_1"), unassign(), saga_id="saga-2")
        assert decision.account.holds == held().holds
        assert decision.reply == replies.RunnerUnassigned(order_id=ORDER, escrow_id="esc_1")
        assert isinstance(done(decision.account, assign("run_2"), saga_id="saga-3").reply, replies.RunnerAssigned)

    @pytest.mark.parametrize("account", [NEW, held(), held("REFUNDED")])
    def test_an_unassignment_with_nothing_to_undo_is_answered_as_undone(self, account: Account) -> None:
        decision = done(account, unassign())
        assert decision.account.holds == account.holds
        assert decision.reply == replies.RunnerUnassigned(order_id=ORDER, escrow_id="esc_1")

    def test_an_assignment_that_comes_after_its_sagas_unassignment_is_refused_and_no_other(self) -> None:
        account = done(held(), unassign(), saga_id="saga-1").account
        refused(account, assign(), replies.RunnerAssignmentFailed, saga_id="saga-1")
        assert isinstance(done(account, assign(), saga_id="saga-2").reply, replies.RunnerAssigned)
        assert isinstance(done(account, assign(), saga_id=None).reply, replies.RunnerAssigned)

    def test_an_unassignment_without_a_saga_bars_nobody(self) -> None:
        account = done(held(), unassign(), saga_id=None).account
        assert isinstance(done(account, assign(), saga_id=None).reply, replies.RunnerAssigned)

    def test_the_assigned_runner_is_paid(self) -> None:
        decision = done(held(runner_id="run_1"), release_escrow())
        assert decision.account.holds == (Hold("esc_1", "cust_1", AMOUNT, "SGD", "RELEASED", "run_1", "acct_1"),)
        assert decision.reply == replies.EscrowReleased(order_id=ORDER, escrow_id="esc_1", amount=AMOUNT)

    @pytest.mark.parametrize(
        "account", [NEW, held(), held(runner_id="run_2"), held("RELEASED", "run_1"), held("REFUNDED", "run_1")], ids=lambda a: str(a.holds)
    )
    def test_nobody_else_is_paid_and_nobody_twice(self, account: Account) -> None:
        refused(account, release_escrow(), replies.EscrowReleaseFailed)


def test_a_notification_is_not_answered() -> None:
    command = commands.SendNotification(
        recipient_id="cust_1", recipient_type="CUSTOMER", notification_type="ORDER_OPENED", title="Open", message="It is.", order_id=ORDER
    )
    assert done(NEW, command) == Decision(NEW, None)
