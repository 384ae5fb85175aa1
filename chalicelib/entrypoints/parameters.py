"""Query parameters: read, bounded, and refused by name, all that are wrong at once."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeAlias, TypeVar
from uuid import UUID

from chalicelib.entrypoints.bodies import MOST_ERRORS
from chalicelib.entrypoints.cursors import Cursor, from_cursor
from chalicelib.errors import FieldError, Invalid
from chalicelib.messages.wire import CORRELATION_ID, PERSON_ID, id_of
from chalicelib.messaging.dead_letter_queries import DeadLetterFilters
from chalicelib.orders.lists import Filters
from chalicelib.orders.order import OrderStatus, PaymentStatus
from chalicelib.sagas.queries import SagaFilters
from chalicelib.sagas.registry import DEFINITIONS
from chalicelib.sagas.state import SagaStatus

T = TypeVar("T")
Query = Mapping[str, list[str]]
# Makes a value of a parameter's text; raises Unreadable.
Read: TypeAlias = Callable[[str], T]

PAGE_MOST, LIMIT_MOST, LIMIT_DEFAULT = 100_000, 100, 10
FILTERS = ("status", "paymentStatus", "customerId", "runnerId", "createdAfter", "createdBefore")
KNOWN = frozenset({"page", "cursor", "limit", *FILTERS})
SAGA_PARAMETERS = frozenset({"status", "name", "orderId", "cursor", "limit"})
DEAD_LETTER_PARAMETERS = frozenset({"errorClass", "orderId", "sagaId", "topic", "redriven", "dismissed", "cursor", "limit"})
SEARCH_PARAMETERS = frozenset({"q"})
SAGA_NAMES = sorted({name for name, _ in DEFINITIONS})
NUMBER = re.compile(r"[0-9]{1,9}")
# Kafka's own rule, and what Python calls a class.
TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
ERROR_CLASS = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
# RFC 3339, section 5.6, to the second; a leap second, any number of decimals, and the offset.
MOMENT = re.compile(
    r"(?P<minute>[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt](?:[01][0-9]|2[0-3]):[0-5][0-9]):(?P<second>[0-5][0-9]|60)(?:\.(?P<fraction>[0-9]+))?"
    r"(?P<offset>[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
EXAMPLE = "2026-01-31T08:00:00Z"
SPACED_OFFSET = re.compile(r"(.*[0-9]) ([0-9]{2}:[0-9]{2})")


class Unreadable(ValueError):
    """A parameter's text that stands for no value; the message says what it must be."""


class Parameters:
    """The parameters of one query, read by name. The first error of each is kept until `check` tells of them all."""

    def __init__(self, query: Query, known: frozenset[str]) -> None:
        self._query = query
        self._errors = {name: "is not a known parameter" for name in query if name not in known}

    def one(self, name: str, read: Read[T]) -> T | None:
        """The parameter's value; None where it is absent or wrong."""
        if len(self._query.get(name, [])) > 1:
            self.refuse(name, "may be given only once")
        return next(iter(self.many(name, read)), None)

    def many(self, name: str, read: Read[T]) -> tuple[T, ...]:
        """The values of a parameter that may be repeated, without the wrong ones."""
        found = []
        for text in self._query.get(name, []):
            try:
                found.append(read(text))
            except Unreadable as error:
                self.refuse(name, str(error))
        return tuple(found)

    def number(self, name: str, default: int, most: int) -> int:
        """A whole number from 1 to `most`; the default where it is absent or wrong."""
        return self.one(name, partial(_number, most=most)) or default

    def refuse(self, name: str, detail: str) -> None:
        """Keep what is wrong with a parameter, unless something is already."""
        self._errors.setdefault(name, detail)

    def check(self) -> None:
        """Raise Invalid where anything is wrong, with one error a parameter, for at most a hundred of them."""
        errors = [FieldError(name, detail) for name, detail in self._errors.items()][:MOST_ERRORS]
        if len(errors) == 1:
            raise Invalid(f"the parameter {errors[0].place} {errors[0].detail}", errors)
        if errors:
            raise Invalid(f"these parameters are not valid: {', '.join(str(error.place) for error in errors)}", errors)


@dataclass(frozen=True)
class OrderList:
    """Which orders are asked for, and which part of their list: from the cursor on or, where there is none, a page."""

    filters: Filters
    cursor: Cursor | None
    page: int
    limit: int


def read_order_list(query: Query) -> OrderList:
    """What a list of orders is asked for with; raises Invalid that names every wrong parameter."""
    parameters = Parameters(query, KNOWN)
    filters = Filters(
        statuses=parameters.many("status", partial(_one_of, known=list(OrderStatus))),
        payment_status=parameters.one("paymentStatus", partial(_one_of, known=list(PaymentStatus))),
        customer_id=parameters.one("customerId", _person),
        runner_id=parameters.one("runnerId", _person),
        created_after=parameters.one("createdAfter", _moment),
        created_before=parameters.one("createdBefore", _moment),
    )
    page, limit = parameters.number("page", 1, PAGE_MOST), parameters.number("limit", LIMIT_DEFAULT, LIMIT_MOST)
    cursor = parameters.one("cursor", _cursor)
    if "page" in query and "cursor" in query:
        parameters.refuse("page", "can't be used together with cursor")
    parameters.check()
    return OrderList(filters, cursor, page, limit)


