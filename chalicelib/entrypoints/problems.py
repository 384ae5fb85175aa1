"""RFC 9457 problems: the only form in which an error leaves this service."""

import json
from collections.abc import Mapping
from typing import Any

from chalice.app import Response

from chalicelib.entrypoints.challenges import BEARER, BEARER_REFUSED
from chalicelib.errors import InvalidToken, Refusal, Unauthorized, UnsupportedCoding

OWN_HEADERS: Mapping[type[Refusal], Mapping[str, str]] = {
    Unauthorized: {"WWW-Authenticate": BEARER},
    InvalidToken: {"WWW-Authenticate": BEARER_REFUSED},
    # RFC 9110, section 15.5.16.
    UnsupportedCoding: {"Accept-Encoding": "identity"},
}


def problem(
    refusal: Refusal,
    instance: str,
    correlation_id: str,
    headers: Mapping[str, str] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Response:
    """The answer for a refusal; `extra` are further members, such as the order and the saga."""
    body: dict[str, Any] = {
        "type": f"/problems/{refusal.problem}",
        "title": refusal.title,
        "status": refusal.status,
        "detail": refusal.detail,
        "instance": instance,
        "correlationId": correlation_id,
    }
    if refusal.errors:
        body["errors"] = [{"pointer": error.pointer, "detail": error.detail} for error in refusal.errors]
    body.update(extra or {})
    own = dict(OWN_HEADERS.get(type(refusal), {}))
    if refusal.retry_after is not None:
        own["Retry-After"] = str(refusal.retry_after)
    return Response(
        json.dumps(body, ensure_ascii=False),
        {"Content-Type": "application/problem+json", **own, **(headers or {})},
        refusal.status,
    )
