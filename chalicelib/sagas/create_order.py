"""create_order: check the customer, authorize the payment, hold the money in escrow, open the order to runners."""

from chalicelib.messages import commands, replies
from chalicelib.messages.commands import SendNotification
from chalicelib.orders.lifecycle import move, move_payment
from chalicelib.orders.order import Order, OrderStatus, PaymentStatus
from chalicelib.sagas.definition import Definition, Exchange, Local, Moment, Notify, SagaData, Start, Step, Undone
from chalicelib.sagas.notices import customer_is_told, to_customer
from chalicelib.sagas.partners import refund_escrow, release_payment
from chalicelib.sagas.state import ErrorCode, SagaError
from chalicelib.values import replace

CANCEL_REASON_LIMIT = 255


def _validate_customer(order: Order, _data: SagaData) -> commands.ValidateCustomer:
    return commands.ValidateCustomer(customer_id=order.customer_id)


def _await_payment(order: Order, _data: SagaData, moment: Moment) -> Order:
    return move(order, OrderStatus.PENDING_PAYMENT, moment.now)


def _authorize(order: Order, data: SagaData) -> commands.AuthorizePayment:
    return commands.AuthorizePayment(
        order_id=str(order.order_id),
        customer_id=order.customer_id,
        payment_method_id=data["payment_method_id"],
        amount=order.total,
        currency=order.currency,
    )


def _authorized(order: Order, data: SagaData, moment: Moment) -> Order:
    paid = move_payment(order, PaymentStatus.AUTHORIZED)
    return replace(move(paid, OrderStatus.PAYMENT_AUTHORIZED, moment.now), payment_id=data["payment_id"])


def _hold(order: Order, _data: SagaData) -> commands.HoldEscrow:
    return commands.HoldEscrow(
        order_id=str(order.order_id),
        customer_id=order.customer_id,
        amount=order.total,
        food_fee=order.food_fee,
        delivery_fee=order.delivery_fee,
        currency=order.currency,
    )


def _held(order: Order, data: SagaData, _moment: Moment) -> Order:
    return replace(order, escrow_id=data["escrow_id"])


def _open(order: Order, _data: SagaData, moment: Moment) -> Order:
    return replace(move(order, OrderStatus.READY_FOR_PICKUP, moment.now), accept_by=moment.now + moment.timeouts.accept)


def _cancelled(order: Order, data: SagaData, error: SagaError, moment: Moment) -> Order:
    authorized = order.payment_status == PaymentStatus.AUTHORIZED
    order = move_payment(order, PaymentStatus.RELEASED if authorized else PaymentStatus.FAILED)
    reason = data.get("cancel_reason") if error.code == ErrorCode.CANCELLED else error.detail[:CANCEL_REASON_LIMIT]
    return replace(move(order, OrderStatus.CANCELLED, moment.now), cancel_reason=reason)


def _tell_cancelled(order: Order, error: SagaError) -> tuple[SendNotification, ...]:
    asked_for = error.code in (ErrorCode.CANCELLED, ErrorCode.EXPIRED)
    return (to_customer(order, "ORDER_CANCELLED" if asked_for else "ORDER_REFUSED"),)


CREATE_ORDER = Definition(
    name="create_order",
    version=1,
    starts=(Start(OrderStatus.CREATED),),
    steps=(
        Step(
            "validate_customer",
            Exchange(
                commands.ValidateCustomer,
                _validate_customer,
                done=replies.CustomerValidated,
                refused=replies.CustomerRejected,
                code=ErrorCode.REJECTED,
            ),
            keep=("payment_method_id",),
            then=_await_payment,
            harmless=True,
        ),
        Step(
            "authorize_payment",
            Exchange(
                commands.AuthorizePayment,
                _authorize,
                done=replies.PaymentAuthorized,
                refused=replies.PaymentDeclined,
                code=ErrorCode.DECLINED,
            ),
            keep=("payment_id",),
            then=_authorized,
            undo=Exchange(commands.ReleasePayment, release_payment, done=replies.PaymentReleased),
        ),
        Step(
            "hold_escrow",
            Exchange(commands.HoldEscrow, _hold, done=replies.EscrowHeld, refused=replies.EscrowHoldFailed),
            keep=("escrow_id",),
            then=_held,
            undo=Exchange(commands.RefundEscrow, refund_escrow, done=replies.EscrowRefunded),
        ),
        Local("open_order", _open),
        Notify("notify_customer", customer_is_told("ORDER_OPENED")),
    ),
    undone=Undone(_cancelled, _tell_cancelled, cancels=True),
)
