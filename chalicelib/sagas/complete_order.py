"""complete_order: check the runner's payout account, capture the payment (pivot), pay the runner out of escrow, close."""

from chalicelib.messages import commands, replies
from chalicelib.orders.lifecycle import move, move_payment
from chalicelib.orders.order import Order, OrderStatus, PaymentStatus
from chalicelib.sagas.definition import Definition, Exchange, Local, Moment, Notify, SagaData, Start, Step, Undone
from chalicelib.sagas.notices import customer_is_told, nobody_is_told, runner_is_told
from chalicelib.sagas.partners import refund_escrow, validate_runner
from chalicelib.sagas.state import ErrorCode, SagaError


def _capture(order: Order, _data: SagaData) -> commands.CapturePayment:
    return commands.CapturePayment(
        order_id=str(order.order_id), payment_id=order.payment_id or "", amount=order.total, currency=order.currency
    )


def _captured(order: Order, _data: SagaData, _moment: Moment) -> Order:
    return move_payment(order, PaymentStatus.CAPTURED)


def _refund_payment(order: Order, _data: SagaData) -> commands.RefundPayment:
    return commands.RefundPayment(
        order_id=str(order.order_id), payment_id=order.payment_id or "", amount=order.total, currency=order.currency
    )


def _pay_out(order: Order, data: SagaData) -> commands.ReleaseEscrow:
    return commands.ReleaseEscrow(
        order_id=str(order.order_id),
        escrow_id=order.escrow_id or "",
        runner_id=order.runner_id or "",
        payout_account_id=data["payout_account_id"],
    )


def _close(order: Order, _data: SagaData, moment: Moment) -> Order:
    return move(order, OrderStatus.COMPLETED, moment.now)


def _stay_delivered(order: Order, _data: SagaData, _error: SagaError, _moment: Moment) -> Order:
    """The order stays DELIVERED; money that had been captured was given back."""
    if order.payment_status is PaymentStatus.CAPTURED:
        return move_payment(order, PaymentStatus.REFUNDED)
    return order


COMPLETE_ORDER = Definition(
    name="complete_order",
    version=1,
    starts=(Start(OrderStatus.DELIVERED),),
    steps=(
        Step(
            "validate_runner",
            Exchange(
                commands.ValidateRunner,
                validate_runner,
                done=replies.RunnerValidated,
                refused=replies.RunnerRejected,
                code=ErrorCode.REJECTED,
            ),
            keep=("payout_account_id",),
            harmless=True,
        ),
        Step(
            "capture_payment",
            Exchange(commands.CapturePayment, _capture, done=replies.PaymentCaptured, refused=replies.PaymentCaptureFailed),
            then=_captured,
            undo=Exchange(commands.RefundPayment, _refund_payment, done=replies.PaymentRefunded),
            pivot=True,
        ),
        Step(
            "release_escrow",
            Exchange(commands.ReleaseEscrow, _pay_out, done=replies.EscrowReleased, refused=replies.EscrowReleaseFailed),
            undo=Exchange(commands.RefundEscrow, refund_escrow, done=replies.EscrowRefunded),
            tries_again=True,
            undo_refused=True,
        ),
        Local("close", _close),
        Notify("notify_customer", customer_is_told("ORDER_COMPLETED")),
        Notify("notify_runner", runner_is_told("ORDER_COMPLETED")),
    ),
    undone=Undone(_stay_delivered, nobody_is_told),
)
