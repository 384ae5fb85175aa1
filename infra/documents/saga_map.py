"""Where a saga can come to rest and what leads from there to where: found by asking the planner, not by reading the definition anew."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID

from chalicelib.messages.envelope import MessageContext, from_json
from chalicelib.messages.replies import Reply
from chalicelib.orders.order import FoodItem, Order, OrderStatus, PaymentStatus
from chalicelib.orders.timeouts import Timeouts
from chalicelib.sagas.definition import Definition, Local, Moment, Notify
from chalicelib.sagas.outcomes import Answered, CompensationRequested, IdSource, Outcome, Retried, Started, TimedOut
from chalicelib.sagas.planner import Plan, plan
from chalicelib.sagas.retry import RetryPolicy
from chalicelib.sagas.state import ErrorCode, Saga, SagaError, SagaStatus, StepState, StepStatus

# Kept sagas of released versions (tests/data) name their places so.
START, TIMED_OUT, REFUSED = "START", "FAILED_silent", "FAILED_refused"
UNDO = "undo_"
AGAIN = "_again"
ATTEMPTS = 2
NOW = datetime(2026, 1, 1, tzinfo=UTC)
MOMENT = Moment(NOW, RetryPolicy(timedelta(seconds=10), ATTEMPTS), Timeouts(timedelta(minutes=30)))
COMPENSATION = CompensationRequested(SagaError(ErrorCode.CANCELLED, "compensated"))
BACK = (SagaStatus.COMPENSATING, SagaStatus.COMPENSATED)


@dataclass(frozen=True)
class Arrow:
    """From one place to the next, and why; the places are named as in `place_of`."""

    before: str
    after: str
    label: str


@dataclass
class SagaMap:
    """All arrows of a saga, in the order in which they were found, and how it leaves the order: by status, then order and payment."""

    arrows: dict[Arrow, None] = field(default_factory=dict)
    ends: dict[SagaStatus, dict[tuple[str, str], None]] = field(default_factory=dict)


def explore(definition: Definition) -> SagaMap:
    """Follow every outcome from every place, beginning with the orders on which the saga may start."""
    found, seen, todo = SagaMap(), set(), []
    for start in definition.starts:
        order = order_in(start.status)
        saga = _new_saga(definition, order, start.data)
        begun = _plan(definition, Plan(saga, replace(order, active_saga_id=saga.saga_id), ()), Started())
        _note(found, definition, START, saga, begun, "")
        todo.append(begun)
    while todo:
        at = todo.pop(0)
        if _key(at.saga) in seen:
            continue
        seen.add(_key(at.saga))
        for label, after in _outcomes(definition, at):
            _note(found, definition, place_of(at.saga), at.saga, after, label)
            todo.append(after)
    return found


def place_of(saga: Saga) -> str:
    """The name of the place where a saga rests or has ended."""
    if saga.ended:
        return saga.status.value
    if saga.status is SagaStatus.FAILED:
        return TIMED_OUT if saga.pending else REFUSED
    step = saga.current_step or ""
    if saga.pending and saga.pending.undo:
        return UNDO + step
    names = [each.name for each in saga.steps]
    later = saga.steps[names.index(step) + 1 :]
    return step + (AGAIN if any(each.tries for each in later) else "")


def order_in(status: OrderStatus) -> Order:
    """An order as it is when it has come to that status by the usual way."""
    opened = status is not OrderStatus.CREATED
    return Order(
        order_id=UUID(int=1),
        customer_id="cust_1",
        food_items=(FoodItem("Chicken rice", Decimal("4.50"), 2),),
        store_location="Koufu",
        delivery_location="Hall 5",
        food_fee=Decimal("9.00"),
        delivery_fee=Decimal("3.99"),
        total=Decimal("12.99"),
        currency="SGD",
        order_status=status,
        payment_status=PaymentStatus.AUTHORIZED if opened else PaymentStatus.PENDING,
        created_at=NOW,
        updated_at=NOW,
        version=1,
        runner_id="run_1" if opened and status is not OrderStatus.READY_FOR_PICKUP else None,
        payment_id="pay_1" if opened else None,
        escrow_id="esc_1" if opened else None,
        accept_by=NOW if opened else None,
    )


def _new_saga(definition: Definition, order: Order, data: Mapping[str, str]) -> Saga:
    steps = tuple(StepState(step.name) for step in definition.steps)
    context, version = MessageContext("map"), definition.version
    return Saga(UUID(int=2), order.order_id, definition.name, version, SagaStatus.RUNNING, steps, context, NOW, data)


def _plan(definition: Definition, at: Plan, outcome: Outcome) -> Plan:
    taken = sum(len(step.tries) for step in at.saga.steps)
    numbers = count(100 * taken)
    return plan(definition, at.saga, at.order, outcome, MOMENT, IdSource(lambda: str(next(numbers)), 0))


def _outcomes(definition: Definition, at: Plan) -> Iterator[tuple[str, Plan]]:
    """What can happen to a saga at rest, and what it comes to. One that timed out goes on from where it was: see `_note`."""
    saga = at.saga
    if saga.ended or place_of(saga) == TIMED_OUT:
        return
    if saga.pending is None:
        yield "retry", _plan(definition, at, Retried())
        yield "compensate", _plan(definition, at, COMPENSATION)
        return
    exchange = definition.exchange_of(saga.pending)
    asked = at if saga.pending.attempts else _plan(definition, at, TimedOut())
    yield exchange.done.TYPE, _plan(definition, asked, Answered(_reply(exchange.done, asked), "r"))
    if exchange.refused:
        refused = _plan(definition, asked, Answered(_reply(exchange.refused, asked), "r"))
        tries_again = place_of(refused.saga) == place_of(saga)
        yield exchange.refused.TYPE + (", tried again" if tries_again else ""), refused
    yield "timed out", _timed_out(definition, asked)
    if definition.can_compensate(saga):
        yield "compensated", _plan(definition, at, COMPENSATION)


def _timed_out(definition: Definition, at: Plan) -> Plan:
    awaited = at.saga.pending.command_id if at.saga.pending else None
    while at.saga.due_at and at.saga.pending and at.saga.pending.command_id == awaited:
        at = _plan(definition, at, TimedOut())
    return at


def _reply(kind: type[Reply], at: Plan) -> Reply:
    message = at.saga.pending.message if at.saga.pending else None
    command: dict[str, Any] = from_json((message.value if message else None) or b"{}")
    known = {"amount": at.order.total, "orderId": str(at.order.order_id), **command}
    return kind.read({name: known.get(name, name) for name in (str(each.alias) for each in kind.model_fields.values())})


def _note(found: SagaMap, definition: Definition, before: str, saga: Saga, after: Plan, label: str) -> None:
    """Draw the way by the steps that were passed at once; a place where a saga is suspended also has its way back."""
    for name in _left_out(definition, saga, after.saga):
        label = f"{label}, without {name}".removeprefix(", ")
    for name in _passed(definition, saga, after.saga):
        found.arrows[Arrow(before, name, label)] = None
        before, label = name, ""
    place = place_of(after.saga)
    found.arrows[Arrow(before, place, label)] = None
    if place == TIMED_OUT:
        found.arrows[Arrow(place, before, "late reply, or retry")] = None
    if after.saga.ended:
        statuses = after.order.order_status.value, after.order.payment_status.value
        found.ends.setdefault(after.saga.status, {})[statuses] = None


def _passed(definition: Definition, before: Saga, after: Saga) -> list[str]:
    asking_nobody = [step.name for step in definition.steps if isinstance(step, (Local, Notify))]
    return [name for name in asking_nobody if _became(StepStatus.DONE, name, before, after)]


def _left_out(definition: Definition, before: Saga, after: Saga) -> list[str]:
    if after.status in BACK:
        return []
    return [step.name for step in definition.steps if _became(StepStatus.SKIPPED, step.name, before, after)]


def _became(status: StepStatus, name: str, before: Saga, after: Saga) -> bool:
    return after.step(name).status is status and before.step(name).status is not status


def _key(saga: Saga) -> tuple[Any, ...]:
    """What the rest of a saga's life depends on; tries count only up to the number after which they are counted anew."""
    steps = tuple((step.status, len(step.tries) % ATTEMPTS) for step in saga.steps)
    return saga.status, saga.pending.step if saga.pending else None, steps
