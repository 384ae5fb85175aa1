"""The API's description: as OpenAPI for programs, as a page for people; and that of the messages on Kafka, as AsyncAPI.

The files in `static/` are made by `make declare` (`infra/documents`) and served as they are; a test says when they are stale.
"""

import base64
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from chalice.app import Response

from chalicelib.entrypoints.http import Request

FOLDER = Path(__file__).parents[1] / "static"
OPENAPI, ASYNCAPI, PAGE = "openapi.json", "asyncapi.json", "docs.html"
OPENAPI_PATH = "/openapi.json"


def openapi(request: Request) -> Response:
    """GET /openapi.json. Behind a stage or a custom domain's base path the API's paths begin with that, and so does its server."""
    text, server = _text(OPENAPI), request.path.removesuffix(OPENAPI_PATH)
    if server:
        text = text.removesuffix(_end("/")) + _end(server)
    return Response(text, {"Content-Type": "application/json"}, 200)


def asyncapi(_request: Request) -> Response:
    """GET /asyncapi.json."""
    return Response(_text(ASYNCAPI), {"Content-Type": "application/json"}, 200)


def docs(_request: Request) -> Response:
    """GET /docs: nothing on it comes from elsewhere, and the browser is told so."""
    policy = f"default-src 'none'; style-src '{_style()}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    headers = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff"}
    return Response(_text(PAGE), {**headers}, 200)


def servers(url: str) -> dict[str, Any]:
    """The OpenAPI document's last member: where the API is."""
    return {"servers": [{"url": url}]}


def _end(server: str) -> str:
    return json.dumps(servers(server), ensure_ascii=False).removeprefix("{")


@cache
def _text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


@cache
def _style() -> str:
    """The page's style sheet as a Content-Security-Policy names it."""
    sheet = _text(PAGE).partition("<style>")[2].partition("</style>")[0]
    return f"sha256-{base64.b64encode(hashlib.sha256(sheet.encode()).digest()).decode()}"
