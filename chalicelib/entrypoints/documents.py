"""The API's description: as OpenAPI for programs, as a page for people; and that of the messages on Kafka, as AsyncAPI."""

import base64
import hashlib
import json
from functools import lru_cache

from chalice.app import Response

from chalicelib.entrypoints.http import Request

OPENAPI_PATH = "/openapi.json"


def openapi(request: Request) -> Response:
    """GET /openapi.json."""
    # Behind a stage or a custom domain's base path the API's paths begin with that.
    server = request.path.removesuffix(OPENAPI_PATH) or "/"
    return Response(_document(server), {"Content-Type": "application/json"}, 200)


def asyncapi(_request: Request) -> Response:
    """GET /asyncapi.json."""
    return Response(_messages(), {"Content-Type": "application/json"}, 200)


def docs(_request: Request) -> Response:
    """GET /docs: nothing on it comes from elsewhere, and the browser is told so."""
    page, style = _page()
    policy = f"default-src 'none'; style-src '{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    headers = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff"}
    return Response(page, {**headers}, 200)


@lru_cache(maxsize=8)
def _document(server: str) -> str:
    # Late, so that a cold start doesn't pay for it.
    from chalicelib.entrypoints.openapi.document import build

    return json.dumps({**build(), "servers": [{"url": server}]}, ensure_ascii=False)


@lru_cache(maxsize=1)
def _messages() -> str:
    from chalicelib.entrypoints.asyncapi.document import build

    return json.dumps(build(), ensure_ascii=False)


@lru_cache(maxsize=1)
def _page() -> tuple[str, str]:
    """The page, and its style sheet's hash as a Content-Security-Policy names it."""
    from chalicelib.entrypoints.openapi.document import build
    from chalicelib.entrypoints.openapi.page import STYLE, render

    digest = hashlib.sha256(STYLE.encode()).digest()
    return render(build()), f"sha256-{base64.b64encode(digest).decode()}"
