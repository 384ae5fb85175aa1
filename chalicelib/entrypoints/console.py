"""The console: a page and its files, the same for everybody. What it shows and does goes through the API with its reader's token.

Their addresses are relative, as are those of its redirects: the API does not know what its paths stand below, as a stage or an
emulator's own path, and nothing that somebody wrote into an address can lead to another host. A browser asks each time whether it has the
newest of a file.
"""

import hashlib
from functools import cache
from pathlib import Path

from chalice.app import Response

from chalicelib.entrypoints.conditions import not_modified
from chalicelib.entrypoints.http import Request
from chalicelib.entrypoints.unrouted import NOTHING_HERE
from chalicelib.errors import NotFound

FOLDER = Path(__file__).parents[1] / "static" / "console"
INDEX = "index.html"
PAGE = "console"
# By the end of a file's name; files of any other kind lie beside those that are served.
MEDIA_TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def root(request: Request) -> Response:
    """GET /: the page; a stage's path may have no slash at its end."""
    last = request.path.rpartition("/")[2]
    return _to_page(f"./{last}/" if last else "./")


def page(request: Request) -> Response:
    """GET /console. With a slash at the end its relative addresses would lead elsewhere."""
    if request.path.endswith("/"):
        return _to_page("../")
    return _served(request, INDEX)


def file(request: Request, name: str) -> Response:
    """GET /console/{file}; raises NotFound for a name that none of the files has, and for the page, which has an address of its own."""
    if name == INDEX or name not in _files():
        raise NotFound(NOTHING_HERE)
    return _served(request, name)


def _to_page(folder: str) -> Response:
    return Response("", {"Location": f"{folder}{PAGE}"}, 303)


def _served(request: Request, name: str) -> Response:
    text, etag = _files()[name]
    headers = {**HEADERS, "ETag": etag}
    if not_modified(request.headers, etag):
        return Response("", {**headers}, 304)
    return Response(text, {**headers, "Content-Type": MEDIA_TYPES[Path(name).suffix]}, 200)


@cache
def _files() -> dict[str, tuple[str, str]]:
    """Text and entity tag of each file that is served, by name: no part of a request becomes a path on disk."""
    served = {each.name: each.read_text(encoding="utf-8") for each in FOLDER.iterdir() if each.suffix in MEDIA_TYPES}
    return {name: (text, f'"{hashlib.sha256(text.encode()).hexdigest()}"') for name, text in served.items()}
