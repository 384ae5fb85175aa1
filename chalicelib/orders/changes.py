"""What every change of an order leaves behind: one version, one history entry, one event."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from chalicelib.messages import topics
from chalicelib.messages.envelope import Outgoing, Trail, encode
from chalicelib.orders.order import Order, document


@dataclass(frozen=True)
class Cause:
    """Who and what brought a change about: `actor` as in the history, `detail` a JSON object for people."""

    actor: str
    trail: Trail
    saga_id: UUID | None = None
    detail: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Change:
    """One outcome's change of one order: the new state, its history entry and its event."""

    order: Order
    history: Mapping[str, Any]
    event: Outgoing


def change(before: Order | None, after: Order, cause: Cause, *, event_id: str, now: datetime) -> Change:
    """Number and date the new state of an order and describe the step from `before` (None: the order is new)."""
    order = replace(after, version=before.version + 1 if before else 1, updated_at=now)
    moved = {
        "from": before.order_status.value if before else None,
        "to": order.order_status.value,
        "paymentFrom": before.payment_status.value if before else None,
        "paymentTo": order.payment_status.value,
    }
    type = _event_type(before, order)
    history = {
        "order_id": str(order.order_id),
        "version": order.version,
        "at": now.isoformat(),
        "event": type,
        "status_from": moved["from"],
        "status_to": moved["to"],
        "payment_from": moved["paymentFrom"],
        "payment_to": moved["paymentTo"],
        "actor": cause.actor,
        "saga_id": str(cause.saga_id) if cause.saga_id else None,
        "detail": dict(cause.detail or {}),
    }
    extensions = {"sequence": str(order.version)}
    if cause.saga_id:
        extensions["sagaid"] = str(cause.saga_id)
    event = encode(
        topics.ORDER_EVENTS,
        id=event_id,
        type=type,
        time=now,
        order_id=str(order.order_id),
        data={**moved, "order": document(order)},
        trail=cause.trail,
        extensions=extensions,
    )
    return Change(order, history, event)


def _event_type(before: Order | None, after: Order) -> str:
    if before is None:
        return "order.created"
    if before.order_status != after.order_status:
        return "order.status_changed"
    if before.payment_status != after.payment_status:
        return "order.payment_status_changed"
    return "order.updated"
