"""The Chalice application, as every function imports it: what only HTTP needs is imported with the first request.

A middleware never sees an exception that a route raises, because Chalice turns it into a response before; so `route` is overridden.
"""

import functools
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import chalice.app
from chalice.app import Chalice, CORSConfig, Response

from chalicelib.observability import SERVICE, invocation
from chalicelib.settings import SharedSettings

if TYPE_CHECKING:
    from chalicelib.entrypoints.http import Request

REQUEST_HEADERS = ("Idempotency-Key", "If-Match", "If-None-Match", "Prefer", "X-Correlation-Id", "traceparent")
RESPONSE_HEADERS = (
    *("Accept-Encoding", "ETag", "Idempotency-Replayed", "Link", "Location", "Preference-Applied"),
    *("RateLimit", "RateLimit-Policy", "Retry-After", "X-Correlation-Id"),
)
# Where Chalice's request keeps ours.
OURS = "campusgRequest"


class CampusApp(Chalice):
    """Chalice, but every error of ours and every bug comes out of a route as a problem, and every answer has its correlation id."""

    def __init__(self) -> None:
        # Chalice logs by the application's name, and adds a handler to that logger unless it has one. Ours was made with observability.
        super().__init__(SERVICE)
        self.register_middleware(_with_request_id)
        self.api.cors = cors_config(SharedSettings.read(os.environ).cors_allow_origin)

    def route(self, path: str, **kwargs: Any) -> Callable[..., Any]:
        kwargs.setdefault("content_types", ["*/*"])
        register = super().route(path, **kwargs)

        def decorate(view: Callable[..., Response]) -> Any:
            @functools.wraps(view)
            def guarded(**path_parameters: str) -> Response:
                from chalicelib.entrypoints.http import answered

                return answered(self.http_request(), functools.partial(view, **path_parameters), path_parameters)

            return register(guarded)

        return decorate

    def __call__(self, event: dict[str, Any], context: object) -> dict[str, Any]:
        asked = event.get("requestContext", {})
        methods = self.routes.get(asked.get("resourcePath"), {})
        if "resourcePath" not in asked or asked["httpMethod"] in methods:
            routed: dict[str, Any] = super().__call__(event, context)
            return routed
        return self._refused(chalice.app.Request(event, context), methods)

    def _refused(self, asked: chalice.app.Request, methods: dict[str, Any]) -> dict[str, Any]:
        from chalicelib.entrypoints.http import request_of
        from chalicelib.entrypoints.unrouted import refuse

        request = request_of(asked)
        cors = self.api.cors if isinstance(self.api.cors, CORSConfig) else None
        allowed = {*methods, "OPTIONS"} if methods and cors else set(methods)
        response = refuse(request.path, request.correlation_id, allowed)
        response.headers.update({"X-Correlation-Id": request.correlation_id, **(cors.get_access_control_headers() if cors else {})})
        refused: dict[str, Any] = response.to_dict(self.api.binary_types)
        return refused

    def http_request(self) -> "Request":
        """The current request as our endpoints take it: one and the same, however often it is asked for."""
        from chalicelib.entrypoints.http import request_of

        request = self.current_request
        if request is None:
            raise LookupError("no request is being served")
        if OURS not in request.context:
            request.context[OURS] = request_of(request)
        ours: Request = request.context[OURS]
        return ours


def _with_request_id(event: Any, get_response: Callable[[Any], Any]) -> Any:
    """Chalice hands Lambda's context over with a request, and with every other event, under two names."""
    with invocation(event.lambda_context if isinstance(event, chalice.app.Request) else event.context):
        return get_response(event)


def cors_config(origin: str) -> CORSConfig | bool:
    """Who may call from a browser; `none` is nobody. Tokens are sent by hand, never by cookie, so any origin does no harm."""
    if origin == "none":
        return False
    return CORSConfig(allow_origin=origin, allow_headers=list(REQUEST_HEADERS), expose_headers=list(RESPONSE_HEADERS), max_age=600)
