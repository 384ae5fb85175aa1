"""A runner gives an accepted order back."""

from collections.abc import Callable
from functools import partial
from uuid import UUID

import sqlalchemy as sa

from chalicelib.errors import WrongStatus
from chalicelib.operations.call import (
    Asking,
    Call,
    Served,
    holder_of,
    order_locked,
    refuse_if_held,
    refuse_unless_at,
    served_before,
    served_by,
)
from chalicelib.orders.access import Viewer, changeable
from chalicelib.orders.changes import Cause
from chalicelib.orders.order import Order, OrderStatus
from chalicelib.sagas.cancel_acceptance import CANCEL_ACCEPTANCE
from chalicelib.sagas.state import Saga
from chalicelib.sagas.store import read_latest


def cancel_acceptance(session: sa.Connection, call: Call, order_id: UUID) -> Served:
    """Start `cancel_acceptance`, join it, or find it done; raises NotFound, Forbidden, PreconditionFailed, HeldBySaga, WrongStatus."""
    with order_locked(session, call, order_id) as (work, order):
        holder, latest = holder_of(work, order), partial(read_latest, session, order_id)
        if not must_give_back(order, holder, latest, call.asking(session)):
            return served_before(session, order, holder)
        cause = Cause(call.viewer.acting_as(order), call.context)
        return served_by(work, work.start(CANCEL_ACCEPTANCE, order, cause, call.ids, {"runner_id": order.runner_id or ""}))


def must_give_back(order: Order, holder: Saga | None, latest: Callable[[], Saga | None], asking: Asking) -> bool:
    """Whether giving back starts a saga; False where one is at it, or the order was given back. Raises what `cancel_acceptance` does.

    `latest` is asked for the order's newest saga, of an open order only.
    """
    before = _was_given_back(order, latest, asking.viewer)
    if not before:
        changeable(order, asking.viewer, by_runner=True)
    asking.claim()
    if before or (holder and holder.name == CANCEL_ACCEPTANCE.name):
        return False
    refuse_unless_at(order, asking.versions)
    refuse_if_held(holder)
    if order.order_status is not OrderStatus.ACCEPTED:
        raise WrongStatus(f"the order is {order.order_status} and not ACCEPTED")
    return True


def _was_given_back(order: Order, latest: Callable[[], Saga | None], viewer: Viewer) -> bool:
    """The same runner's request again: the order is open because they gave it back, and nothing happened since."""
    if order.order_status is not OrderStatus.READY_FOR_PICKUP or order.active_saga_id:
        return False
    newest = latest()
    given_back = newest is not None and newest.name == CANCEL_ACCEPTANCE.name
    return newest is not None and given_back and viewer.may_give_back(newest.data.get("runner_id"))