def read_saga_filters(query: Query) -> tuple[SagaFilters, int]:
    """What a list of sagas is narrowed to, and its limit; raises Invalid that names every wrong parameter."""
    parameters = Parameters(query, SAGA_PARAMETERS)
    filters = SagaFilters(
        statuses=parameters.many("status", partial(_one_of, known=list(SagaStatus))),
        names=parameters.many("name", partial(_one_of, known=SAGA_NAMES)),
        order_id=parameters.one("orderId", _uuid),
        after=_after(parameters),
    )
    limit = parameters.number("limit", LIMIT_DEFAULT, LIMIT_MOST)
    parameters.check()
    return filters, limit


def read_dead_letter_filters(query: Query) -> tuple[DeadLetterFilters, int]:
    """What a list of dead letters is narrowed to, and its limit; raises Invalid that names every wrong parameter."""
    parameters = Parameters(query, DEAD_LETTER_PARAMETERS)
    filters = DeadLetterFilters(
        error_class=parameters.one("errorClass", partial(_matching, pattern=ERROR_CLASS, what="the name of an error's class")),
        order_id=parameters.one("orderId", _uuid),
        saga_id=parameters.one("sagaId", _uuid),
        topic=parameters.one("topic", partial(_matching, pattern=TOPIC, what="the name of a topic")),
        redriven=parameters.one("redriven", _is_true),
        dismissed=parameters.one("dismissed", _is_true),
        after=_after(parameters),
    )
    limit = parameters.number("limit", LIMIT_DEFAULT, LIMIT_MOST)
    parameters.check()
    return filters, limit


def read_search(query: Query) -> str:
    """The id that is searched for; raises Invalid."""
    parameters = Parameters(query, SEARCH_PARAMETERS)
    id = parameters.one("q", partial(_matching, pattern=CORRELATION_ID, what="an id of 1 to 128 of A–Z a–z 0–9 _ . : @ | -"))
    if "q" not in query:
        parameters.refuse("q", "is missing")
    parameters.check()
    return id or ""


def _after(parameters: Parameters) -> UUID | None:
    cursor = parameters.one("cursor", _cursor)
    return cursor.after if cursor else None


def _cursor(text: str) -> Cursor:
    try:
        return Cursor(from_cursor(text))
    except Invalid as error:
        raise Unreadable(error.errors[0].detail) from error


def _number(text: str, most: int) -> int:
    if not NUMBER.fullmatch(text) or not 1 <= int(text) <= most:
        raise Unreadable(f"must be a whole number from 1 to {most}")
    return int(text)


def _one_of(text: str, known: Sequence[str]) -> str:
    if text not in known:
        raise Unreadable(f"must be one of {', '.join(known)}")
    return text


def _is_true(text: str) -> bool:
    return _one_of(text, ["true", "false"]) == "true"


def _person(text: str) -> str:
    return _matching(text, PERSON_ID, "an id of 1 to 64 characters")


def _matching(text: str, pattern: re.Pattern[str], what: str) -> str:
    if not pattern.fullmatch(text):
        raise Unreadable(f"must be {what}")
    return text


def _uuid(text: str) -> UUID:
    try:
        return id_of(text)
    except ValueError:
        raise Unreadable("must be a UUID") from None


def _moment(text: str) -> datetime:
    """The moment in microseconds, as the database keeps it: the first of them that is not before what the text says.

    So an order counts as made at that moment or later, or before it, exactly where it was.
    """
    if spaced := SPACED_OFFSET.fullmatch(text):
        raise Unreadable(f"must have its offset's + written as %2B: {spaced[1]}%2B{spaced[2]}"[:200])
    parts = MOMENT.fullmatch(text)
    if not parts:
        raise Unreadable(f"must be a time such as {EXAMPLE}")
    try:
        second = datetime.fromisoformat(f"{parts['minute']}:{min(int(parts['second']), 59):02}{parts['offset']}".upper()).astimezone(UTC)
        if parts["second"] == "60":
            return _after_leap(second)
        fraction = parts["fraction"] or "0"
        begun = bool(fraction[6:].strip("0"))
        return second + timedelta(microseconds=int(fraction[:6].ljust(6, "0")) + begun)
    except (ValueError, OverflowError):
        raise Unreadable(f"must be a time that there is, in the years 0001 to 9999, such as {EXAMPLE}") from None


def _after_leap(second: datetime) -> datetime:
    """The moment after a leap second, which neither PostgreSQL nor Python has; raises ValueError where none can be.

    Source: RFC 3339, section 5.7: they come at the end of a month, in UTC.
    """
    following = second + timedelta(seconds=1)
    if (following.day, following.hour, following.minute) != (1, 0, 0):
        raise ValueError("no leap second")
    return following
