"""Faults planted on purpose, one at a time: a search must find each, and tell how it comes about.

A fault leaves out a rule of the real code, or breaks it, as somebody might by mistake.
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from chalicelib.operations import accept, complete, sweep, take_replies
from chalicelib.orders.order import Order, OrderStatus
from chalicelib.sagas import planner, registry
from chalicelib.sagas.accept_order import ACCEPT_ORDER
from chalicelib.sagas.cancel_order import CANCEL_ORDER
from chalicelib.sagas.complete_order import COMPLETE_ORDER
from chalicelib.sagas.definition import AnyStep, Definition, Moment, SagaData, Step
from chalicelib.sagas.engine import UnitOfWork, nothing_follows, unit_of_work
from chalicelib.sagas.outcomes import TimedOut
from chalicelib.sagas.planner import _Planning
from chalicelib.sagas.state import Saga, SagaError, SagaStatus, StepStatus
from chalicelib.sagas.verdict import Verdict, judge
from chalicelib.values import replace
from tests.explorer import explore
from tests.support.examples import RULES

# A place of the real code, and what stands there instead.
Planted = tuple[Any, str, Any]


@dataclass(frozen=True)
class Fault:
    """What is wrong, in which world a search meets it, after how many moves, and which broken rule it then tells."""

    what: str
    world: str
    moves: int
    broken: str
    planted: Iterable[Planted]

    @contextmanager
    def there(self) -> Iterator[None]:
        """Have the code be wrong until the block ends."""
        with ExitStack() as stack:
            for where, name, wrong in self.planted:
                stack.enter_context(patch.object(where, name, wrong))
            yield


# What stands instead of the real functions. Each calls the real one where it does not differ.

FORGETFUL = replace(RULES, after_end=nothing_follows)


def judge_by_type_alone(definition: Definition, saga: Saga, order: Any, reply: Any, causation_id: str) -> Verdict:
    if saga.pending and type(reply) in (definition.exchange_of(saga.pending).done, definition.exchange_of(saga.pending).refused):
        return Verdict.TAKEN
    return judge(definition, saga, order, reply, causation_id)


def _judge_deaf_when_suspended(definition: Definition, saga: Saga, order: Any, reply: Any, causation_id: str) -> Verdict:
    verdict = judge(definition, saga, order, reply, causation_id)
    return Verdict.STALE if saga.status is SagaStatus.FAILED else verdict


_compensate, _undo_next, _end, _refused, _prepare = (
    getattr(_Planning, name) for name in ("compensate", "_undo_next", "_end", "_refused", "_prepare")
)


def _undo_first_first(run: _Planning) -> None:
    upside_down = replace(run.definition, steps=tuple(reversed(run.definition.steps)))
    run.definition, definition = upside_down, run.definition
    _undo_next(run)
    run.definition = definition


def undo_what_is_surely_done(run: _Planning) -> None:
    for name, state in run.steps.items():
        if state.status is StepStatus.RUNNING:
            run.steps[name] = replace(state, status=StepStatus.FAILED)
    _undo_next(run)


def _call_off_at_once(run: _Planning, error: SagaError) -> None:
    run.error = error
    _end(run, SagaStatus.COMPENSATED)


def _open_at_once(run: _Planning, error: SagaError) -> None:
    _compensate(run, error)
    if run.definition.name == ACCEPT_ORDER.name:
        run.order = replace(run.order, runner_id=None, active_saga_id=None)


def send_anew(run: _Planning, pending: Any) -> None:
    step = run.definition.step_of(pending)
    exchange = run.definition.exchange_of(pending)
    run.send.append(_prepare(run, step, exchange, undo=pending.undo, attempts=pending.attempts + 1))
    run._await_copy(pending.attempts + 1)


def _send_with_other_bytes(run: _Planning, pending: Any) -> None:
    message = replace(pending.message, headers=(*pending.message.headers, ("attempt", b"2")))
    run.pending = replace(pending, attempts=pending.attempts + 1, message=message)
    run.send.append(message)
    run._await_copy(pending.attempts + 1)


def _try_again_under_the_same_id(run: _Planning, step: Step, refusals: int) -> None:
    assert run.pending
    run.pending = replace(run.pending, attempts=0)
    run._mark(step.name, StepStatus.RUNNING)
    run._await_copy(refusals)


def _let_go_when_suspended(run: _Planning) -> planner.Plan:
    planned = _result(run)
    return replace(planned, order=replace(planned.order, active_saga_id=None)) if planned.saga.status is SagaStatus.FAILED else planned


_result = _Planning.result


def _sweep_without_a_second_look(_job: Any, session: Any, rules: Any, items: Any) -> Any:
    with unit_of_work(session, rules, saga_ids=[due.saga_id for due, _ in items]) as work:
        for due, ids in items:
            saga = work.sagas[due.saga_id]
            if saga.pending:
                work.apply(saga, TimedOut(), sweep._clock(ids), ids)
    return work.written


def cancel_without_a_second_look(_job: Any, session: Any, rules: Any, items: Any) -> Any:
    with unit_of_work(session, rules, order_ids=[due.order_id for due, _ in items]) as work:
        for due, ids in items:
            if work.orders[due.order_id].active_saga_id is None:
                work.start(CANCEL_ORDER, work.orders[due.order_id], sweep._clock(ids), ids, sweep.TIMED_OUT)
    return work.written


def _change_untold(work: UnitOfWork, after: Any, cause: Any, ids: Any) -> None:
    _change(work, after, cause, ids)
    if after.order_status is OrderStatus.PENDING_PAYMENT:
        work._queued.pop()


_change = UnitOfWork._change


def _reserve_without_a_limit(order: Order, data: SagaData, _moment: Moment) -> Order:
    return replace(order, runner_id=data["runner_id"], accept_by=None)


def _with(definition: Definition, **changed: dict[str, Any]) -> list[Planted]:
    """A saga some of whose steps are written down otherwise."""
    return _instead_of(definition, [replace(step, **changed.get(step.name, {})) for step in definition.steps])


def _swapped(definition: Definition, one: str, other: str) -> list[Planted]:
    places = {one: definition.find(other), other: definition.find(one)}
    return _instead_of(definition, [places.get(step.name, step) for step in definition.steps])


def _instead_of(definition: Definition, steps: Iterable[AnyStep]) -> list[Planted]:
    wrong = replace(definition, steps=tuple(steps))
    name = definition.name.upper()
    starts: list[Planted] = [(module, name, wrong) for module in (accept, complete, sweep) if hasattr(module, name)]
    return [(registry, "DEFINITIONS", {**registry.DEFINITIONS, (definition.name, definition.version): wrong}), *starts]


FAULTS = (
    # Replies
    Fault(
        "a reply is matched by its type, not by the command it answers",
        "complete",
        8,
        "the reply is not awaited and changes something",
        [(take_replies, "judge", judge_by_type_alone)],
    ),
    Fault(
        "a suspended saga ignores late replies",
        "accept",
        7,
        "the reply is awaited and changes nothing",
        [(take_replies, "judge", _judge_deaf_when_suspended)],
    ),
    # Resends
    Fault("a resend has a new id", "create", 6, "the customer's money is authorized twice", [(_Planning, "_resend", send_anew)]),
    Fault(
        "a resend has other bytes",
        "create",
        2,
        "user.validate_customer is sent again with other bytes",
        [(_Planning, "_resend", _send_with_other_bytes)],
    ),
    Fault(
        "a refused payout is tried again under the same id",
        "complete",
        7,
        "complete_order waits for release_escrow, which is settled",
        [(_Planning, "_ask_later", _try_again_under_the_same_id)],
    ),
    # Compensation
    Fault(
        "compensation begins with the first step",
        "create",
        7,
        "create_order undoes authorize_payment before hold_escrow",
        [(_Planning, "_undo_next", _undo_first_first)],
    ),
    Fault(
        "a step that timed out counts as not done",
        "create",
        4,
        "the order is CANCELLED and a payment AUTHORIZED",
        [(_Planning, "_undo_next", undo_what_is_surely_done)],
    ),
    Fault(
        "a cancelled order is closed before its money is back",
        "create",
        4,
        "the order is CANCELLED and a payment AUTHORIZED",
        [(_Planning, "compensate", _call_off_at_once)],
    ),
    Fault(
        "an order is open again as its acceptance turns, not as it ends",
        "accept",
        5,
        "the order is held by nobody; not ended: ['accept_order']",
        [(_Planning, "compensate", _open_at_once)],
    ),
    Fault(
        "silence compensates also past the pivot",
        "complete",
        6,
        "the order is DELIVERED and the payment service has pay_of_102002 REFUNDED 12.99",
        [(Definition, "past_pivot", lambda self, _steps: self.undone is None)],
    ),
    Fault(
        "a refused payout's hold is not given back",
        "complete",
        14,
        "the order is DELIVERED with runner run_1 and the escrow service has esc_of_103002 HELD 12.99 run_1",
        _with(COMPLETE_ORDER, release_escrow={"undo_refused": False}),
    ),
    Fault(
        "the runner is paid before the customer",
        "complete",
        4,
        "the runner is paid before the customer has paid",
        _swapped(COMPLETE_ORDER, "capture_payment", "release_escrow"),
    ),
    # Who holds the order
    Fault(
        "a suspended saga lets go of its order",
        "complete",
        7,
        "the order is held by nobody; not ended: ['complete_order']",
        [(_Planning, "result", _let_go_when_suspended)],
    ),
    Fault(
        "a second runner may accept while the first one does",
        "accept",
        2,
        "the transaction fails: AssertionError: the index allows one saga that has not ended for each order",
        [(accept, "holder_of", lambda *_: None), (accept, "refuse_if_held", lambda *_: None)],
    ),
    # Time
    Fault(
        "an acceptance clears the time to accept",
        "accept",
        1,
        "the order is open without a time to accept it by",
        _with(ACCEPT_ORDER, reserve={"then": _reserve_without_a_limit}),
    ),
    Fault(
        "a sweep does not look again whether a command is due",
        "create",
        4,
        "the sweep acts on what is no longer due",
        [(sweep.OverdueCommands, "do", _sweep_without_a_second_look)],
    ),
    Fault(
        "a sweep does not look again whether an order is open",
        "cancel",
        11,
        "the order is CANCELLED and still held",
        [(sweep.UnacceptedOrders, "do", cancel_without_a_second_look)],
    ),
    # What follows
    Fault(
        "an authorization expired while a saga held the order, and that is forgotten",
        "cancel",
        5,
        "the order is READY_FOR_PICKUP, though its authorization expired",
        [(explore, "RULES", FORGETFUL)],
    ),
    Fault(
        "a change of an order sends no event",
        "create",
        2,
        "a version has no event, or an event no version",
        [(UnitOfWork, "_change", _change_untold)],
    ),
)
