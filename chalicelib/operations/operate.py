"""What an operator may do to a saga that can't go on by itself, or must not."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from uuid import UUID

import sqlalchemy as sa

from chalicelib.errors import NotFound, WrongStatus
from chalicelib.operations.call import Call, Served, in_detail, refuse_unless_at, served_by
from chalicelib.orders.changes import Cause
from chalicelib.sagas.definition import Definition
from chalicelib.sagas.engine import UnitOfWork, unit_of_work
from chalicelib.sagas.outcomes import CompensationRequested, Outcome, Retried
from chalicelib.sagas.registry import definition_of
from chalicelib.sagas.state import ErrorCode, Saga, SagaError


def retry(session: sa.Connection, call: Call, saga_id: UUID, reason: str | None = None) -> Served:
    """Send the command that timed out again, or try a refused payout anew; raises NotFound, PreconditionFailed, WrongStatus."""
    with _saga_locked(session, call, saga_id) as (work, saga):
        refuse_retry(saga)
        return _noted(work, saga, Retried(), call, {"operator": "retry", **in_detail(reason)})


def compensate(session: sa.Connection, call: Call, saga_id: UUID, reason: str | None = None) -> Served:
    """Compensate a saga that can still be undone; raises NotFound, PreconditionFailed, WrongStatus."""
    with _saga_locked(session, call, saga_id) as (work, saga):
        refuse_compensation(saga)
        error = SagaError(ErrorCode.CANCELLED, f"compensated by {call.viewer.actor()}")
        return _noted(work, saga, CompensationRequested(error), call, {"operator": "compensate", **in_detail(reason)})


def refuse_retry(saga: Saga) -> None:
    """Raises WrongStatus where an operator may not have the saga go on."""
    if not _known(saga).can_retry(saga):
        raise WrongStatus(f"the saga is {saga.status}; only a FAILED one can be retried")


def refuse_compensation(saga: Saga) -> None:
    """Raises WrongStatus where an operator may not have the saga compensated."""
    if not _known(saga).can_compensate(saga):
        raise WrongStatus(f"{saga.name} is {saga.status} at {saga.current_step or 'its end'} and can't be compensated")


def _known(saga: Saga) -> Definition:
    definition = definition_of(saga.name, saga.definition_version)
    if definition is None:
        raise WrongStatus(f"{saga.name} version {saga.definition_version} is not known to this release")
    return definition


@contextmanager
def _saga_locked(session: sa.Connection, call: Call, saga_id: UUID) -> Iterator[tuple[UnitOfWork, Saga]]:
    """A unit of work over the order of a saga, after all checks but that of the saga's state."""
    with unit_of_work(session, call.rules, call.written, saga_ids=[saga_id]) as work:
        saga = work.sagas.get(saga_id)
        if saga is None:
            raise NotFound("there is no such saga")
        call.once(session)
        refuse_unless_at(work.orders[saga.order_id], call.versions)
        yield work, saga


def _noted(work: UnitOfWork, saga: Saga, outcome: Outcome, call: Call, detail: Mapping[str, str]) -> Served:
    cause = Cause(call.viewer.actor(), call.context, detail=detail)
    work.apply(saga, outcome, cause, call.ids, noted=True)
    return served_by(work, saga)
