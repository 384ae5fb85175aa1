"""Link headers (RFC 8288) for lists: where the other pages are, with the same filters."""

from collections.abc import Mapping
from urllib.parse import urlencode

from chalicelib.entrypoints.http import Request


def page_links(request: Request, *, page: int, pages: int, limit: int) -> str:
    """First, previous, next and last page."""
    targets = {"first": 1, "prev": page - 1, "next": page + 1, "last": pages}
    given = {relation: number for relation, number in targets.items() if 1 <= number <= max(pages, 1) and (relation != "last" or pages)}
    return _links(request, {relation: {"page": str(number), "limit": str(limit)} for relation, number in given.items()})


def cursor_links(request: Request, *, following: str | None, limit: int) -> str:
    """The first page, and the one that follows if there is one."""
    targets = {"first": {"cursor": "", "limit": str(limit)}}
    if following:
        targets["next"] = {"cursor": following, "limit": str(limit)}
    return _links(request, targets)


def _links(request: Request, targets: Mapping[str, Mapping[str, str]]) -> str:
    filters = [(name, value) for name, values in request.query.items() if name not in ("page", "limit", "cursor") for value in values]
    return ", ".join(
        f'<{request.path}?{urlencode([*filters, *parameters.items()])}>; rel="{relation}"' for relation, parameters in targets.items()
    )
