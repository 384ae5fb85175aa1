"""The order's rows: the one lock there is, reading and writing orders and their history."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chalicelib.db import bulk
from chalicelib.orders.changes import Change
from chalicelib.orders.order import FoodItem, Order, OrderStatus, PaymentStatus

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
COLUMNS = ", ".join((*FIXED, *CHANGING))

LOCK = bulk.inlined(
    f"""
    SELECT {COLUMNS} FROM campusg.orders
    WHERE order_id IN (
        SELECT order_id FROM campusg.orders WHERE order_id IN :order_ids
        UNION SELECT order_id FROM campusg.sagas WHERE saga_id IN :saga_ids)
    ORDER BY order_id FOR NO KEY UPDATE""",  # noqa: S608 - names are literals of ours
    order_ids=sa.Uuid,
    saga_ids=sa.Uuid,
)
INSERT = bulk.insert_statement("campusg.orders", {**FIXED, **CHANGING})
UPDATE = bulk.update_statement("campusg.orders", "order_id", CHANGING)
INSERT_HISTORY = bulk.insert_statement("campusg.order_history", HISTORY)


def lock_orders(session: sa.Connection, *, order_ids: Iterable[UUID] = (), saga_ids: Iterable[UUID] = ()) -> dict[UUID, Order]:
    """Lock the rows of the orders given by id or by one of their sagas, in id order, and return them.

    This is the only lock: whoever changes an order, its sagas, its history or its outbox holds it. Sagas are read in a later
    statement, whose snapshot is newer than the wait.
    """
    rows = session.execute(LOCK, {"order_ids": list(order_ids), "saga_ids": list(saga_ids)})
    return {row["order_id"]: from_row(row) for row in rows.mappings()}


def insert_orders(session: sa.Connection, orders: Sequence[Order]) -> None:
    bulk.execute(session, INSERT, [_row(order, {**FIXED, **CHANGING}) for order in orders])


def update_orders(session: sa.Connection, orders: Sequence[Order]) -> None:
    """Write what can change of orders that this transaction has locked."""
    bulk.execute(session, UPDATE, [_row(order, {"order_id": "uuid", **CHANGING}) for order in orders])


def insert_history(session: sa.Connection, changes: Sequence[Change]) -> None:
    bulk.execute(session, INSERT_HISTORY, [change.history for change in changes])


def from_row(row: Mapping[Any, Any]) -> Order:
    """Build the order from a row that has all of COLUMNS."""
    values = {name: row[name] for name in (*FIXED, *CHANGING)}
    values["food_items"] = tuple(FoodItem(item["name"], Decimal(item["price"]), item["quantity"]) for item in values["food_items"])
    values["order_status"] = OrderStatus(values["order_status"])
    values["payment_status"] = PaymentStatus(values["payment_status"])
    return Order(**values)


def _row(order: Order, columns: bulk.Columns) -> dict[str, Any]:
    return {name: _plain(getattr(order, name)) for name in columns}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, (UUID, Decimal)):
        return str(value)
    if isinstance(value, tuple):
        return [{"name": item.name, "price": str(item.price), "quantity": item.quantity} for item in value]
    return value
