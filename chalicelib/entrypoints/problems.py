"""RFC 9457 problems: the only form in which an error leaves this service."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chalice.app import Response

from chalicelib.entrypoints.challenges import BEARER, BEARER_REFUSED
from chalicelib.errors import FieldError, InvalidToken, Refusal, Unauthorized, UnsupportedCoding
from chalicelib.fields import TEXT, Field, Kind, Table, each, part
from chalicelib.orders.order import ORDER, Order
from chalicelib.sagas.queries import SagaWithOrder
from chalicelib.sagas.state import SAGA, Saga

OWN_HEADERS: Mapping[type[Refusal], Mapping[str, str]] = {
    Unauthorized: {"WWW-Authenticate": BEARER},
    InvalidToken: {"WWW-Authenticate": BEARER_REFUSED},
    # RFC 9110, section 15.5.16.
    UnsupportedCoding: {"Accept-Encoding": "identity"},
}


@dataclass(frozen=True)
class Described:
    """What a problem tells of a request."""

    refusal: Refusal
    instance: str
    correlation_id: str
    order: Order | None = None
    saga: Saga | None = None

    @property
    def errors(self) -> Sequence[FieldError] | None:
        return self.refusal.errors or None


WRONG_FIELD = Table(
    "WrongField",
    "",
    (
        Field("pointer", "pointer", TEXT, "A JSON pointer (RFC 6901) into the body, or the name of a query parameter."),
        Field("detail", "detail", TEXT),
    ),
)
PROBLEM = Table(
    "Problem",
    "RFC 9457. `order` and `saga` come with a saga that ended badly inside `Prefer: wait`.",
    (
        Field("type", "refusal.problem", Kind({"type": "string", "pattern": "^/problems/[a-z-]+$"}, "/problems/{}".format)),
        Field("title", "refusal.title", TEXT),
        Field("status", "refusal.status", Kind({"type": "integer", "minimum": 400, "maximum": 599})),
        Field("detail", "refusal.detail", TEXT),
        Field("instance", "instance", TEXT, "The path that was asked for."),
        Field("correlationId", "correlation_id", Kind({"type": "string", "pattern": r"^[A-Za-z0-9_.:@|-]{1,128}$"})),
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
    own = dict(OWN_HEADERS.get(type(refusal), {}))
    if refusal.retry_after is not None:
        own["Retry-After"] = str(refusal.retry_after)
    return Response(
        json.dumps(PROBLEM.document(described), ensure_ascii=False),
        {"Content-Type": "application/problem+json", **own, **(headers or {})},
        refusal.status,
    )
