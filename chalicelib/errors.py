"""Every error of ours, as a small tree:

CampusError
├── SettingsError            a setting is missing or wrong; the process refuses to start
├── IllegalTransition        a bug: somebody asked the state machine for a move it doesn't have
├── Unavailable              Kafka can't be reached just now: the outbox keeps what waits
├── RecordsFailed            records of a batch failed and can only come again with all the others
├── Replayed                 not an error: the request was answered before
└── Refusal                  a request we understand and turn down; carries what a client is told
    ├── NotJson, BadHeader, TooLarge, UnsupportedMediaType, UnsupportedCoding, Invalid, Unauthorized, InvalidToken,
    │   Forbidden, NotFound, PreconditionFailed, KeyReused, RateLimited
    ├── Conflict             the order's state doesn't allow it: WrongStatus, HeldBySaga, Taken, TooLate, InFlight, Cancelled
    ├── PaymentDeclined, CustomerRejected, RunnerRejected, PartnerFailed: how a saga ended
    └── Unexpected, ServiceUnavailable
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar


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


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field; `pointer` is a JSON pointer (RFC 6901) into the body, or a parameter's name."""

    pointer: str
    detail: str


class Replayed(CampusError):
    """Not an error: the request was answered before, and this is what was said."""

    def __init__(self, status: int, body: str, headers: Mapping[str, str]) -> None:
        super().__init__("the request was answered before")
        self.status = status
        self.body = body
        self.headers = headers


class Refusal(CampusError):
    """A request turned down. `problem` is the last part of its RFC 9457 type, `status` the HTTP status."""

    problem: ClassVar[str]
    status: ClassVar[int]
    title: ClassVar[str]

    def __init__(self, detail: str, errors: Sequence[FieldError] = (), *, retry_after: int | None = None) -> None:
        """`retry_after` seconds are what the client is asked to wait, by a Retry-After header."""
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)
        self.retry_after = retry_after


class NotJson(Refusal):
    problem, status, title = "not-json", 400, "The body is not JSON"


class BadHeader(Refusal):
    problem, status, title = "invalid", 400, "A header can't be understood"


class TooLarge(Refusal):
    problem, status, title = "too-large", 413, "The body is too large"


class UnsupportedMediaType(Refusal):
    problem, status, title = "unsupported-media-type", 415, "The body must be application/json"


class UnsupportedCoding(Refusal):
    problem, status, title = "unsupported-media-type", 415, "The body must not be encoded"


class Invalid(Refusal):
    problem, status, title = "invalid", 422, "The request is not valid"


class Unauthorized(Refusal):
    problem, status, title = "unauthorized", 401, "A valid bearer token is needed"


class InvalidToken(Refusal):
    problem, status, title = Unauthorized.problem, Unauthorized.status, Unauthorized.title


class Forbidden(Refusal):
    problem, status, title = "forbidden", 403, "This is not yours to do"


class NotFound(Refusal):
    problem, status, title = "not-found", 404, "There is no such thing"


class Conflict(Refusal):
    status = 409


class WrongStatus(Conflict):
    problem, title = "wrong-status", "The order's status doesn't allow this"


class HeldBySaga(Conflict):
    problem, title = "held-by-saga", "A saga holds the order just now"


class Taken(Conflict):
    problem, title = "taken", "Another runner was faster"


class TooLate(Conflict):
    problem, title = "too-late", "The time for this is over"


class InFlight(Conflict):
    problem, title = "in-flight", "The same request is still being answered"


class KeyReused(Refusal):
    problem, status, title = "key-reused", 422, "The idempotency key was used for another request"


class RateLimited(Refusal):
    problem, status, title = "rate-limited", 429, "Too many requests"


class PreconditionFailed(Refusal):
    problem, status, title = "precondition-failed", 412, "The order has changed meanwhile"


class PaymentDeclined(Refusal):
    problem, status, title = "payment-declined", 402, "The payment was declined"


class CustomerRejected(Refusal):
    problem, status, title = "customer-rejected", 422, "The customer was rejected"


class RunnerRejected(Refusal):
    problem, status, title = "runner-rejected", 422, "The runner was rejected"


class PartnerFailed(Refusal):
    problem, status, title = "partner-failed", 502, "A partner service failed, refused or stayed silent"


class Cancelled(Conflict):
    problem, title = "cancelled", "The order was cancelled meanwhile"


class Unexpected(Refusal):
    """A bug of ours: asking again brings the same."""

    problem, status, title = "internal", 500, "Something went wrong"


class ServiceUnavailable(Refusal):
    """Only for what a repeat may cure, as clients repeat such requests by themselves."""

    problem, status, title = "unavailable", 503, "The service can't work just now"
