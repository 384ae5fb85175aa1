"""A runner gives an accepted order back."""

from uuid import UUID

import sqlalchemy as sa

from chalicelib.errors import WrongStatus
from chalicelib.operations.call import Call, Served, holder_of, order_locked, refuse_if_held, refuse_unless_at, served_by
from chalicelib.orders.access import Viewer, changeable
from chalicelib.orders.changes import Cause
from chalicelib.orders.order import Order, OrderStatus
from chalicelib.sagas.cancel_acceptance import CANCEL_ACCEPTANCE
from chalicelib.sagas.store import read_latest


def cancel_acceptance(session: sa.Connection, call: Call, order_id: UUID) -> Served:
    """Start `cancel_acceptance`, join it, or find it done; raises NotFound, Forbidden, PreconditionFailed, HeldBySaga, WrongStatus."""
    with order_locked(session, call, order_id) as (work, order):
        before = _given_back(session, order, call.viewer)
        if before is None:
            changeable(order, call.viewer, by_runner=True)
        call.once(session)
        if before:
            return before
        holder = holder_of(work, order)
        if holder and holder.name == CANCEL_ACCEPTANCE.name:
            return Served(order, holder)
        refuse_unless_at(order, call.versions)
        refuse_if_held(work, order)
        if order.order_status is not OrderStatus.ACCEPTED:
            raise WrongStatus(f"the order is {order.order_status} and not ACCEPTED")
        cause = Cause(call.viewer.acting_as(order), call.context)
        return served_by(work, work.start(CANCEL_ACCEPTANCE, order, cause, call.ids, {"runner_id": order.runner_id or ""}))


def _given_back(session: sa.Connection, order: Order, viewer: Viewer) -> Served | None:
    """The same runner's request again: the order is open because they gave it back, and nothing happened since."""
    if order.order_status is not OrderStatus.READY_FOR_PICKUP or order.active_saga_id:
        return None
    latest = read_latest(session, order.order_id)
    if latest is None or latest.name != CANCEL_ACCEPTANCE.name:
        return None
    return Served(order, latest) if viewer.may_give_back(latest.data.get("runner_id")) else None
