"""The HTTP edge: one Chalice subclass that maps every error of ours to a problem, and the request as the endpoints see it.

A middleware never sees an exception that a route raises, because Chalice turns it into a response before; so `route` is overridden.
"""

import functools
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import chalice.app
from chalice.app import Chalice, CORSConfig, Response

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
from chalicelib.entrypoints.unrouted import refuse
from chalicelib.errors import NotFound, Refusal, Replayed
from chalicelib.ids import new_id
from chalicelib.messages.envelope import MessageContext, from_json
from chalicelib.messages.trace import begin_trace, traceparent_of
from chalicelib.messages.wire import CORRELATION_ID, id_of
from chalicelib.observability import about, logger
from chalicelib.orders.access import Viewer, admitted
from chalicelib.settings import SharedSettings

BODY_LIMIT = 64 * 1024
REQUEST_HEADERS = ("Idempotency-Key", "If-Match", "If-None-Match", "Prefer", "X-Correlation-Id", "traceparent")
RESPONSE_HEADERS = (
    *("Accept-Encoding", "ETag", "Idempotency-Replayed", "Link", "Location", "Preference-Applied"),
    *("RateLimit", "RateLimit-Policy", "Retry-After", "X-Correlation-Id"),
)
# Health checks would drown the rest.
LOGGED = "/api/"
# Where Chalice's request keeps ours.
OURS = "campusgRequest"


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


class CampusApp(Chalice):
    """Chalice, but every error of ours and every bug comes out of a route as a problem, and every answer has its correlation id."""

    def __init__(self, app_name: str) -> None:
        super().__init__(app_name)
        self.api.cors = cors_config(SharedSettings.read(os.environ).cors_allow_origin)

    def route(self, path: str, **kwargs: Any) -> Callable[..., Any]:
        kwargs.setdefault("content_types", ["*/*"])
        register = super().route(path, **kwargs)

        def decorate(view: Callable[..., Response]) -> Any:
            @functools.wraps(view)
            def guarded(**path_parameters: str) -> Response:
                return _answer(self.http_request(), functools.partial(view, **path_parameters))

            return register(guarded)

        return decorate

    def __call__(self, event: dict[str, Any], context: object) -> dict[str, Any]:
        asked = event.get("requestContext", {})
        methods = self.routes.get(asked.get("resourcePath"), {})
        if "resourcePath" not in asked or asked["httpMethod"] in methods:
            routed: dict[str, Any] = super().__call__(event, context)
            return routed
        request = _request_of(chalice.app.Request(event, context))
        cors = self.api.cors if isinstance(self.api.cors, CORSConfig) else None
        allowed = {*methods, "OPTIONS"} if methods and cors else set(methods)
        response = refuse(request.path, request.correlation_id, allowed)
        response.headers.update({"X-Correlation-Id": request.correlation_id, **(cors.get_access_control_headers() if cors else {})})
        refused: dict[str, Any] = response.to_dict(self.api.binary_types)
        return refused

    def http_request(self) -> Request:
        """The current request as our endpoints take it: one and the same, however often it is asked for."""
        request = self.current_request
        if request is None:
            raise LookupError("no request is being served")
        if OURS not in request.context:
            request.context[OURS] = _request_of(request)
        ours: Request = request.context[OURS]
        return ours


def cors_config(origin: str) -> CORSConfig | bool:
    """Who may call from a browser; `none` is nobody. Tokens are sent by hand, never by cookie, so any origin does no harm."""
    if origin == "none":
        return False
    return CORSConfig(allow_origin=origin, allow_headers=list(REQUEST_HEADERS), expose_headers=list(RESPONSE_HEADERS), max_age=600)


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


def _request_of(request: chalice.app.Request) -> Request:
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


def _answer(request: Request, view: Callable[[], Response]) -> Response:
    with about(request.context.fields):
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
