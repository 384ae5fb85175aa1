"""What may happen next: people, operators, partners, the sweep's two transactions, and time.

A move is something with a name that turns a service, or the partners, into another one. Moves know nothing of a search.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import sqlalchemy as sa

from chalicelib.messages.envelope import Incoming, MessageContext
from chalicelib.messages.replies import AuthorizationExpired
from chalicelib.messaging.decode import ExpiryReceived, Received, ReplyReceived
from chalicelib.operations import accept, cancel, complete, create, give_back, operate
from chalicelib.operations import move_status as by_hand
from chalicelib.operations import sweep as sweeps
from chalicelib.operations.call import Call
from chalicelib.operations.take_replies import Delivery, take_replies
from chalicelib.orders.access import Viewer
from chalicelib.orders.due import DueOrder
from chalicelib.orders.order import Order, OrderStatus
from chalicelib.sagas.due import Due
from chalicelib.sagas.engine import Rules
from tests.explorer.partners import Answer
from tests.explorer.service import PAST, Ids, Operation, Service, too_late_to_accept, with_due
from tests.support.database import NEW_ORDER
from tests.support.examples import NOW

CONTEXT = MessageContext("corr-explored")
ORDER_ID = UUID(int=1)
LONG_PAST = PAST - timedelta(minutes=1)
CUSTOMER = Viewer("cust_1", frozenset({"customer"}))
ADMIN = Viewer("adm_1", frozenset({"admin"}))


def placed(rules: Rules) -> Operation:
    """The customer places the order."""
    return lambda session, ids: create.create_order(session, _call(rules, CUSTOMER, ids), ORDER_ID, NEW_ORDER)


def _call(rules: Rules, viewer: Viewer, ids: Ids) -> Call:
    return Call(rules, viewer, CONTEXT, ids.source())


def _runner(sub: str | None) -> Viewer:
    return Viewer(sub or "run_1", frozenset({"runner"}))


# What people ask for, as it stands in a story: a function of the rules and the order to the operation.
Asked = Callable[[Rules, Order], Operation]


def _accepted_by(runner_id: str) -> Asked:
    return lambda rules, order: (
        lambda session, ids: accept.accept_order(session, _call(rules, _runner(runner_id), ids), order.order_id, runner_id)
    )


def _cancelled_by(viewer: Viewer, reason: str) -> Asked:
    return lambda rules, order: lambda session, ids: cancel.cancel_order(session, _call(rules, viewer, ids), order.order_id, reason)


def _given_back(rules: Rules, order: Order) -> Operation:
    return lambda session, ids: give_back.cancel_acceptance(session, _call(rules, _runner(order.runner_id), ids), order.order_id)


def _moved_on(rules: Rules, order: Order) -> Operation:
    to = by_hand.BY_HAND.get(order.order_status, OrderStatus.COLLECTED)
    return lambda session, ids: by_hand.move_status(session, _call(rules, _runner(order.runner_id), ids), order.order_id, to)


def _completed(rules: Rules, order: Order) -> Operation:
    return lambda session, ids: complete.complete_order(session, _call(rules, CUSTOMER, ids), order.order_id)


def _operated(operation: Callable[[sa.Connection, Call, UUID], object]) -> Asked:
    return lambda rules, order: lambda session, ids: operation(session, _call(rules, ADMIN, ids), order.active_saga_id or order.order_id)


OPERATORS = RETRIED, COMPENSATED = "an operator retries the saga", "an operator compensates the saga"
PEOPLE: Mapping[str, Asked] = {
    "run_1 accepts the order": _accepted_by("run_1"),
    "run_2 accepts the order": _accepted_by("run_2"),
    "the customer cancels": _cancelled_by(CUSTOMER, "changed my mind"),
    "an admin cancels": _cancelled_by(ADMIN, "the store burnt down"),
    "the runner gives the order back": _given_back,
    "the runner moves the order on": _moved_on,
    "the customer completes the order": _completed,
    RETRIED: _operated(operate.retry),
    COMPENSATED: _operated(operate.compensate),
}
# What else happens only so often.
REFUSAL, EXPIRY = "a partner refuses", "the bank lets the authorization expire"
LATE, UNCOMPLETED = "nobody accepts in time", "nobody completes in time"


def time_is_over(service: Service) -> Service | None:
    """The order's time to accept passes; None where it has none, or it has passed."""
    order = service.order
    is_open = order.order_status is OrderStatus.READY_FOR_PICKUP and order.accept_by is not None and order.accept_by > NOW
    return too_late_to_accept(service) if is_open else None


# Replies and what comes unasked


def _take(rules: Rules, received: Callable[[Ids], Received]) -> Operation:
    def operation(session: sa.Connection, ids: Ids) -> None:
        taken = take_replies(session, rules, [Delivery(received(ids), ids.source(), ids.new())])
        for _, error in taken.failed:
            raise error

    return operation


def comes(rules: Rules, answer: Answer) -> Operation:
    """A partner's answer comes."""
    return _take(rules, lambda ids: ReplyReceived(_record(), f"to_{answer.command_id}", answer.saga_id, answer.command_id, answer.reply))


def expiry_comes(rules: Rules, payment_id: str) -> Operation:
    """What the bank says unasked comes."""
    said = AuthorizationExpired(order_id=str(ORDER_ID), payment_id=payment_id)
    return _take(rules, lambda ids: ExpiryReceived(_record(), "expiry", ORDER_ID, said, CONTEXT))


def _record() -> Incoming:
    return Incoming("partner-events", 0, 0, str(ORDER_ID).encode(), b"{}", ())


# The sweep: what one transaction found due, another one acts on later


@dataclass(frozen=True, order=True)
class Found:
    """Something that a sweep has read as due. `outdated`: the order has changed since."""

    job: str
    command_id: str = ""
    published: bool = True
    outdated: bool = False


def found_by_sweep(service: Service) -> Iterator[tuple[Found, Service]]:
    """What a sweep may find now, with the service as it is when that is due; as the statements of `sagas.due` and `orders.due` have it."""
    order, holder = service.order, service.holder
    if holder and holder.pending and holder.due_at:
        sent = any(command.id == holder.pending.command_id for command in service.sent)
        for published in (True, False) if sent else (True,):
            yield Found("overdue", holder.pending.command_id, published), with_due(service, holder)
    if order.active_saga_id:
        return
    if order.order_status is OrderStatus.READY_FOR_PICKUP and order.accept_by and order.accept_by <= NOW:
        yield Found("unaccepted"), service
    if order.order_status is OrderStatus.DELIVERED and order.payment_status == "AUTHORIZED":
        yield Found("uncompleted"), service


def acted_on(rules: Rules, service: Service, found: Found) -> Operation:
    """The sweep acts on what it found."""
    job: sweeps.Job
    item: Due | DueOrder
    if found.job == "overdue":
        saga = service.tries[found.command_id][0]
        due_at = PAST if service.awaits(found.command_id) else LONG_PAST
        job, item = sweeps.OverdueCommands(), Due(saga.saga_id, found.command_id, found.published, due_at)
    elif found.job == "unaccepted":
        job, item = sweeps.UnacceptedOrders(), DueOrder(ORDER_ID, PAST, (PAST, ORDER_ID))
    else:
        since = PAST if found.outdated else service.order.updated_at
        job, item = sweeps.UncompletedOrders(), DueOrder(ORDER_ID, since, (since, ORDER_ID))
    return lambda session, ids: job.do(session, rules, [(item, ids.source())])
