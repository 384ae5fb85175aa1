"""Every error of ours, as a small tree:

CampusError
├── SettingsError            a setting is missing or wrong; the process refuses to start
├── IllegalTransition        a bug: somebody asked the state machine for a move it doesn't have
├── Unavailable              Kafka can't be reached just now: the outbox keeps what waits
├── RecordsFailed            records of a batch failed and can only come again with all the others
├── Replayed                 not an error: the request was answered before
└── Refusal                  a request we understand and turn down: Invalid, Forbidden, NotFound, PreconditionFailed, WrongStatus,
                             HeldBySaga, Taken, TooLate, KeyReused, InFlight; those of HTTP alone stand in entrypoints/refusals.py

What a refusal is over HTTP says one table, in entrypoints/problems.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias


class CampusError(Exception):
    """The root: catch it to tell our errors from bugs."""


class SettingsError(CampusError):
    """A setting is missing or wrong. The message names the variable, never its value if that could be secret."""


class IllegalTransition(CampusError):
    """A move that the state machine doesn't have."""


class Unavailable(CampusError):
    """A dependency can't be reached just now."""


class RecordsFailed(CampusError):
    """Records of a batch failed, and the mapping knows only whole batches: raised so that Lambda delivers the batch again."""


# The way to a field of what was handed in, from outside in, or the name of a parameter.
Place: TypeAlias = tuple[int | str, ...] | str


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field."""

    place: Place
    detail: str


class Replayed(CampusError):
    """Not an error: the request was answered before, and `answer` is what was kept of that."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        super().__init__("the request was answered before")
        self.answer = answer


class Refusal(CampusError):
    """A request turned down; `detail` says why."""

    def __init__(self, detail: str, errors: Sequence[FieldError] = (), *, retry_after: int | None = None) -> None:
        """After `retry_after` seconds the same request may be taken."""
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)
        self.retry_after = retry_after


class Invalid(Refusal):
    """The request can't be done as it stands; `errors` name the fields."""


class Forbidden(Refusal):
    """The caller may not do this."""


class NotFound(Refusal):
    """There is no such thing, or none that the caller may know of."""


class PreconditionFailed(Refusal):
    """The order is at another version than the caller expects."""


class WrongStatus(Refusal):
    """The order's status doesn't allow this."""


class HeldBySaga(Refusal):
    """A saga holds the order just now."""


class Taken(Refusal):
    """Another runner was faster."""


class TooLate(Refusal):
    """The time for this is over."""


class KeyReused(Refusal):
    """The idempotency key was used for another request."""


class InFlight(Refusal):
    """The first request with this idempotency key is still being answered."""
