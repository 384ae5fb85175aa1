"""What requests for a saga have in common: they start it, join the one that already serves them, or find it done."""

from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

import sqlalchemy as sa

from chalicelib.errors import HeldBySaga, NotFound, PreconditionFailed
from chalicelib.orders.order import Order
from chalicelib.sagas.engine import Batch, Rules, lock
from chalicelib.sagas.state import Saga
from chalicelib.sagas.store import read_latest

# The versions at which a request may change an order, as If-Match names them; None: any.
Versions: TypeAlias = frozenset[int] | None


@dataclass(frozen=True)
class Asked:
    """The order and the saga that serves the request, as one transaction saw them; `started` tells whether the request changed anything."""

    order: Order
    saga: Saga
    started: bool = False


def lock_order(session: sa.Connection, rules: Rules, order_id: UUID) -> Batch:
    """Lock one order; raises NotFound."""
    batch = lock(session, rules, order_ids=[order_id])
    if order_id not in batch.orders:
        raise NotFound("there is no such order")
    return batch


def holder_of(batch: Batch, order: Order) -> Saga | None:
    """The saga that holds the order."""
    return batch.sagas[order.active_saga_id] if order.active_saga_id else None


def refuse_unless_at(order: Order, versions: Versions) -> None:
    """Raises PreconditionFailed where a locked order is at none of these versions.

    For what would change the order: after the idempotency key, before its state. A request that joins a saga or finds its work done is
    answered without (RFC 9110, section 13.1.1).
    """
    if versions is not None and order.version not in versions:
        raise PreconditionFailed("the order has changed: If-Match names none of its current version's tags")


def refuse_if_held(batch: Batch, order: Order) -> None:
    """Raises HeldBySaga where a saga holds the order."""
    holder = holder_of(batch, order)
    if holder:
        raise HeldBySaga(f"{holder.name} holds the order; try again when it has ended")


def done_before(session: sa.Connection, order: Order, *names: str) -> Asked:
    """For a request repeated after its end: the latest saga of one of these names; raises NotFound where there was none."""
    saga = read_latest(session, order.order_id, names)
    if saga is None:
        raise NotFound("there is no such saga")
    return Asked(order, saga)


def written(batch: Batch, order_id: UUID, saga_id: UUID) -> Asked:
    """Write the batch and return what it came to for one order and saga."""
    batch.write()
    return Asked(batch.orders[order_id], batch.sagas[saga_id], started=True)
