"""Reading orders for people: one statement a question, none of them locks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chalicelib.db.bulk import from_json
from chalicelib.db.lists import given, newest_first
from chalicelib.fields import ACTOR, ID, NUMBER, OBJECT, TIME, Field, Kind, Table, among, maybe
from chalicelib.messages.events import EVENTS
from chalicelib.orders.access import Viewer
from chalicelib.orders.order import Order, OrderStatus, PaymentStatus
from chalicelib.orders.store import AS_JSON, order_of


@dataclass(frozen=True)
class Filters:
    """What a list is narrowed to; None or empty: not at all."""

    statuses: tuple[str, ...] = ()
    payment_status: str | None = None
    customer_id: str | None = None
    runner_id: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True)
class Page:
    orders: list[Order]
    total: int


GET = sa.text(f"SELECT CAST({AS_JSON} AS text) FROM campusg.orders o WHERE order_id = :order_id")  # noqa: S608 - literals of ours

HISTORY = sa.text("""
    SELECT o.customer_id, o.runner_id, o.order_status, h.*
    FROM campusg.orders o LEFT JOIN campusg.order_history h USING (order_id)
    WHERE o.order_id = :order_id ORDER BY h.version""")

HISTORY_ENTRY = Table(
    "HistoryEntry",
    "What one outcome changed; an entry without any other change raises the version too.",
    (
        Field("version", "version", NUMBER),
        Field("at", "at", TIME),
        Field("event", "event", among(*EVENTS)),
        Field("from", "status_from", maybe(Kind({"$ref": OrderStatus}))),
        Field("to", "status_to", Kind({"$ref": OrderStatus})),
        Field("paymentFrom", "payment_from", maybe(Kind({"$ref": PaymentStatus}))),
        Field("paymentTo", "payment_to", Kind({"$ref": PaymentStatus})),
        Field("actor", "actor", ACTOR),
        Field("sagaId", "saga_id", maybe(ID)),
        Field("detail", "detail", OBJECT),
    ),
)

SELECT = f'SELECT CAST({AS_JSON} AS text) AS "order" FROM campusg.orders o'  # noqa: S608 - literals of ours
CONDITIONS: dict[str, str] = {
    "statuses": "order_status = ANY(CAST(:statuses AS text[]))",
    "payment_status": "payment_status = :payment_status",
    "customer_id": "customer_id = :customer_id",
    "runner_id": "runner_id = :runner_id",
    "created_after": "created_at >= :created_after",
    "created_before": "created_at < :created_before",
}


def get_order(session: sa.Connection, order_id: UUID) -> Order | None:
    found = session.execute(GET, {"order_id": order_id}).scalar_one_or_none()
    return order_of(from_json(found)) if found else None


def history_of(session: sa.Connection, order_id: UUID) -> Sequence[sa.Row[Any]]:
    """The order's history, oldest first; each row also has the order's customer_id, runner_id and order_status. Empty: no such order."""
    return session.execute(HISTORY, {"order_id": order_id}).all()


def list_orders(session: sa.Connection, viewer: Viewer, filters: Filters, *, page: int, limit: int) -> Page:
    """One page of the orders that `viewer` may see, newest first, with the number of all of them."""
    conditions, parameters = _narrowed(viewer, filters)
    where = " AND ".join(conditions) or "true"
    statement = sa.text(f"""
        SELECT total.number, page.order FROM (SELECT count(*) AS number FROM campusg.orders WHERE {where}) total
        LEFT JOIN LATERAL (
            SELECT order_id, CAST({AS_JSON} AS text) AS "order" FROM campusg.orders o WHERE {where}
            ORDER BY order_id DESC LIMIT :limit OFFSET :offset) page ON true
        ORDER BY page.order_id DESC""")  # noqa: S608 - conditions are literals of ours, values are parameters
    rows = session.execute(statement, {**parameters, "limit": limit, "offset": (page - 1) * limit}).mappings().all()
    return Page([order_of(from_json(row["order"])) for row in rows if row["order"] is not None], rows[0]["number"])


def list_orders_after(session: sa.Connection, viewer: Viewer, filters: Filters, *, after: UUID | None, limit: int) -> list[Order]:
    """Up to `limit` orders that `viewer` may see, newest first, behind the order `after`; what is inserted meanwhile shifts nothing."""
    conditions, parameters = _narrowed(viewer, filters)
    behind = ["order_id < :after"] if after else []
    rows = newest_first(session, SELECT, "order_id", conditions + behind, {**parameters, "after": after, "limit": limit})
    return [order_of(from_json(row["order"])) for row in rows]


def _narrowed(viewer: Viewer, filters: Filters) -> tuple[list[str], dict[str, Any]]:
    """The conditions for what is asked for and may be seen, and their parameters."""
    parameters = given(filters, CONDITIONS)
    conditions = [CONDITIONS[name] for name in parameters]
    if viewer.visible:
        parameters["sub"] = viewer.sub
        conditions.append(viewer.visible)
    return conditions, parameters
