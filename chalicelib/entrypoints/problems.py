"""RFC 9457 problems: the only form in which an error leaves this service."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from chalice.app import Response

from chalicelib import errors
from chalicelib.entrypoints import refusals
from chalicelib.entrypoints.challenges import BEARER, BEARER_REFUSED
from chalicelib.errors import FieldError, Place, Refusal
from chalicelib.fields import CORRELATION, TEXT, Field, Kind, Table, each, part
from chalicelib.orders.order import ORDER, Order
from chalicelib.sagas.queries import SagaWithOrder
from chalicelib.sagas.state import SAGA, Saga


@dataclass(frozen=True)
class ProblemType:
    """What a kind of refusal is over HTTP: the last part of its RFC 9457 type, its status and title, and the headers it always has."""

    slug: str
    status: int
    title: str
    headers: Mapping[str, str] = field(default_factory=dict)


UNAUTHORIZED = ProblemType("unauthorized", 401, "A valid bearer token is needed", {"WWW-Authenticate": BEARER})
PROBLEMS: Mapping[type[Refusal], ProblemType] = {
    refusals.NotJson: ProblemType("not-json", 400, "The body is not JSON"),
    refusals.BadHeader: ProblemType("invalid", 400, "A header can't be understood"),
    refusals.Unauthorized: UNAUTHORIZED,
    refusals.InvalidToken: replace(UNAUTHORIZED, headers={"WWW-Authenticate": BEARER_REFUSED}),
    refusals.PaymentDeclined: ProblemType("payment-declined", 402, "The payment was declined"),
    errors.Forbidden: ProblemType("forbidden", 403, "Not allowed"),
    errors.NotFound: ProblemType("not-found", 404, "There is no such thing"),
    refusals.MethodNotAllowed: ProblemType("method-not-allowed", 405, "The path doesn't have this method"),
    errors.WrongStatus: ProblemType("wrong-status", 409, "The order's status doesn't allow this"),
    errors.HeldBySaga: ProblemType("held-by-saga", 409, "A saga holds the order just now"),
    errors.Taken: ProblemType("taken", 409, "Another runner was faster"),
    errors.TooLate: ProblemType("too-late", 409, "The time for this is over"),
    errors.InFlight: ProblemType("in-flight", 409, "The same request is still being answered"),
    refusals.Cancelled: ProblemType("cancelled", 409, "The order was cancelled meanwhile"),
    errors.PreconditionFailed: ProblemType("precondition-failed", 412, "The order has changed meanwhile"),
    refusals.TooLarge: ProblemType("too-large", 413, "The body is too large"),
    refusals.UnsupportedMediaType: ProblemType("unsupported-media-type", 415, "The body must be application/json"),
    # The header: RFC 9110, section 15.5.16.
    refusals.UnsupportedCoding: ProblemType("unsupported-media-type", 415, "The body must not be encoded", {"Accept-Encoding": "identity"}),
    errors.Invalid: ProblemType("invalid", 422, "The request is not valid"),
    errors.KeyReused: ProblemType("key-reused", 422, "The idempotency key was used for another request"),
    refusals.CustomerRejected: ProblemType("customer-rejected", 422, "The customer was rejected"),
    refusals.RunnerRejected: ProblemType("runner-rejected", 422, "The runner was rejected"),
    refusals.RateLimited: ProblemType("rate-limited", 429, "Too many requests"),
    refusals.Unexpected: ProblemType("internal", 500, "Something went wrong"),
    refusals.PartnerFailed: ProblemType("partner-failed", 502, "A partner service failed, refused or stayed silent"),
    refusals.ServiceUnavailable: ProblemType("unavailable", 503, "The service can't work just now"),
}


def pointer_to(place: Place) -> str:
    """The JSON pointer (RFC 6901) of a place in the body; a parameter's name stays as it is."""
    if isinstance(place, str):
        return place
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in place)


@dataclass(frozen=True)
class Described:
    """What a problem tells of a request."""

    refusal: Refusal
    instance: str
    correlation_id: str
    order: Order | None = None
    saga: Saga | None = None

    @property
    def type(self) -> ProblemType:
        return PROBLEMS[type(self.refusal)]

    @property
    def errors(self) -> Sequence[FieldError] | None:
        return self.refusal.errors or None


POINTER = Kind({"type": "string"}, pointer_to)
WRONG_FIELD = Table(
    "WrongField",
    "",
    (
        Field(
            "pointer",
            "place",
            Kind({"type": "string"}, pointer_to),
            "A JSON pointer (RFC 6901) into the body, or the name of a query parameter.",
        ),
        Field("detail", "detail", TEXT),
    ),
)
PROBLEM = Table(
    "Problem",
    "RFC 9457. `order` and `saga` come with a saga that ended badly inside `Prefer: wait`.",
    (
        Field("type", "type.slug", Kind({"type": "string", "pattern": "^/problems/[a-z-]+$"}, "/problems/{}".format)),
        Field("title", "type.title", TEXT),
        Field("status", "type.status", Kind({"type": "integer", "minimum": 400, "maximum": 599})),
        Field("detail", "refusal.detail", TEXT),
        Field("instance", "instance", TEXT, "The path that was asked for."),
        Field("correlationId", "correlation_id", CORRELATION),
        Field("errors", "errors", each(WRONG_FIELD, minItems=1), optional=True),
        Field("order", "order", part(ORDER), optional=True),
        Field("saga", "saga", part(SAGA), optional=True),
    ),
)


def problem(
    refusal: Refusal,
    instance: str,
    correlation_id: str,
    headers: Mapping[str, str] | None = None,
    seen: SagaWithOrder | None = None,
) -> Response:
    """The answer for a refusal; `seen` are the saga that ended badly and its order."""
    described = Described(refusal, instance, correlation_id, seen.order if seen else None, seen.saga if seen else None)
    own = dict(described.type.headers)
    if refusal.retry_after is not None:
        own["Retry-After"] = str(refusal.retry_after)
    return Response(
        json.dumps(PROBLEM.document(described), ensure_ascii=False),
        {"Content-Type": "application/problem+json", **own, **(headers or {})},
        described.type.status,
    )
