"""Cancel an order: compensate the saga that creates it, or undo what stands by `cancel_order`."""

from uuid import UUID

import sqlalchemy as sa

from chalicelib.errors import FieldError, Invalid, WrongStatus
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
from chalicelib.orders.order import Order, OrderStatus, PaymentStatus
from chalicelib.sagas.cancel_order import CANCEL_ORDER
from chalicelib.sagas.definition import Definition
from chalicelib.sagas.outcomes import CompensationRequested
from chalicelib.sagas.registry import definition_of
from chalicelib.sagas.state import ErrorCode, Saga, SagaError, SagaStatus
from chalicelib.values import replace

OVER = frozenset({OrderStatus.CANCELLED, OrderStatus.TIMED_OUT})
ON_ITS_WAY = frozenset({OrderStatus.COLLECTED, OrderStatus.ON_THE_WAY, OrderStatus.DELIVERED})


def cancel_order(session: sa.Connection, call: Call, order_id: UUID, reason: str | None) -> Served:
    """Compensate a running `create_order`, start `cancel_order`, join whichever is already undoing the order, or find it done.

    Raises NotFound, Forbidden, PreconditionFailed, HeldBySaga, WrongStatus, and Invalid where an admin must give a reason.
    """
    with order_locked(session, call, order_id) as (work, order):
        holder = holder_of(work, order)
        if not must_cancel(order, holder, reason, call.asking(session)):
            return served_before(session, order, holder)
        cause = Cause(call.viewer.acting_as(order), call.context)
        if holder:
            error = SagaError(ErrorCode.CANCELLED, f"cancelled by {cause.actor}")
            work.apply(holder, CompensationRequested(error, _because(reason)), cause, call.ids)
            return served_by(work, holder)
        data = {"ending": OrderStatus.CANCELLED.value, **_because(reason)}
        reasoned = replace(cause, detail={"reason": reason} if reason else None)
        return served_by(work, work.start(CANCEL_ORDER, order, reasoned, call.ids, data))


def must_cancel(order: Order, holder: Saga | None, reason: str | None, asking: Asking) -> bool:
    """Whether cancelling compensates the holder, or without one starts a saga; False where one is at it, or the order is over.

    Raises what `cancel_order` does.
    """
    changeable(order, asking.viewer, by_owner=True)
    asking.claim()
    definition = definition_of(holder.name, holder.definition_version) if holder else None
    if holder and definition and _brings_cancellation(definition):
        if not definition.can_compensate(holder):
            return False
        refuse_unless_at(order, asking.versions)
        return True
    if not holder and order.order_status in OVER:
        return False
    refuse_unless_at(order, asking.versions)
    refuse_if_held(holder)
    _refuse_if_too_late(order, asking.viewer, reason)
    return True


def ended_well(saga: Saga) -> bool:
    """Whether a saga that serves a cancellation has brought it about: `create_order` does so by being undone."""
    definition = definition_of(saga.name, saga.definition_version)
    undone = definition is not None and definition.cancels_when_undone
    return saga.status is (SagaStatus.COMPENSATED if undone else SagaStatus.COMPLETED)


def _brings_cancellation(definition: Definition) -> bool:
    """Whether a saga that holds an order serves a cancellation: by what it does, or by being compensated."""
    return definition.name == CANCEL_ORDER.name or definition.cancels_when_undone


def _because(reason: str | None) -> dict[str, str]:
    return {"cancel_reason": reason} if reason else {}


def _refuse_if_too_late(order: Order, viewer: Viewer, reason: str | None) -> None:
    if order.payment_status is not PaymentStatus.AUTHORIZED or order.order_status is OrderStatus.COMPLETED:
        raise WrongStatus(f"the order is {order.order_status} and its payment {order.payment_status}")
    if order.order_status not in ON_ITS_WAY:
        return
    if not viewer.may_cancel_on_its_way:
        raise WrongStatus(f"the order is {order.order_status}; it can no longer be cancelled")
    if not reason:
        raise Invalid("an order on its way needs a reason to be cancelled", [FieldError(("reason",), "is missing")])
