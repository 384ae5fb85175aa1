"""What the partners know of one order: its authorizations, its holds, and what must no longer happen to it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Literal

PaymentStatus = Literal["AUTHORIZED", "CAPTURED", "RELEASED", "REFUNDED"]
HoldStatus = Literal["HELD", "RELEASED", "REFUNDED"]


@dataclass(frozen=True)
class Payment:
    """Money that the payment service keeps ready, took or gave back."""

    payment_id: str
    customer_id: str
    amount: Decimal
    currency: str
    status: PaymentStatus = "AUTHORIZED"


@dataclass(frozen=True)
class Hold:
    """Money that the escrow service holds, paid out or gave back, and the runner it is meant for."""

    escrow_id: str
    customer_id: str
    amount: Decimal
    currency: str
    status: HoldStatus = "HELD"
    runner_id: str | None = None
    payout_account_id: str | None = None


@dataclass(frozen=True)
class Account:
    """The partners' books of one order.

    `payments_barred` and `holds_barred`: an undo was taken, so a later authorize or hold is refused. `unassigned_sagas`: the sagas whose
    `escrow.unassign_runner` was taken, so that a later `escrow.assign_runner` of theirs is refused.
    """

    order_id: str
    payments: tuple[Payment, ...] = ()
    holds: tuple[Hold, ...] = ()
    payments_barred: bool = False
    holds_barred: bool = False
    unassigned_sagas: frozenset[str] = field(default=frozenset())

    def payment(self, payment_id: str) -> Payment | None:
        """The payment with this id, if it is one of this order."""
        return next((payment for payment in self.payments if payment.payment_id == payment_id), None)

    def hold(self, escrow_id: str) -> Hold | None:
        """The hold with this id, if it is one of this order."""
        return next((hold for hold in self.holds if hold.escrow_id == escrow_id), None)

    def with_payments(self, change: Callable[[Payment], Payment]) -> "Account":
        """This account with `change` applied to each of its payments."""
        return replace(self, payments=tuple(change(payment) for payment in self.payments))

    def with_holds(self, change: Callable[[Hold], Hold]) -> "Account":
        """This account with `change` applied to each of its holds."""
        return replace(self, holds=tuple(change(hold) for hold in self.holds))
