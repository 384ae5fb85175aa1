"""The vocabulary in which a saga is written down: steps with their command, replies and compensation side by side.

A definition is checked when it is made: one that names a step twice, or that could neither be undone nor finished, is refused at import.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from chalicelib.messages.commands import Command, SendNotification
from chalicelib.messages.replies import Reply
from chalicelib.orders.order import Order, OrderStatus
from chalicelib.orders.timeouts import Timeouts
from chalicelib.sagas.retry import RetryPolicy
from chalicelib.sagas.state import ErrorCode, Pending, Saga, SagaError, SagaStatus, StepState, StepStatus

SagaData: TypeAlias = Mapping[str, str]


@dataclass(frozen=True)
class Moment:
    """What a decision may know of the world besides order and saga: the database's time, and how long the service waits."""

    now: datetime
    policy: RetryPolicy
    timeouts: Timeouts


OrderChange: TypeAlias = Callable[[Order, SagaData, Moment], Order]


class DefinitionError(ValueError):
    """A saga that must not run: the message says which step of which saga breaks which rule."""


def unchanged(order: Order, _data: SagaData, _moment: Moment) -> Order:
    return order


def _never(_order: Order, _data: SagaData) -> bool:
    return False


@dataclass(frozen=True)
class Exchange:
    """A command and the replies that settle it. `code` is the saga's error where `refused` comes."""

    command: type[Command]
    build: Callable[[Order, SagaData], Command]
    done: type[Reply]
    refused: type[Reply] | None = None
    code: ErrorCode = ErrorCode.REFUSED


@dataclass(frozen=True)
class Step:
    """Ask a partner. The done reply's fields named in `keep` become saga data, then `then` says what it means for the order.

    `undo` takes back what the step did or may have done; a step that is `harmless` needs none. `skip` leaves the step out. From the
    `pivot` on a saga only goes forward; where such a step `tries_again`, a refusal is followed by new tries. With `undo_refused`
    the undo is also due where the step was refused: an operator takes back what an earlier saga had done for it.
    """

    name: str
    ask: Exchange
    keep: tuple[str, ...] = ()
    then: OrderChange = unchanged
    undo: Exchange | None = None
    harmless: bool = False
    skip: Callable[[Order, SagaData], bool] = _never
    pivot: bool = False
    tries_again: bool = False
    undo_refused: bool = False


@dataclass(frozen=True)
class Local:
    """A change of the order that needs nobody else."""

    name: str
    then: OrderChange


@dataclass(frozen=True)
class Notify:
    """Tell people; nobody answers."""

    name: str
    notices: Callable[[Order, SagaData], Sequence[SendNotification]]


AnyStep: TypeAlias = Step | Local | Notify


@dataclass(frozen=True)
class Undone:
    """What it means that a saga was undone: for the order, and for whom to tell. `cancels` where it leaves the order CANCELLED."""

    then: Callable[[Order, SagaData, SagaError, Moment], Order]
    notices: Callable[[Order, SagaError], Sequence[SendNotification]]
    cancels: bool = False


@dataclass(frozen=True)
class Start:
    """An order on which a saga may start, by its status, and an example of what the saga is given then: where its diagrams begin."""

    status: OrderStatus
    data: SagaData = field(default_factory=dict)


