"""What we ask of the partners: imperative, one class a command, its wire name and topic beside it."""

from typing import Literal

from chalicelib.messages import topics
from chalicelib.messages.wire import Id, Money, Text, Wire


class Command(Wire):
    """A message to a partner."""


class ValidateCustomer(Command):
    TYPE = "user.validate_customer"
    TOPIC = topics.USER_COMMANDS
    customer_id: Id


class ValidateRunner(Command):
    TYPE = "user.validate_runner"
    TOPIC = topics.USER_COMMANDS
    runner_id: Id


class AuthorizePayment(Command):
    TYPE = "payment.authorize"
    TOPIC = topics.PAYMENT_COMMANDS
    order_id: Id
    customer_id: Id
    payment_method_id: Id
    amount: Money
    currency: Id


class ReleasePayment(Command):
    """Undoes an authorization; without `payment_id` it undoes whatever stands for the order."""

    TYPE = "payment.release"
    TOPIC = topics.PAYMENT_COMMANDS
    order_id: Id
    payment_id: Id | None = None


class CapturePayment(Command):
    TYPE = "payment.capture"
    TOPIC = topics.PAYMENT_COMMANDS
    order_id: Id
    payment_id: Id
    amount: Money
    currency: Id


class RefundPayment(Command):
    TYPE = "payment.refund"
    TOPIC = topics.PAYMENT_COMMANDS
    order_id: Id
    payment_id: Id
    amount: Money
    currency: Id


class HoldEscrow(Command):
    TYPE = "escrow.hold"
    TOPIC = topics.ESCROW_COMMANDS
    order_id: Id
    customer_id: Id
    amount: Money
    food_fee: Money
    delivery_fee: Money
    currency: Id


class AssignRunner(Command):
    TYPE = "escrow.assign_runner"
    TOPIC = topics.ESCROW_COMMANDS
    order_id: Id
    escrow_id: Id
    runner_id: Id


class UnassignRunner(Command):
    TYPE = "escrow.unassign_runner"
    TOPIC = topics.ESCROW_COMMANDS
    order_id: Id
    escrow_id: Id


class ReleaseEscrow(Command):
    TYPE = "escrow.release"
    TOPIC = topics.ESCROW_COMMANDS
    order_id: Id
    escrow_id: Id
    runner_id: Id
    payout_account_id: Id


class RefundEscrow(Command):
    """Undoes a hold; without `escrow_id` it undoes whatever stands for the order."""

    TYPE = "escrow.refund"
    TOPIC = topics.ESCROW_COMMANDS
    order_id: Id
    escrow_id: Id | None = None


NotificationType = Literal[
    "ORDER_OPENED",
    "ORDER_REFUSED",
    "ORDER_ACCEPTED",
    "ORDER_REOPENED",
    "ORDER_COMPLETED",
    "ORDER_CANCELLED",
    "ORDER_TIMED_OUT",
]


class SendNotification(Command):
    """Tells a person; nobody answers it."""

    TYPE = "notification.send"
    TOPIC = topics.NOTIFICATION_COMMANDS
    recipient_id: Id
    recipient_type: Literal["CUSTOMER", "RUNNER"]
    notification_type: NotificationType
    title: Text
    message: Text
    order_id: Id


COMMANDS: dict[str, type[Command]] = {
    "user.validate_customer": ValidateCustomer,
    "user.validate_runner": ValidateRunner,
    "payment.authorize": AuthorizePayment,
    "payment.release": ReleasePayment,
    "payment.capture": CapturePayment,
    "payment.refund": RefundPayment,
    "escrow.hold": HoldEscrow,
    "escrow.assign_runner": AssignRunner,
    "escrow.unassign_runner": UnassignRunner,
    "escrow.release": ReleaseEscrow,
    "escrow.refund": RefundEscrow,
    "notification.send": SendNotification,
}
