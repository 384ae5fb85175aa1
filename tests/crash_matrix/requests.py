"""Requests as API Gateway hands them to the HTTP function."""

import base64
import json
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from infra.gateway import messages
from infra.gateway.events import proxy_event
from tests.support.history.model import Request

CAPTURED = {"orders": "order_id", "sagas": "saga_id", "dead-letters": "dead_letter_id"}


def request_event(asked: Request, wait: int | None = None) -> dict[str, Any]:
    """The event for a request of somebody whom the authorizer has let in; with `wait` it waits so many seconds for its saga."""
    headers = {"content-type": ["application/json"], "x-correlation-id": [asked.correlation_id]}
    if asked.key:
        headers["idempotency-key"] = [asked.key]
    if wait is not None:
        headers["prefer"] = [f"wait={wait}"]
    resource, parameters = _route(asked.path)
    request = messages.Request(asked.method, asked.path, "", "1.1", headers, json.dumps(asked.body or {}).encode())
    event = proxy_event(request, resource, parameters, str(uuid4()))
    event["requestContext"]["authorizer"] = {"principalId": asked.client, "roles": asked.role}
    return event


def answer_of(response: Mapping[str, Any]) -> tuple[int, Any, Mapping[str, str]]:
    """Status, JSON and headers of what the function answered."""
    text = response["body"] or "null"
    body = json.loads(base64.b64decode(text) if response.get("isBase64Encoded") else text)
    return response["statusCode"], body, response["headers"]


def _route(path: str) -> tuple[str, dict[str, str]]:
    """The route that a path belongs to, and what it captures."""
    api, noun, *rest = path.strip("/").split("/")
    if not rest:
        return path, {}
    captured = CAPTURED[noun]
    return "/".join(["", api, noun, f"{{{captured}}}", *rest[1:]]), {captured: rest[0]}
