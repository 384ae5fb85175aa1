"""What every change of an order leaves behind: one version, one history entry, one event."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from chalicelib.messages.envelope import MessageContext, Outgoing, encode
from chalicelib.messages.events import OrderCreated, OrderEvent, OrderPaymentStatusChanged, OrderStatusChanged, OrderUpdated
from chalicelib.orders.order import ORDER, Order
from chalicelib.values import replace


@dataclass(frozen=True)
class Cause:
    """Who and what brought a change about: `actor` as in the history, `detail` a JSON object for people."""

    actor: str
    context: MessageContext
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
    event = _kind(before, order)(
        from_=before.order_status.value if before else None,
        to=order.order_status.value,
        payment_from=before.payment_status.value if before else None,
        payment_to=order.payment_status.value,
        order=ORDER.document(order),
    )
    history: dict[str, Any] = {
        "order_id": str(order.order_id),
        "version": order.version,
        "at": now.isoformat(),
        "event": event.TYPE,
        "status_from": event.from_,
        "status_to": event.to,
        "payment_from": event.payment_from,
        "payment_to": event.payment_to,
        "actor": cause.actor,
        "saga_id": str(cause.saga_id) if cause.saga_id else None,
        "detail": dict(cause.detail or {}),
    }
    context = replace(cause.context, saga_id=history["saga_id"])
    return Change(order, history, encode(event, history["order_id"], context, id=event_id, time=now))


def _kind(before: Order | None, after: Order) -> type[OrderEvent]:
    if before is None:
        return OrderCreated
    if before.order_status != after.order_status:
        return OrderStatusChanged
    if before.payment_status != after.payment_status:
        return OrderPaymentStatusChanged
    return OrderUpdated
