"""Query parameters: read, bounded, and refused by name."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

from chalicelib.entrypoints.cursors import Cursor, from_cursor
from chalicelib.errors import FieldError, Invalid
from chalicelib.ids import id_of
from chalicelib.orders.order import OrderStatus, PaymentStatus
from chalicelib.orders.queries import Filters
from chalicelib.sagas.queries import SagaFilters
from chalicelib.sagas.registry import DEFINITIONS
from chalicelib.sagas.state import SagaStatus

Query = Mapping[str, list[str]]
T = TypeVar("T")

PAGE_MOST, LIMIT_MOST, LIMIT_DEFAULT = 100_000, 100, 10
FILTERS = ("status", "paymentStatus", "customerId", "runnerId", "createdAfter", "createdBefore")
KNOWN = frozenset({"page", "cursor", "limit", *FILTERS})
SAGA_PARAMETERS = frozenset({"status", "name", "orderId", "cursor", "limit"})
SAGA_NAMES = sorted({name for name, _ in DEFINITIONS})
NUMBER = re.compile(r"[0-9]{1,9}")
PERSON = re.compile(r"[A-Za-z0-9_.:@|-]{1,64}")
MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)")


def read_page(query: Query) -> tuple[int, int]:
    """`page` and `limit`; raises Invalid that names the parameter."""
    _refuse_unknown(query, KNOWN)
    return _number(query, "page", 1, PAGE_MOST), _number(query, "limit", LIMIT_DEFAULT, LIMIT_MOST)


def read_cursor(query: Query) -> Cursor | None:
    """Where a list goes on that is read by cursor; None where it is read by page. Raises Invalid that names the parameter."""
    text = _single(query, "cursor")
    if text is None:
        return None
    if "page" in query:
        raise _invalid("page", "can't be used together with cursor")
    return Cursor(from_cursor(text))


def read_saga_filters(query: Query) -> tuple[SagaFilters, int]:
    """What a list of sagas is narrowed to, and its limit; raises Invalid that names the parameter."""
    _refuse_unknown(query, SAGA_PARAMETERS)
    order_id = _optional(query, "orderId", _uuid)
    filters = SagaFilters(
        statuses=tuple(_one_of(status, "status", [each.value for each in SagaStatus]) for status in query.get("status", [])),
        names=tuple(_one_of(name, "name", SAGA_NAMES) for name in query.get("name", [])),
        order_id=order_id,
        after=from_cursor(_single(query, "cursor") or ""),
    )
    return filters, _number(query, "limit", LIMIT_DEFAULT, LIMIT_MOST)


def read_filters(query: Query) -> Filters:
    """What the list is narrowed to; raises Invalid that names the parameter."""
    return Filters(
        statuses=tuple(_one_of(status, "status", [each.value for each in OrderStatus]) for status in query.get("status", [])),
        payment_status=_optional(query, "paymentStatus", lambda text, name: _one_of(text, name, [each.value for each in PaymentStatus])),
        customer_id=_optional(query, "customerId", _person),
        runner_id=_optional(query, "runnerId", _person),
        created_after=_optional(query, "createdAfter", _moment),
        created_before=_optional(query, "createdBefore", _moment),
    )


def _refuse_unknown(query: Query, known: frozenset[str]) -> None:
    unknown = [name for name in query if name not in known]
    if unknown:
        raise _invalid(unknown[0], "is not a known parameter")


def _number(query: Query, name: str, default: int, most: int) -> int:
    text = _single(query, name)
    if text is None:
        return default
    if not NUMBER.fullmatch(text) or not 1 <= int(text) <= most:
        raise _invalid(name, f"must be a whole number from 1 to {most}")
    return int(text)


def _single(query: Query, name: str) -> str | None:
    values = query.get(name, [])
    if len(values) > 1:
        raise _invalid(name, "may be given only once")
    return values[0] if values else None


def _optional(query: Query, name: str, read: Callable[[str, str], T]) -> T | None:
    text = _single(query, name)
    return None if text is None else read(text, name)


def _one_of(text: str, name: str, known: list[str]) -> str:
    if text not in known:
        raise _invalid(name, f"must be one of {', '.join(known)}")
    return text


def _person(text: str, name: str) -> str:
    if not PERSON.fullmatch(text):
        raise _invalid(name, "must be an id of 1 to 64 characters")
    return text


def _uuid(text: str, name: str) -> UUID:
    try:
        return id_of(text)
    except ValueError:
        raise _invalid(name, "must be a UUID") from None


def _moment(text: str, name: str) -> datetime:
    try:
        if not MOMENT.fullmatch(text):
            raise ValueError(text)
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise _invalid(name, "must be a time such as 2026-01-31T08:00:00Z") from None


def _invalid(name: str, detail: str) -> Invalid:
    return Invalid(f"the parameter {name} {detail}", [FieldError(name, detail)])
