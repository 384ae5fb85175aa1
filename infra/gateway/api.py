"""Routing, authorization and the call of the application: `chalice local`'s gateway with the answers API Gateway is set up to give."""

import base64
import logging
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

from chalice.app import Chalice, ChaliceViewError, CORSConfig, UnauthorizedError
from chalice.config import Config
from chalice.local import InvalidAuthorizerError, LambdaContext, LocalGateway, NotAuthorizedError

from chalicelib.entrypoints.challenges import BEARER
from chalicelib.entrypoints.unrouted import NOTHING_HERE, listing, only_these
from chalicelib.errors import Unavailable
from infra.gateway.authorizer import Authorizer
from infra.gateway.events import Event, proxy_event
from infra.gateway.messages import Request, Response
from infra.gateway.problems import RETRY_SECONDS, UNCHECKED_TOKEN, UNEXPECTED, Problem, chalice_problem, unauthorized

# The connection's own, which the server decides.
HOP_BY_HOP = frozenset({"connection", "content-length", "date", "keep-alive", "transfer-encoding"})

logger = logging.getLogger(__name__)


class Gateway(LocalGateway):
    """One Chalice application behind the checks of an API gateway."""

    def __init__(self, app_object: Chalice, config: Config) -> None:
        super().__init__(app_object, config)
        self._authorizer = Authorizer(app_object)
        # Chalice asks its configuration again for every request.
        timeout_seconds = config.lambda_timeout or self.MAX_LAMBDA_EXECUTION_TIME
        self._new_context = partial(LambdaContext, config.function_name, config.lambda_memory_size, timeout_seconds * 1000)

    def answer(self, request: Request) -> Response:
        """What the application answers.

        Raises Problem: 404 for an unknown path, 405 for a method that the path lacks (HEAD too, as the application declares none), 401 for
        a token the authorizer turns down, and whatever Chalice itself refuses. Other exceptions are bugs of the application.
        """
        route, captured = self._match(request.path)
        context = self._new_context()
        event = proxy_event(request, route, captured, context.aws_request_id)
        if request.method not in self._app_object.routes[route]:
            return self._answer_without_route(route, event)
        event = self._authorize(event, context)
        response = response_of(self._app_object(event, context))
        problem = chalice_problem(response)
        if problem is not None:
            raise problem
        return response

    def cors_headers(self, path: str) -> dict[str, str]:
        """What a problem at this path carries, so that a page from elsewhere is shown why it was refused.

        The headers of the route's own answers; where there is no route, those that routes get unless they say otherwise.
        """
        try:
            route, _ = self._match(path)
        except Problem:
            default = self._app_object.api.cors
            cors = CORSConfig() if default is True else default or None
        else:
            cors = next((entry.cors for entry in self._app_object.routes[route].values() if entry.cors is not None), None)
        return cors.get_access_control_headers() if cors else {}

    def _match(self, path: str) -> tuple[str, dict[str, str]]:
        try:
            match = self.event_converter._route_matcher.match_route(path)
        except ValueError:
            raise Problem(HTTPStatus.NOT_FOUND, NOTHING_HERE) from None
        if not all(match.captured.values()):
            raise Problem(HTTPStatus.NOT_FOUND, NOTHING_HERE)
        return match.route, match.captured

    def _answer_without_route(self, route: str, event: Event) -> Response:
        methods = self._app_object.routes[route]
        has_cors = any(entry.cors is not None for entry in methods.values())
        if has_cors and event["httpMethod"] == "OPTIONS":
            return Response(HTTPStatus.OK, list(self._autogen_options_headers(event).items()))
        allowed = listing([*methods, "OPTIONS"] if has_cors else methods)
        raise Problem(HTTPStatus.METHOD_NOT_ALLOWED, only_these(allowed), {"Allow": allowed})

    def _authorize(self, event: Event, context: LambdaContext) -> Event:
        try:
            authorized, _ = self._authorizer.authorize(event["path"], event, context)
        except (NotAuthorizedError, UnauthorizedError):
            raise unauthorized(BEARER) from None
        except Unavailable as error:
            logger.warning("the authorizer can't work just now: %s", error)
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, UNCHECKED_TOKEN, {"Retry-After": RETRY_SECONDS}) from error
        except InvalidAuthorizerError as error:
            raise Problem(HTTPStatus.INTERNAL_SERVER_ERROR, UNEXPECTED) from error
        except ChaliceViewError as error:
            raise Problem(error.STATUS_CODE, str(error)) from error
        return authorized


def response_of(result: Mapping[str, Any]) -> Response:
    """The HTTP response in what a Lambda function returned to its proxy integration."""
    body = result["body"] or ""
    content = base64.b64decode(body) if result.get("isBase64Encoded") else body.encode() if isinstance(body, str) else bytes(body)
    headers = [(name, str(value)) for name, value in result["headers"].items()]
    headers += [(name, str(value)) for name, values in result["multiValueHeaders"].items() for value in values]
    headers = [(name, value) for name, value in headers if name.lower() not in HOP_BY_HOP]
    if content and not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("Content-Type", "application/json"))
    return Response(result["statusCode"], headers, content)
