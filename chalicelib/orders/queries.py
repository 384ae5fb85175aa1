"""Reading one order and its history for people: one statement a question, none of them locks."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chalicelib.db.bulk import from_json
from chalicelib.fields import ACTOR, ID, NUMBER, OBJECT, TIME, Field, Kind, Table, among, maybe
from chalicelib.messages.events import EVENTS
from chalicelib.orders.order import Order, OrderStatus, PaymentStatus
from chalicelib.orders.store import AS_JSON, order_of

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


def get_order(session: sa.Connection, order_id: UUID) -> Order | None:
    found = session.execute(GET, {"order_id": order_id}).scalar_one_or_none()
    return order_of(from_json(found)) if found else None


def history_of(session: sa.Connection, order_id: UUID) -> Sequence[sa.Row[Any]]:
    """The order's history, oldest first; each row also has the order's customer_id, runner_id and order_status. Empty: no such order."""
    return session.execute(HISTORY, {"order_id": order_id}).all()
