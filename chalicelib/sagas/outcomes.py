"""What can happen to a saga. Each outcome brings the ids and the chance it may need, made before the transaction began."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias
from uuid import UUID

from chalicelib.messages.replies import Reply
from chalicelib.sagas.state import SagaError


class IdSource:
    """Ids and a random number for one outcome; asked again, it gives the same ones, so a transaction can be run again.

    `jitter` is a random number from -1 to 1. Id 0 is that of the order's event, commands take the later ones.
    """

    def __init__(self, new_id: Callable[[], str], jitter: float) -> None:
        self._new_id = new_id
        self._ids: list[str] = []
        self._follow_up: IdSource | None = None
        self.jitter = jitter

    def id(self, number: int) -> str:
        """The id with that number."""
        while len(self._ids) <= number:
            self._ids.append(self._new_id())
        return self._ids[number]

    @cached_property
    def saga_id(self) -> UUID:
        """The id of the saga that this outcome starts, if it starts one."""
        return UUID(self._new_id())

    def follow_up(self) -> "IdSource":
        """For a saga that the same outcome starts where another one ends: the same event, other commands."""
        if self._follow_up is None:
            self._follow_up = IdSource(self._new_id, self.jitter)
            self._follow_up._ids.append(self.id(0))
        return self._follow_up


@dataclass(frozen=True)
class Started:
    """The saga begins."""


@dataclass(frozen=True)
class Answered:
    """The awaited reply came; `message_id` is its `ce_id`."""

    reply: Reply
    message_id: str


@dataclass(frozen=True)
class TimedOut:
    """No reply to the pending command was there by `due_at`."""


@dataclass(frozen=True)
class Deferred:
    """By `due_at` the pending command had not even been published: the wait begins anew."""


@dataclass(frozen=True)
class CompensationRequested:
    """Somebody asked for the saga's compensation; its pending step counts as maybe done. `data` is added to the saga's data."""

    error: SagaError
    data: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Retried:
    """An operator has a suspended saga go on."""


Outcome: TypeAlias = Started | Answered | TimedOut | Deferred | CompensationRequested | Retried
