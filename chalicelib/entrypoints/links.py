"""Link headers (RFC 8288) for lists: where the other pages are, with the same filters."""

from collections.abc import Mapping
from urllib.parse import urlencode

from chalicelib.entrypoints.http import Request
from chalicelib.entrypoints.lists import NumberedPage
from chalicelib.entrypoints.parameters import PAGE_MOST


def page_links(request: Request, page: NumberedPage, *, goes_on: bool) -> str:
    """First, previous, next and last page; `goes_on`: there are items behind this one. The last one is unknown unless all were counted."""
    known = max(page.pages, page.page if page.items else 0)
    targets = {"first": 1}
    if 1 < page.page <= known + 1:
        targets["prev"] = page.page - 1
    if goes_on and page.page < PAGE_MOST:
        targets["next"] = page.page + 1
    if page.pages and not page.total_is_lower_bound:
        targets["last"] = page.pages
    return _links(request, {relation: {"page": str(number), "limit": str(page.limit)} for relation, number in targets.items()})


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
