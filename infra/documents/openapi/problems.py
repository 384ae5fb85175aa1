"""What each refusal looks like to a client: the sentence that its example has, and the headers that come with it."""

from collections.abc import Sequence
from typing import Any

from chalicelib.entrypoints.http import BODY_LIMIT
from chalicelib.entrypoints.problems import PROBLEMS
from chalicelib.entrypoints.refusals import (
    BadHeader,
    Cancelled,
    CustomerRejected,
    InvalidToken,
    NotJson,
    PartnerFailed,
    PaymentDeclined,
    RateLimited,
    RunnerRejected,
    ServiceUnavailable,
    TooLarge,
    Unauthorized,
    UnsupportedCoding,
    UnsupportedMediaType,
)
from chalicelib.errors import (
    Forbidden,
    HeldBySaga,
    InFlight,
    Invalid,
    KeyReused,
    NotFound,
    PreconditionFailed,
    Refusal,
    Taken,
    TooLate,
    WrongStatus,
)
from infra.documents.openapi import examples

MEDIA_TYPE = "application/problem+json"
DETAILS: dict[type[Refusal], str] = {
    NotJson: "the body is not JSON: line 1, column 1 can't be read",
    BadHeader: "Idempotency-Key must be one key of 1 to 255 visible ASCII characters, quoted or bare",
    Unauthorized: "The request carries no bearer token.",
    InvalidToken: "The request's bearer token is not valid here.",
    PaymentDeclined: "the bank declined",
    Forbidden: "none of your roles may do this",
    NotFound: "there is no such order",
    WrongStatus: "the order is COLLECTED; it can no longer be cancelled",
    HeldBySaga: "cancel_order holds the order; try again when it has ended",
    Taken: "another runner has the order",
    TooLate: "the time to accept the order is over",
    InFlight: "the first request with this Idempotency-Key is still being answered",
    Cancelled: "cancelled by customer:cust_1",
    PreconditionFailed: "the order has changed: If-Match names none of its current version's tags",
    TooLarge: f"the body may have at most {BODY_LIMIT} bytes",
    UnsupportedMediaType: "the body's Content-Type must be application/json",
    UnsupportedCoding: "the body must have no Content-Encoding but identity",
    Invalid: "these fields are not valid: /orderDetails/storeLocation",
    CustomerRejected: "the customer is blocked",
    RunnerRejected: "the runner is blocked",
    KeyReused: "the Idempotency-Key was used for another request",
    RateLimited: "at most 600 requests a minute; try again when the minute is over",
    PartnerFailed: "authorize_payment had no answer after 5 attempts",
    ServiceUnavailable: "the database can't be reached or is too busy just now; try again",
}
# Refusals that share their problem type with another.
NAMES: dict[type[Refusal], str] = {BadHeader: "bad-header", InvalidToken: "invalid-token", UnsupportedCoding: "unsupported-coding"}
# The endings that only a request which waited for its saga is told.
ENDINGS: frozenset[type[Refusal]] = frozenset({PaymentDeclined, CustomerRejected, RunnerRejected, Cancelled, PartnerFailed})
# Header -> the refusals that always come with it.
SURE_HEADERS: dict[str, frozenset[type[Refusal]]] = {
    "WWW-Authenticate": frozenset({Unauthorized, InvalidToken}),
    "Accept-Encoding": frozenset({UnsupportedCoding}),
    "Retry-After": frozenset({RateLimited, ServiceUnavailable, InFlight}),
}


def name_of(error: type[Refusal]) -> str:
    """What its example is called."""
    return NAMES.get(error, PROBLEMS[error].slug)


def example(error: type[Refusal]) -> dict[str, Any]:
    """The problem as a client gets it."""
    body: dict[str, Any] = {
        "type": f"/problems/{PROBLEMS[error].slug}",
        "title": PROBLEMS[error].title,
        "status": PROBLEMS[error].status,
        "detail": DETAILS[error],
        "instance": f"/api/orders/{examples.ORDER_ID}/cancel",
        "correlationId": examples.CORRELATION_ID,
    }
    if error is Invalid:
        body["errors"] = [{"pointer": "/orderDetails/storeLocation", "detail": "is missing"}]
    if error in ENDINGS:
        body.update(examples.ANSWERS["under-way"])
    return body


def schema(errors: Sequence[type[Refusal]]) -> dict[str, Any]:
    """The schema of an answer that is one of these problems and no other; they share their status."""
    types = [f"/problems/{PROBLEMS[error].slug}" for error in errors]
    properties: dict[str, Any] = {"type": {"enum": sorted(set(types))}, "status": {"const": PROBLEMS[errors[0]].status}}
    narrowed: dict[str, Any] = {"properties": properties}
    if ENDINGS.issuperset(errors):
        narrowed["required"] = ["order", "saga"]
    return {"allOf": [{"$ref": "#/components/schemas/Problem"}, narrowed]}
