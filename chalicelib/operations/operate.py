"""What an operator may do to a saga that can't go on by itself, or must not."""

from uuid import UUID

import sqlalchemy as sa

from chalicelib.errors import NotFound, WrongStatus
from chalicelib.operations.asked import Asked, Versions, refuse_unless_at, written
from chalicelib.operations.once import Once, unclaimed
from chalicelib.sagas.definition import Definition
from chalicelib.sagas.engine import Batch, Rules, lock
from chalicelib.sagas.outcomes import Fresh, Outcome, Retried, Turned
from chalicelib.sagas.registry import definition_of
from chalicelib.sagas.state import ErrorCode, Saga, SagaError


def retry(
    session: sa.Connection, rules: Rules, saga_id: UUID, operator: str, fresh: Fresh, once: Once = unclaimed, versions: Versions = None
) -> Asked:
    """Send the silent command again, or try a refused payout anew; raises NotFound, PreconditionFailed, WrongStatus."""
    batch, saga, definition = _begun(session, rules, saga_id, once, versions)
    if not definition.can_retry(saga):
        raise WrongStatus(f"the saga is {saga.status}; only a FAILED one can be retried")
    return _noted(batch, saga, Retried(), operator, "retry", fresh)


def compensate(
    session: sa.Connection, rules: Rules, saga_id: UUID, operator: str, fresh: Fresh, once: Once = unclaimed, versions: Versions = None
) -> Asked:
    """Compensate a saga that can still be undone; raises NotFound, PreconditionFailed, WrongStatus."""
    batch, saga, definition = _begun(session, rules, saga_id, once, versions)
    if not definition.can_compensate(saga):
        raise WrongStatus(f"{saga.name} is {saga.status} at {saga.current_step or 'its end'} and can't be compensated")
    error = SagaError(ErrorCode.CANCELLED, f"compensated by {operator}")
    return _noted(batch, saga, Turned(error), operator, "compensate", fresh)


def _begun(session: sa.Connection, rules: Rules, saga_id: UUID, once: Once, versions: Versions) -> tuple[Batch, Saga, Definition]:
    """The locked saga and its definition, after all checks but that of its state."""
    batch = lock(session, rules, saga_ids=[saga_id])
    saga = batch.sagas.get(saga_id)
    if saga is None:
        raise NotFound("there is no such saga")
    once(session)
    refuse_unless_at(batch.orders[saga.order_id], versions)
    definition = definition_of(saga.name, saga.definition_version)
    if definition is None:
        raise WrongStatus(f"{saga.name} version {saga.definition_version} is not known to this release")
    return batch, saga, definition


def _noted(batch: Batch, saga: Saga, outcome: Outcome, operator: str, asked: str, fresh: Fresh) -> Asked:
    batch.apply(saga, outcome, operator, fresh, {"operator": asked}, noted=True)
    return written(batch, saga.order_id, saga.saga_id)
