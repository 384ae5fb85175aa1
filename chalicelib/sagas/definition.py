"""The vocabulary in which a saga is written down: steps with their command, replies and compensation side by side.

A definition is checked when it is made: one that names a step twice, or that could neither be undone nor finished, is refused at import.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from chalicelib.messages.commands import Command, SendNotification
from chalicelib.messages.replies import Reply
from chalicelib.orders.order import Order
from chalicelib.sagas.retry import RetryPolicy
from chalicelib.sagas.state import ErrorCode, SagaError

Facts: TypeAlias = Mapping[str, str]


@dataclass(frozen=True)
class Moment:
    """What a decision may know of the world besides order and saga: the database's time, and our rules of waiting."""

    now: datetime
    accept_timeout: timedelta
    policy: RetryPolicy


OrderChange: TypeAlias = Callable[[Order, Facts, Moment], Order]


class DefinitionError(ValueError):
    """A saga that must not run: the message says which step of which saga breaks which rule."""


def unchanged(order: Order, _facts: Facts, _moment: Moment) -> Order:
    return order


def _never(_order: Order, _facts: Facts) -> bool:
    return False


@dataclass(frozen=True)
class Exchange:
    """A command and the replies that settle it. `code` is the saga's error where `refused` comes."""

    command: type[Command]
    build: Callable[[Order, Facts], Command]
    done: type[Reply]
    refused: type[Reply] | None = None
    code: ErrorCode = ErrorCode.REFUSED


@dataclass(frozen=True)
class Step:
    """Ask a partner. The done reply's fields named in `keep` become facts, then `then` says what it means for the order.

    `undo` takes back what the step did or may have done. `skip` leaves the step out. From the `pivot` on a saga only goes forward.
    """

    name: str
    ask: Exchange
    keep: tuple[str, ...] = ()
    then: OrderChange = unchanged
    undo: Exchange | None = None
    harmless: bool = False
    skip: Callable[[Order, Facts], bool] = _never
    pivot: bool = False


@dataclass(frozen=True)
class Local:
    """A change of the order that needs nobody else."""

    name: str
    then: OrderChange


@dataclass(frozen=True)
class Notify:
    """Tell people; nobody answers."""

    name: str
    notices: Callable[[Order, Facts], Sequence[SendNotification]]


AnyStep: TypeAlias = Step | Local | Notify


@dataclass(frozen=True)
class Undone:
    """What it means that a saga was undone: for the order, and for whom to tell."""

    then: Callable[[Order, Facts, SagaError, Moment], Order]
    notices: Callable[[Order, SagaError], Sequence[SendNotification]]


@dataclass(frozen=True)
class Definition:
    """One version of one saga. `undone` is None where a saga only goes forward."""

    name: str
    version: int
    steps: tuple[AnyStep, ...]
    undone: Undone | None

    def __post_init__(self) -> None:
        names = [step.name for step in self.steps]
        for name in names:
            if names.count(name) > 1:
                raise DefinitionError(f"{self.name} names the step {name} twice")
        for step in self._asking_before_pivot():
            if step.undo is None and not step.harmless and not step.pivot and self.undone:
                raise DefinitionError(f"{self.name}: step {step.name} comes before the pivot and has no undo")
            if step.undo and step.undo.refused:
                raise DefinitionError(f"{self.name}: the undo of {step.name} can be refused, and an undo must not")

    def _asking_before_pivot(self) -> list[Step]:
        asking: list[Step] = []
        for step in self.steps:
            if isinstance(step, Step):
                asking.append(step)
                if step.pivot:
                    break
        return asking

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

    def past_pivot(self, name: str) -> bool:
        """Whether a saga that has written the command of step `name` can no longer turn back."""
        pivot = next((step.name for step in self.steps if isinstance(step, Step) and step.pivot), None)
        return self.undone is None or (pivot is not None and (name == pivot or name in [step.name for step in self.after(pivot)]))
