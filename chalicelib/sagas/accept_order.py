"""accept_order: reserve the order for one runner, check the runner, name them to the escrow, confirm."""

from chalicelib.messages import commands, replies
from chalicelib.orders.lifecycle import move
from chalicelib.orders.order import Order, OrderStatus
from chalicelib.sagas.definition import Definition, Exchange, Local, Moment, Notify, SagaData, Start, Step, Undone
from chalicelib.sagas.notices import customer_is_told, nobody_is_told, runner_is_told
from chalicelib.sagas.partners import unassign_runner, validate_runner
from chalicelib.sagas.state import ErrorCode, SagaError
from chalicelib.values import replace


def _reserve(order: Order, data: SagaData, _moment: Moment) -> Order:
    return replace(order, runner_id=data["runner_id"])


def _assign(order: Order, data: SagaData) -> commands.AssignRunner:
    return commands.AssignRunner(order_id=str(order.order_id), escrow_id=order.escrow_id or "", runner_id=data["runner_id"])


def _confirm(order: Order, _data: SagaData, moment: Moment) -> Order:
    return move(order, OrderStatus.ACCEPTED, moment.now)


def _open_again(order: Order, _data: SagaData, _error: SagaError, _moment: Moment) -> Order:
    """The old `accept_by` stays: an accept undone after its time leaves the order due at once."""
    return replace(order, runner_id=None)


ACCEPT_ORDER = Definition(
    name="accept_order",
    version=1,
    starts=(Start(OrderStatus.READY_FOR_PICKUP, {"runner_id": "run_1"}),),
    steps=(
        Local("reserve", _reserve),
        Step(
            "validate_runner",
            Exchange(
                commands.ValidateRunner,
                validate_runner,
                done=replies.RunnerValidated,
                refused=replies.RunnerRejected,
                code=ErrorCode.REJECTED,
            ),
            harmless=True,
        ),
        Step(
            "assign_escrow",
            Exchange(commands.AssignRunner, _assign, done=replies.RunnerAssigned, refused=replies.RunnerAssignmentFailed),
            undo=Exchange(commands.UnassignRunner, unassign_runner, done=replies.RunnerUnassigned),
        ),
        Local("confirm", _confirm),
        Notify("notify_customer", customer_is_told("ORDER_ACCEPTED")),
        Notify("notify_runner", runner_is_told("ORDER_ACCEPTED")),
    ),
    undone=Undone(_open_again, nobody_is_told),
)
