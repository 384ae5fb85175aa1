"""cancel_order: take the runner off, give the money back, close as CANCELLED or TIMED_OUT. Only goes forward."""

from collections.abc import Sequence

from chalicelib.messages import commands, replies
from chalicelib.messages.commands import NotificationType, SendNotification
from chalicelib.orders.lifecycle import move, move_payment
from chalicelib.orders.order import Order, OrderStatus, PaymentStatus
from chalicelib.sagas.definition import Definition, Exchange, Local, Moment, Notify, SagaData, Start, Step
from chalicelib.sagas.notices import to_customer, to_runner
from chalicelib.sagas.partners import refund_escrow, release_payment, unassign_runner
from chalicelib.values import replace


def _has_no_runner(order: Order, _data: SagaData) -> bool:
    return order.runner_id is None


def _close(order: Order, data: SagaData, moment: Moment) -> Order:
    """`ending` among the saga data says which end it is; the runner's name stays on the order."""
    closed = move(move_payment(order, PaymentStatus.RELEASED), OrderStatus(data["ending"]), moment.now)
    return replace(closed, cancel_reason=data.get("cancel_reason"))


def _tell(order: Order, _data: SagaData) -> Sequence[SendNotification]:
    type: NotificationType = "ORDER_TIMED_OUT" if order.order_status is OrderStatus.TIMED_OUT else "ORDER_CANCELLED"
    customer = to_customer(order, type)
    return (customer, to_runner(order, type)) if order.runner_id else (customer,)


CANCEL_ORDER = Definition(
    name="cancel_order",
    version=1,
    starts=(
        Start(OrderStatus.ACCEPTED, {"ending": OrderStatus.CANCELLED.value}),
        Start(OrderStatus.READY_FOR_PICKUP, {"ending": OrderStatus.TIMED_OUT.value}),
    ),
    steps=(
        Step(
            "unassign_runner",
            Exchange(commands.UnassignRunner, unassign_runner, done=replies.RunnerUnassigned),
            skip=_has_no_runner,
        ),
        Step("refund_escrow", Exchange(commands.RefundEscrow, refund_escrow, done=replies.EscrowRefunded)),
        Step("release_payment", Exchange(commands.ReleasePayment, release_payment, done=replies.PaymentReleased)),
        Local("close", _close),
        Notify("notify", _tell),
    ),
    undone=None,
)
