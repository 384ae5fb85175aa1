"""cancel_acceptance: the runner gives the order back; it opens again, with a new time limit. Only goes forward."""

from chalicelib.messages import commands, replies
from chalicelib.orders.lifecycle import move
from chalicelib.orders.order import Order, OrderStatus
from chalicelib.sagas.definition import Definition, Exchange, Local, Moment, Notify, SagaData, Start, Step
from chalicelib.sagas.notices import customer_is_told
from chalicelib.sagas.partners import unassign_runner
from chalicelib.values import replace


def _reopen(order: Order, _data: SagaData, moment: Moment) -> Order:
    reopened = move(order, OrderStatus.READY_FOR_PICKUP, moment.now)
    return replace(reopened, runner_id=None, accept_by=moment.now + moment.timeouts.accept)


CANCEL_ACCEPTANCE = Definition(
    name="cancel_acceptance",
    version=1,
    starts=(Start(OrderStatus.ACCEPTED, {"runner_id": "run_1"}),),
    steps=(
        Step("unassign_runner", Exchange(commands.UnassignRunner, unassign_runner, done=replies.RunnerUnassigned)),
        Local("reopen", _reopen),
        Notify("notify_customer", customer_is_told("ORDER_REOPENED")),
    ),
    undone=None,
)
