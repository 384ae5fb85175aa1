"""Lists as HTTP answers show them: an order's history, a page by its number, a page by a cursor."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar
from uuid import UUID

from chalicelib.entrypoints.cursors import to_cursor
from chalicelib.fields import COUNT, NUMBER, TEXT, TRUE, Field, Kind, Table, each, maybe
from chalicelib.messaging.dead_letter_documents import DEAD_LETTER
from chalicelib.orders.order import ORDER
from chalicelib.orders.queries import HISTORY_ENTRY
from chalicelib.sagas.state import SAGA

T = TypeVar("T")
LIMIT = Kind({"type": "integer", "minimum": 1, "maximum": 100})


@dataclass(frozen=True)
class Entries:
    """All there is."""

    items: Sequence[Any]


@dataclass(frozen=True)
class NumberedPage:
    """One page of `total` items, of at most `limit` each; `total_is_lower_bound`: True where there are more than that, else None."""

    items: Sequence[Any]
    total: int
    page: int
    limit: int
    total_is_lower_bound: Literal[True] | None = None

    @property
    def pages(self) -> int:
        return -(-self.total // self.limit)


@dataclass(frozen=True)
class CursorPage:
    """One page and where the next one begins."""

    items: Sequence[Any]
    limit: int
    next_cursor: str | None


def cursor_page(found: Sequence[T], limit: int, id_of: Callable[[T], UUID]) -> CursorPage:
    """The page of `limit` items, made from what was found when one more was asked for."""
    return CursorPage(found[:limit], limit, to_cursor(id_of(found[limit - 1])) if len(found) > limit else None)


def _by_cursor(name: str, description: str, item: Table) -> Table:
    following = Field("nextCursor", "next_cursor", maybe(TEXT), "What `cursor` is for the next page; null on the last one.")
    return Table(name, description, (Field("items", "items", each(item)), Field("limit", "limit", LIMIT), following))


HISTORY = Table("History", "Oldest first.", (Field("items", "items", each(HISTORY_ENTRY, minItems=1)),))
ORDER_PAGE = Table(
    "OrderPage",
    "The answer to `page` and `limit`.",
    (
        Field("items", "items", each(ORDER)),
        Field("total", "total", COUNT, "Exact up to 10,000."),
        Field("totalIsLowerBound", "total_is_lower_bound", TRUE, "There are more than `total`; absent where it is exact.", optional=True),
        Field("page", "page", NUMBER),
        Field("pages", "pages", COUNT, "As many as `total` fills."),
        Field("limit", "limit", LIMIT),
    ),
)
ORDER_CURSOR_PAGE = _by_cursor("OrderCursorPage", "The answer to `cursor` and `limit`.", ORDER)
SAGA_CURSOR_PAGE = _by_cursor("SagaCursorPage", "", SAGA)
DEAD_LETTER_CURSOR_PAGE = _by_cursor("DeadLetterCursorPage", "", DEAD_LETTER)
