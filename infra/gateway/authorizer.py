"""Who may pass: `chalice local`'s authorizer with the answers and the cache of API Gateway's."""

import time
from collections.abc import Callable
from typing import Any

from chalice.app import Chalice, ChaliceAuthorizer
from chalice.local import InvalidAuthorizerError, LambdaContext, LocalGatewayAuthorizer

from chalicelib.entrypoints.challenges import BEARER, CHALLENGE
from infra.gateway.events import Event
from infra.gateway.problems import unauthorized

# For an authorizer that says nothing of it (API Gateway's `authorizerResultTtlInSeconds`).
USUAL_TTL_SECONDS = 300
MOST_RESULTS = 1000


class Authorizer(LocalGatewayAuthorizer):
    """Asks an authorizer once for each token in its time to live, and gives a denial the 401 of the gateway response ACCESS_DENIED.

    API Gateway says 403 by itself; the API's contract has 401 for every token that isn't accepted. Which challenge it carries only the
    function can tell, and does so in its context. What the function raises is not kept.
    """

    def __init__(self, app: Chalice, clock: Callable[[], float] = time.monotonic, most_results: int = MOST_RESULTS) -> None:
        """The answers for at most `most_results` tokens are kept."""
        super().__init__(app)
        self._most_results = most_results
        self._clock = clock
        self._results: dict[tuple[str, str], tuple[float, dict[str, Any]]] = {}

    def authorize(self, raw_path: str, lambda_event: Event, lambda_context: LambdaContext) -> tuple[Event, LambdaContext]:
        route = self._route_for_event(lambda_event)
        if route is None or not isinstance(route.authorizer, ChaliceAuthorizer):
            authorized: tuple[Event, LambdaContext] = super().authorize(raw_path, lambda_event, lambda_context)
            return authorized
        arn = self._arn_builder.build_arn(lambda_event["httpMethod"], raw_path)
        result = self._result(route.authorizer, self._prepare_authorizer_event(arn, lambda_event, lambda_context), lambda_context)
        if not self._check_can_invoke_view_function(arn, result):
            raise unauthorized(result.get("context", {}).get(CHALLENGE, BEARER))
        # The application gets a context of its own.
        return self._update_lambda_event(lambda_event, {**result, "context": dict(result["context"])}), lambda_context

    def _result(self, authorizer: ChaliceAuthorizer, event: Event, context: LambdaContext) -> dict[str, Any]:
        key, now = (authorizer.name, event["authorizationToken"]), self._clock()
        until, known = self._results.get(key, (0.0, None))
        if known is not None and now < until:
            return known
        result: dict[str, Any] | None = authorizer(event, context)  # type: ignore[arg-type]
        if result is None:
            raise InvalidAuthorizerError({}, b'{"message":null}')
        if len(self._results) >= self._most_results:
            self._results.clear()
        ttl = authorizer.config.ttl_seconds
        self._results[key] = now + (USUAL_TTL_SECONDS if ttl is None else ttl), result
        return result
