"""Requests as API Gateway hands them to the HTTP function."""

import base64
import json
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from infra.gateway.events import proxy_event
from infra.gateway.messages import Request

CAPTURED = {"orders": "order_id", "sagas": "saga_id", "dead-letters": "dead_letter_id"}


def request_event(method: str, path: str, role: str, sub: str, body: Mapping[str, Any] | None = None, **headers: str) -> dict[str, Any]:
    """The event for a request of somebody whom the authorizer has let in; `_` in the names of headers stands for `-`."""
    lines = {"content-type": ["application/json"], **{name.replace("_", "-"): [value] for name, value in headers.items()}}
    resource, parameters = _route(path)
    event = proxy_event(Request(method, path, "", "1.1", lines, json.dumps(body or {}).encode()), resource, parameters, str(uuid4()))
    event["requestContext"]["authorizer"] = {"principalId": sub, "roles": role}
    return event


def body_of(response: Mapping[str, Any]) -> Any:
    """The JSON in what the function answered."""
    text = response["body"] or "null"
    return json.loads(base64.b64decode(text) if response.get("isBase64Encoded") else text)


def _route(path: str) -> tuple[str, dict[str, str]]:
    """The route that a path belongs to, and what it captures."""
    api, noun, *rest = path.strip("/").split("/")
    if not rest:
        return path, {}
    captured = CAPTURED[noun]
    return "/".join(["", api, noun, f"{{{captured}}}", *rest[1:]]), {captured: rest[0]}
