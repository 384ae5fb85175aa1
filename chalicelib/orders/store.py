"""The order's rows: the one lock there is, reading and writing orders and their history."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chalicelib.db import bulk
from chalicelib.db.connection import send_ahead
from chalicelib.db.driver import Later
from chalicelib.orders.changes import Change
from chalicelib.orders.order import FoodItem, Order, OrderStatus, PaymentStatus
from chalicelib.orders.partner_ids import COLUMNS as PARTNER_IDS
from chalicelib.orders.partner_ids import Claim

FIXED: bulk.Columns = {
    "order_id": "uuid",
    "customer_id": "text",
    "food_items": "jsonb",
    "store_location": "text",
    "delivery_location": "text",
    "food_fee": "numeric",
    "delivery_fee": "numeric",
    "total": "numeric",
    "currency": "text",
    "created_at": "timestamptz",
}
CHANGING: bulk.Columns = {
    "runner_id": "text",
    "order_status": "text",
    "payment_status": "text",
    "payment_id": "text",
    "escrow_id": "text",
    "accept_by": "timestamptz",
    "active_saga_id": "uuid",
    "cancel_reason": "text",
    "updated_at": "timestamptz",
    "accepted_at": "timestamptz",
    "collected_at": "timestamptz",
    "on_the_way_at": "timestamptz",
    "delivered_at": "timestamptz",
    "completed_at": "timestamptz",
    "cancelled_at": "timestamptz",
    "authorization_expired": "boolean",
    "version": "integer",
}
HISTORY: bulk.Columns = {
    "order_id": "uuid",
    "version": "integer",
    "at": "timestamptz",
    "event": "text",
    "status_from": "text",
    "status_to": "text",
    "payment_from": "text",
    "payment_to": "text",
    "actor": "text",
    "saga_id": "uuid",
    "detail": "jsonb",
}
ALL: bulk.Columns = {**FIXED, **CHANGING}
TIMES = tuple(name for name, type in ALL.items() if type == "timestamptz")
DECIMALS = tuple(name for name, type in ALL.items() if type == "numeric")

# An order as one JSON text, for statements that name the table `o`.
AS_JSON = bulk.json_object(ALL, "o")


def named(order_ids: str, saga_ids: str) -> str:
    """A query for the ids of the orders given by id in the one parameter, or by one of their sagas in the other."""
    return f"""
        SELECT unnest(CAST({order_ids} AS uuid[]))
        UNION SELECT order_id FROM campusg.sagas WHERE saga_id = ANY(CAST({saga_ids} AS uuid[]))"""  # noqa: S608 - names are literals of ours


LOCK = f"""
    SELECT json_agg(locked.json) FROM (
        SELECT {AS_JSON} AS json FROM campusg.orders o WHERE order_id IN ({named("$1", "$2")})
        ORDER BY order_id FOR NO KEY UPDATE) locked"""  # noqa: S608 - names are literals of ours
# With their history in $2, and the partners' ids that come new with it in $3.
_LEFT_BEHIND = f"""
    WITH history AS ({bulk.insert_statement("campusg.order_history", HISTORY, "$2")}),
         claimed AS ({bulk.insert_statement("campusg.partner_ids", PARTNER_IDS, "$3")} ORDER BY kind, id)"""
INSERT = f"{_LEFT_BEHIND} {bulk.insert_statement('campusg.orders', ALL)}"
UPDATE = f"{_LEFT_BEHIND} {bulk.update_statement('campusg.orders', 'order_id', CHANGING)}"


def lock_orders(session: sa.Connection, *, order_ids: Iterable[UUID] = (), saga_ids: Iterable[UUID] = ()) -> Later:
    """Lock the rows of the orders given by id or by one of their sagas, in id order; `locked` reads the answer.

    This is the only lock: whoever changes an order, its sagas, its history or its outbox holds it. Sagas are read in a later
    statement, whose snapshot is newer than the wait, and which this one goes along with.
    """
    return send_ahead(session, LOCK, bulk.array(order_ids), bulk.array(saga_ids))


def locked(answer: Later) -> dict[UUID, Order]:
    """The orders that were locked, by id."""
    orders = [order_of(fields) for fields in bulk.from_json(answer.value) or ()]
    return {order.order_id: order for order in orders}


def insert_orders(session: sa.Connection, orders: Sequence[Order], changes: Sequence[Change], claims: Sequence[Claim] = ()) -> None:
    """Write new orders with the history of their changes."""
    if orders:
        send_ahead(session, INSERT, _rows(orders, ALL), *_left_behind(changes, claims))


def update_orders(session: sa.Connection, orders: Sequence[Order], changes: Sequence[Change], claims: Sequence[Claim] = ()) -> None:
    """Write what can change of orders that this transaction has locked, their history, and the partners' ids that are new.

    The next statement raises a unique violation where another order has just got one of these ids.
    """
    if orders:
        send_ahead(session, UPDATE, _rows(orders, ("order_id", *CHANGING)), *_left_behind(changes, claims))


def _rows(orders: Sequence[Order], columns: Iterable[str]) -> str:
    return bulk.to_json([{name: getattr(order, name) for name in columns} for order in orders])


def _left_behind(changes: Sequence[Change], claims: Sequence[Claim]) -> tuple[str, str]:
    return bulk.to_json([change.history for change in changes]), bulk.to_json([each._asdict() for each in claims])


def order_of(fields: dict[str, Any]) -> Order:
    """The order that AS_JSON describes; takes the object over."""
    for name in TIMES:
        if fields[name] is not None:
            fields[name] = datetime.fromisoformat(fields[name])
    for name in DECIMALS:
        fields[name] = Decimal(fields[name])
    fields["order_id"] = UUID(fields["order_id"])
    if fields["active_saga_id"] is not None:
        fields["active_saga_id"] = UUID(fields["active_saga_id"])
    fields["food_items"] = tuple(FoodItem(item["name"], Decimal(item["price"]), item["quantity"]) for item in fields["food_items"])
    fields["order_status"] = OrderStatus(fields["order_status"])
    fields["payment_status"] = PaymentStatus(fields["payment_status"])
    return Order(**fields)
