"""The HTTP edge: the request as the endpoints see it, and every error as a problem."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import chalice.app
from chalice.app import Response

from chalicelib.db.states import Kind, kind_of, name_of
from chalicelib.entrypoints.headers import header_fields, media_type, members
from chalicelib.entrypoints.idempotency import replayed
from chalicelib.entrypoints.problems import problem
from chalicelib.entrypoints.rates import admit
from chalicelib.entrypoints.refusals import (
    InvalidToken,
    NotJson,
    ServiceUnavailable,
    TooLarge,
    Unauthorized,
    Unexpected,
    UnsupportedCoding,
    UnsupportedMediaType,
)
from chalicelib.errors import NotFound, Refusal, Replayed
from chalicelib.ids import new_id
from chalicelib.messages.envelope import MessageContext, from_json
from chalicelib.messages.trace import begin_trace, traceparent_of
from chalicelib.messages.wire import CORRELATION_ID, id_of
from chalicelib.observability import about, logger
from chalicelib.orders.access import Viewer, admitted

BODY_LIMIT = 64 * 1024
# Health checks would drown the rest.
LOGGED = "/api/"
# Whatever somebody wrote into a path.
MOST_LOGGED = 100


@dataclass(frozen=True)
class Request:
    """One HTTP request, without anything of Lambda or Chalice."""

    method: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, list[str]]
    raw_body: bytes
    authorizer: Mapping[str, Any]
    correlation_id: str
    traceparent: str | None = None

    @property
    def context(self) -> MessageContext:
        """Correlation and trace for all that follows."""
        return MessageContext(self.correlation_id, traceparent=self.traceparent)

    def check_credentials(self) -> None:
        """Refuse several Authorization lines: the authorizer has seen one of them. No token has a comma in it."""
        if self.authorizer and "," in self.headers.get("authorization", ""):
            raise InvalidToken("the request must carry one bearer token")

    def caller(self, *allowed: str) -> Viewer:
        """Who asks; raises Forbidden where none of the roles is among `allowed` (none given: any role will do)."""
        if "principalId" not in self.authorizer:
            raise Unauthorized("a bearer token is needed")
        return admitted(str(self.authorizer["principalId"]), str(self.authorizer.get("roles", "")).split(","), allowed)

    def check_body(self) -> None:
        """Refuse a body of another coding or media type (415) or size (413); an absent body needs no type, and passes."""
        if any(coding.lower() != "identity" for coding in members(self.headers.get("content-encoding", ""))):
            raise UnsupportedCoding("the body must have no Content-Encoding but identity")
        if not self.raw_body:
            return
        if media_type(self.headers.get("content-type", "")) != "application/json":
            raise UnsupportedMediaType("the body's Content-Type must be application/json")
        if len(self.raw_body) > BODY_LIMIT:
            raise TooLarge(f"the body may have at most {BODY_LIMIT} bytes")

    def json(self, *, optional: bool) -> Any:
        """The parsed body, decimals exact; an absent or empty one counts as an empty object where it is `optional`. Raises NotJson."""
        try:
            return {} if optional and not self.raw_body.strip() else from_json(self.raw_body, to_object=_object)
        except ValueError as error:
            raise NotJson(f"the body is not JSON: {error}") from error


def uuid_of(text: str, what: str) -> UUID:
    """An id from a path; raises NotFound where it is no UUID, as nothing can have that id."""
    try:
        return id_of(text)
    except ValueError:
        raise NotFound(f"there is no such {what}") from None


def answer(status: int, body: Any, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    text = "" if body is None else json.dumps(body, ensure_ascii=False)
    return Response(text, {"Content-Type": "application/json", **(headers or {})}, status)


def request_of(request: chalice.app.Request) -> Request:
    """Chalice's request as ours."""
    headers = header_fields(request.to_original_event())
    given = headers.get("x-correlation-id", "")
    query = request.query_params
    # For what the caller does not bring, a correlation or a trace.
    own_id = new_id()
    return Request(
        method=request.method,
        path=str(request.context.get("path", request.path)),
        headers=headers,
        query={name: query.getlist(name) for name in query} if query else {},
        raw_body=_bytes(request.raw_body),
        authorizer=request.context.get("authorizer") or {},
        correlation_id=given if CORRELATION_ID.fullmatch(given) else str(own_id),
        traceparent=traceparent_of(headers.get("traceparent")) or begin_trace(own_id),
    )


def answered(request: Request, view: Callable[[], Response], ids: Mapping[str, str]) -> Response:
    """What a route answers, with its correlation id; an error of ours, or a bug, is worded as a problem. `ids` are those in the path."""
    with about({**request.context.fields, **{name: text[:MOST_LOGGED] for name, text in ids.items()}}):
        return _worded(request, view)


def _worded(request: Request, view: Callable[[], Response]) -> Response:
    limits: dict[str, str] = {}
    try:
        request.check_credentials()
        limits, refusal = admit(request.authorizer.get("principalId"))
        if refusal:
            raise refusal
        response = view()
    except Replayed as first:
        response = replayed(first.answer)
    except Refusal as refusal:
        response = problem(refusal, request.path, request.correlation_id)
    except Exception as error:  # noqa: BLE001 - the last place that can word a bug as a problem; it is logged with its stack
        response = problem(_unexpected(error), request.path, request.correlation_id)
    response.headers.update({**limits, "X-Correlation-Id": request.correlation_id})
    if LOGGED in request.path:
        logger.info("A request was answered", extra={"method": request.method, "path": request.path[:200], "status": response.status_code})
    return response


def _unexpected(error: Exception) -> Refusal:
    if kind_of(error) is not Kind.FAULT:
        logger.warning("The database is away or busy", extra={"error": f"{name_of(error)}: {error}"})
        return ServiceUnavailable("the database can't be reached or is too busy just now; try again", retry_after=2)
    logger.exception("A request failed")
    return Unexpected("an unexpected error; the correlationId leads to it in the log")


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Two readers of a body with a name that comes twice might act on different values (RFC 8259, section 4): so it is refused."""
    found = dict(members)
    if len(found) < len(members):
        raise ValueError("a name comes twice in one object")
    return found


def _bytes(body: str | bytes | None) -> bytes:
    return body.encode() if isinstance(body, str) else body or b""
