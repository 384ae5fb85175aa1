"""What can happen to a saga. Each outcome brings the ids and the chance it may need, made before the transaction began."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from chalicelib.messages.replies import Reply
from chalicelib.sagas.state import SagaError


class Fresh:
    """Ids and a random number for one outcome; asked again, it gives the same ones, so a transaction can be run again."""

    def __init__(self, new_id: Callable[[], str], jitter: float) -> None:
        self._new_id = new_id
        self._ids: list[str] = []
        self.jitter = jitter

    def id(self, number: int) -> str:
        """The id with that number; number 0 is the event's, commands take the later ones."""
        while len(self._ids) <= number:
            self._ids.append(self._new_id())
        return self._ids[number]


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
class Turned:
    """Somebody asked the saga to turn round; its pending step counts as maybe done."""

    error: SagaError
    cancel_reason: str | None = None


Outcome: TypeAlias = Started | Answered | TimedOut | Deferred | Turned
