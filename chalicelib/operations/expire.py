"""`payment.authorization_expired`, unasked: the bank no longer keeps the money for an order."""

from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

from chalicelib.messages.envelope import MessageContext
from chalicelib.messages.replies import AuthorizationExpired
from chalicelib.orders import expiry
from chalicelib.orders.access import partner
from chalicelib.orders.changes import Cause
from chalicelib.orders.order import Order
from chalicelib.sagas.cancel_order import CANCEL_ORDER
from chalicelib.sagas.engine import FollowUp, UnitOfWork
from chalicelib.sagas.outcomes import CompensationRequested, IdSource
from chalicelib.sagas.registry import definition_of
from chalicelib.sagas.state import ErrorCode, Saga, SagaError


def expire_authorization(
    work: UnitOfWork, order_id: UUID, context: MessageContext, ids: IdSource, note: Mapping[str, str] | None = None
) -> bool:
    """Note the expiry on an order it concerns, and cancel what can still be cancelled; `note` goes into the history.

    A running `create_order` is compensated; an order that no saga holds starts `cancel_order`; while another saga holds it, or one of a
    version that only a newer release knows, the transaction that ends that saga does so. Returns whether the order is past that, so
    that an operator has to look.
    """
    order = replace(work.orders[order_id], authorization_expired=True)
    cause = Cause(partner(AuthorizationExpired.TYPE), context, detail={"cause": AuthorizationExpired.TYPE, **(note or {})})
    holder = work.sagas[order.active_saga_id] if order.active_saga_id else None
    if holder and _is_cancelled_by_compensation(holder):
        error = SagaError(ErrorCode.EXPIRED, "the payment's authorization expired")
        work.apply(holder, CompensationRequested(error), cause, ids, order=order, noted=True)
        return False
    if expiry.cancels(order):
        work.start(CANCEL_ORDER, order, cause, ids, expiry.DATA)
        return False
    work.change(order, replace(cause, saga_id=order.active_saga_id), ids)
    return order.order_status not in expiry.NOT_YET_COLLECTED


def cancel_expired(order: Order) -> FollowUp | None:
    """What follows where a saga ends on an order whose authorization expired meanwhile: the order is cancelled."""
    return FollowUp(CANCEL_ORDER, expiry.DATA) if expiry.cancels(order) else None


def _is_cancelled_by_compensation(holder: Saga) -> bool:
    definition = definition_of(holder.name, holder.definition_version)
    return definition is not None and definition.cancels_when_undone and definition.can_compensate(holder)
