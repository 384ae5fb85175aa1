"""A runner gives an accepted order back."""

from uuid import UUID

import sqlalchemy as sa

from chalicelib.errors import WrongStatus
from chalicelib.messages.envelope import Trail
from chalicelib.operations.asked import Asked, Versions, holder_of, lock_order, refuse_if_held, refuse_unless_at, written
from chalicelib.operations.once import Once, unclaimed
from chalicelib.orders.access import Viewer, changeable
from chalicelib.orders.changes import Cause
from chalicelib.orders.order import Order, OrderStatus
from chalicelib.sagas.cancel_acceptance import CANCEL_ACCEPTANCE
from chalicelib.sagas.engine import Rules
from chalicelib.sagas.outcomes import Fresh
from chalicelib.sagas.store import read_latest


def cancel_acceptance(
    session: sa.Connection,
    rules: Rules,
    order_id: UUID,
    viewer: Viewer,
    *,
    trail: Trail,
    fresh: Fresh,
    once: Once = unclaimed,
    versions: Versions = None,
) -> Asked:
    """Start `cancel_acceptance`, join it, or find it done; raises NotFound, Forbidden, PreconditionFailed, HeldBySaga, WrongStatus."""
    batch = lock_order(session, rules, order_id)
    order = batch.orders[order_id]
    before = _given_back(session, order, viewer)
    if before is None:
        changeable(order, viewer, by_runner=True)
    once(session)
    if before:
        return before
    holder = holder_of(batch, order)
    if holder and holder.name == CANCEL_ACCEPTANCE.name:
        return Asked(order, holder)
    refuse_unless_at(order, versions)
    refuse_if_held(batch, order)
    if order.order_status is not OrderStatus.ACCEPTED:
        raise WrongStatus(f"the order is {order.order_status} and not ACCEPTED")
    cause = Cause(viewer.acting_as(order), trail)
    saga = batch.start(CANCEL_ACCEPTANCE, order, cause, fresh, {"runner_id": order.runner_id or ""})
    return written(batch, order_id, saga.saga_id)


def _given_back(session: sa.Connection, order: Order, viewer: Viewer) -> Asked | None:
    """The same runner's request again: the order is open because they gave it back, and nothing happened since."""
    if order.order_status is not OrderStatus.READY_FOR_PICKUP or order.active_saga_id:
        return None
    latest = read_latest(session, order.order_id)
    if latest is None or latest.name != CANCEL_ACCEPTANCE.name:
        return None
    return Asked(order, latest) if viewer.is_admin or viewer.runs(latest.facts.get("runner_id")) else None
