"""Turn a running `create_order` round because somebody asked for it."""

from uuid import UUID

import sqlalchemy as sa

from chalicelib.errors import HeldBySaga, NotFound, WrongStatus
from chalicelib.sagas.create_order import CREATE_ORDER
from chalicelib.sagas.engine import Batch, Rules, lock
from chalicelib.sagas.outcomes import Fresh, Turned
from chalicelib.sagas.state import ErrorCode, SagaError, SagaStatus


def cancel_creation(session: sa.Connection, rules: Rules, order_id: UUID, actor: str, reason: str | None, fresh: Fresh) -> Batch:
    """Cancel an order whose `create_order` still holds it: a running one turns round at once, one that turned already is joined.

    Raises NotFound, WrongStatus where nothing is being created, HeldBySaga where another saga holds the order.
    """
    batch = lock(session, rules, order_ids=[order_id])
    order = batch.orders.get(order_id)
    if order is None:
        raise NotFound(f"there is no order {order_id}")
    if order.active_saga_id is None:
        raise WrongStatus(f"the order is {order.order_status}; nothing is being created")
    saga = batch.sagas[order.active_saga_id]
    if saga.name != CREATE_ORDER.name:
        raise HeldBySaga(f"{saga.name} holds the order")
    if saga.status is SagaStatus.RUNNING:
        error = SagaError(ErrorCode.CANCELLED, f"cancelled by {actor}")
        batch.apply(saga, Turned(error, reason), actor, fresh)
        batch.write()
    return batch
