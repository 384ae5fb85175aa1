"""What has an id that somebody has in hand: an order's, a saga's, a dead letter's, a person's or a correlation's. Nothing here locks."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Literal, TypeAlias, get_args
from uuid import UUID

import sqlalchemy as sa

from chalicelib.fields import ID, NAME, TEXT, Field, Table, among, each, maybe
from chalicelib.messages.wire import PERSON_ID, id_of
from chalicelib.messaging.dead_letter_queries import KeptDeadLetter, read_letter
from chalicelib.orders.access import Viewer
from chalicelib.orders.lists import Filters, list_orders_after
from chalicelib.orders.order import Order
from chalicelib.orders.queries import get_order
from chalicelib.sagas.queries import SagaWithOrder, list_correlated, read_with_order

MOST = 20
# Of so many sagas with the same correlation id those are shown that may be read.
MOST_CORRELATED = 100
HitKind: TypeAlias = Literal["order", "saga", "customer", "runner", "correlation", "deadLetter"]


@dataclass(frozen=True)
class Hit:
    """One thing found: what the searched id is, and the order that it leads to; None for a dead letter of no order."""

    kind: HitKind
    id: str
    order_id: UUID | None
    title: str
    status: str | None


@dataclass(frozen=True)
class Hits:
    """All that was found, as far as it is shown."""

    items: list[Hit]


HIT = Table(
    "SearchHit",
    "What has the id, by which kind of id it was found, and the order that it leads to.",
    (
        Field("kind", "kind", among(*get_args(HitKind))),
        Field("id", "id", NAME, "The id that was searched."),
        Field("orderId", "order_id", maybe(ID), "Null for a dead letter of no order."),
        Field("title", "title", TEXT, "For people."),
        Field("status", "status", maybe(TEXT), "The order's, the saga's, or how a dead letter was settled."),
    ),
)
SEARCH_RESULT = Table("SearchResult", "", (Field("items", "items", each(HIT, maxItems=MOST)),))


def search(session: sa.Connection, viewer: Viewer, id: str) -> Hits:
    """At most twenty things with exactly that id which `viewer` may read; every way of finding them is one statement by an index."""
    found = chain(_by_uuid(session, viewer, id), _by_person(session, viewer, id), _by_correlation(session, viewer, id))
    return Hits(list(islice(found, MOST)))


def _by_uuid(session: sa.Connection, viewer: Viewer, text: str) -> Iterator[Hit]:
    try:
        id = id_of(text)
    except ValueError:
        return
    order = get_order(session, id)
    if order and viewer.sees(order):
        yield _order("order", text, order)
    seen = read_with_order(session, id)
    if seen and viewer.may_follow(seen.order):
        yield _saga("saga", text, seen)
    letter = read_letter(session, id) if viewer.sees_messages else None
    if letter:
        yield _letter(text, letter)


def _by_person(session: sa.Connection, viewer: Viewer, text: str) -> Iterator[Hit]:
    """The newest orders of a customer or a runner."""
    if not PERSON_ID.fullmatch(text):
        return
    for order in list_orders_after(session, viewer, Filters(customer_id=text), after=None, limit=MOST):
        yield _order("customer", text, order)
    for order in list_orders_after(session, viewer, Filters(runner_id=text), after=None, limit=MOST):
        yield _order("runner", text, order)


def _by_correlation(session: sa.Connection, viewer: Viewer, text: str) -> Iterator[Hit]:
    for seen in list_correlated(session, text, MOST_CORRELATED):
        if viewer.may_follow(seen.order):
            yield _saga("correlation", text, seen)


def _order(kind: HitKind, id: str, order: Order) -> Hit:
    return Hit(kind, id, order.order_id, f"{order.store_location} to {order.delivery_location}", order.order_status)


def _saga(kind: HitKind, id: str, seen: SagaWithOrder) -> Hit:
    return Hit(kind, id, seen.order.order_id, seen.saga.name, seen.saga.status)


def _letter(id: str, letter: KeptDeadLetter) -> Hit:
    settled = "redriven" if letter.redriven_at else "dismissed" if letter.dismissed_at else "waiting"
    return Hit("deadLetter", id, letter.order_id, f"{letter.type or 'no type'}: {letter.error_class}", settled)
