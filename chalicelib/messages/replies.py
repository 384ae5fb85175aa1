"""What the partners answer, and what they say unasked: past tense, one class an event, its wire name and topic beside it."""

from chalicelib.messages import topics
from chalicelib.messages.wire import Id, Money, OwnId, Reason, Wire


class Reply(Wire):
    """A message from a partner."""


class UserReply(Reply):
    TOPIC = topics.USER_EVENTS


class PaymentReply(Reply):
    TOPIC = topics.PAYMENT_EVENTS
    order_id: OwnId


class EscrowReply(Reply):
    TOPIC = topics.ESCROW_EVENTS
    order_id: OwnId


class CustomerValidated(UserReply):
    TYPE = "user.customer_validated"
    customer_id: Id
    payment_method_id: Id


class CustomerRejected(UserReply):
    TYPE = "user.customer_rejected"
    customer_id: Id
    reason: Reason


class RunnerValidated(UserReply):
    TYPE = "user.runner_validated"
    runner_id: Id
    payout_account_id: Id


class RunnerRejected(UserReply):
    TYPE = "user.runner_rejected"
    runner_id: Id
    reason: Reason


class PaymentAuthorized(PaymentReply):
    TYPE = "payment.authorized"
    payment_id: Id
    amount: Money


class PaymentDeclined(PaymentReply):
    TYPE = "payment.declined"
    reason: Reason


class PaymentReleased(PaymentReply):
    TYPE = "payment.released"
    payment_id: Id | None = None


class PaymentCaptured(PaymentReply):
    TYPE = "payment.captured"
    payment_id: Id
    amount: Money


class PaymentCaptureFailed(PaymentReply):
    TYPE = "payment.capture_failed"
    reason: Reason


class PaymentRefunded(PaymentReply):
    TYPE = "payment.refunded"
    payment_id: Id
    amount: Money


class AuthorizationExpired(PaymentReply):
    """Comes unasked: the bank no longer keeps the money for us."""

    TYPE = "payment.authorization_expired"
    payment_id: Id


class EscrowHeld(EscrowReply):
    TYPE = "escrow.held"
    escrow_id: Id
    amount: Money


class EscrowHoldFailed(EscrowReply):
    TYPE = "escrow.hold_failed"
    reason: Reason


class RunnerAssigned(EscrowReply):
    TYPE = "escrow.runner_assigned"
    escrow_id: Id
    runner_id: Id


class RunnerAssignmentFailed(EscrowReply):
    TYPE = "escrow.runner_assignment_failed"
    reason: Reason


class RunnerUnassigned(EscrowReply):
    TYPE = "escrow.runner_unassigned"
    escrow_id: Id


class EscrowReleased(EscrowReply):
    TYPE = "escrow.released"
    escrow_id: Id
    amount: Money


class EscrowReleaseFailed(EscrowReply):
    TYPE = "escrow.release_failed"
    reason: Reason


class EscrowRefunded(EscrowReply):
    TYPE = "escrow.refunded"
    escrow_id: Id | None = None
    amount: Money


REPLIES: dict[str, type[Reply]] = {
    "user.customer_validated": CustomerValidated,
    "user.customer_rejected": CustomerRejected,
    "user.runner_validated": RunnerValidated,
    "user.runner_rejected": RunnerRejected,
    "payment.authorized": PaymentAuthorized,
    "payment.declined": PaymentDeclined,
    "payment.released": PaymentReleased,
    "payment.captured": PaymentCaptured,
    "payment.capture_failed": PaymentCaptureFailed,
    "payment.refunded": PaymentRefunded,
    "payment.authorization_expired": AuthorizationExpired,
    "escrow.held": EscrowHeld,
    "escrow.hold_failed": EscrowHoldFailed,
    "escrow.runner_assigned": RunnerAssigned,
    "escrow.runner_assignment_failed": RunnerAssignmentFailed,
    "escrow.runner_unassigned": RunnerUnassigned,
    "escrow.released": EscrowReleased,
    "escrow.release_failed": EscrowReleaseFailed,
    "escrow.refunded": EscrowRefunded,
}