@dataclass(frozen=True)
class Definition:
    """One version of one saga, and what it says of a run of it. `undone` is None where a saga only goes forward."""

    name: str
    version: int
    steps: tuple[AnyStep, ...]
    undone: Undone | None
    starts: tuple[Start, ...] = ()

    def __post_init__(self) -> None:
        names = [step.name for step in self.steps]
        for name in names:
            if names.count(name) > 1:
                raise DefinitionError(f"{self.name} names the step {name} twice")
        asking = [step for step in self.steps if isinstance(step, Step)]
        for step in asking:
            self._check_settled(step, step.ask)
            if step.undo:
                self._check_settled(step, step.undo)
                self._check_undo(step, step.undo)
        pivots = [position for position, step in enumerate(asking) if step.pivot]
        if len(pivots) > 1:
            raise DefinitionError(f"{self.name} has more than one pivot")
        turning_point = 0 if self.undone is None else pivots[0] if pivots else len(asking)
        for step in asking[:turning_point]:
            self._check_undoable(step)
        for step in asking[turning_point:]:
            self._check_retryable(step)

    def _check_settled(self, step: Step, exchange: Exchange) -> None:
        """A saga that rests on a command which nobody answers would never move again; a partner answers on its own topic."""
        answers = exchange.command.TOPIC.replace("-commands", "-events")
        replies: list[type[Reply] | None] = [exchange.done] if exchange.refused is None else [exchange.done, exchange.refused]
        if any(getattr(reply, "TOPIC", None) != answers for reply in replies):
            raise DefinitionError(f"{self.name}: step {step.name} sends {exchange.command.TYPE} without a reply that could settle it")

    def _check_undo(self, step: Step, undo: Exchange) -> None:
        if undo.refused:
            raise DefinitionError(f"{self.name}: the undo of {step.name} can be refused, and an undo must not")

    def _check_undoable(self, step: Step) -> None:
        if step.undo is None and not step.harmless:
            raise DefinitionError(f"{self.name}: step {step.name} comes before the pivot and has no undo")

    def _check_retryable(self, step: Step) -> None:
        if step.ask.refused and not step.tries_again and not step.pivot:
            raise DefinitionError(f"{self.name}: step {step.name} comes after the pivot, can be refused and does not try again")

    def find(self, name: str) -> AnyStep:
        """The step of that name; raises KeyError where this version has none."""
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(f"{self.name} version {self.version} has no step {name}")

    def after(self, name: str | None) -> tuple[AnyStep, ...]:
        """The steps that follow `name`; all of them for None."""
        if name is None:
            return self.steps
        position = [step.name for step in self.steps].index(name)
        return self.steps[position + 1 :]

    @property
    def cancels_when_undone(self) -> bool:
        """Whether compensating a run of this saga cancels its order."""
        return self.undone is not None and self.undone.cancels

    def step_of(self, pending: Pending) -> Step:
        """The step whose command is pending; raises TypeError where that step sends none."""
        step = self.find(pending.step)
        if not isinstance(step, Step):
            raise TypeError(f"{self.name}: {step.name} sends no command")
        return step

    def exchange_of(self, pending: Pending) -> Exchange:
        """The exchange that the pending command began: its step's action or undo; raises TypeError where the step has none."""
        step = self.step_of(pending)
        exchange = step.undo if pending.undo else step.ask
        if exchange is None:
            raise TypeError(f"{self.name}: {step.name} has no undo")
        return exchange

    def past_pivot(self, steps: Iterable[StepState]) -> bool:
        """Whether the pivot's command is written: from then on only its refusal compensates the saga."""
        pivots = [step.name for step in self.steps if isinstance(step, Step) and step.pivot]
        written = (StepStatus.RUNNING, StepStatus.DONE)
        return self.undone is None or any(step.name in pivots and step.status in written for step in steps)

    def can_compensate(self, saga: Saga) -> bool:
        """Whether an operator may have the saga compensated: while it runs ahead of the pivot, or suspended by a refusal."""
        suspended_by_refusal = saga.status is SagaStatus.FAILED and saga.pending is None
        runs_ahead = saga.status is SagaStatus.RUNNING and not self.past_pivot(saga.steps)
        return self.undone is not None and (suspended_by_refusal or runs_ahead)

    def can_retry(self, saga: Saga) -> bool:
        """Whether an operator may have the saga go on: where it is suspended."""
        return saga.status is SagaStatus.FAILED

    def refusal_in(self, saga: Saga) -> type[Reply] | None:
        """The refusal that the saga took last, whichever step it refused; None where every partner did as asked."""
        for step in reversed(self.steps):
            refused = step.ask.refused if isinstance(step, Step) else None
            if refused and any(attempt.reply and attempt.reply["type"] == refused.TYPE for attempt in saga.step(step.name).tries):
                return refused
        return None
