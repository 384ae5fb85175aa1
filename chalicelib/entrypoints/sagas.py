"""The endpoints under /api/sagas."""

from collections.abc import Callable
from operator import attrgetter
from uuid import UUID

import sqlalchemy as sa
from chalice.app import Response

from chalicelib.entrypoints.bodies import OperateBody
from chalicelib.entrypoints.changes import Change
from chalicelib.entrypoints.conditions import answer_if_changed
from chalicelib.entrypoints.http import Request, answer, uuid_of
from chalicelib.entrypoints.lists import SAGA_CURSOR_PAGE, cursor_page
from chalicelib.entrypoints.parameters import read_saga_filters
from chalicelib.errors import NotFound
from chalicelib.operations import operate
from chalicelib.operations.call import Call, Served
from chalicelib.operations.explain import EXPLANATION, explain
from chalicelib.operations.rehearsal import REHEARSED, rehearse
from chalicelib.orders.access import MAY_ASK
from chalicelib.runtime import runtime
from chalicelib.sagas.queries import list_sagas, read_with_order
from chalicelib.sagas.state import ORDER_WITH_SAGA, SAGA


def read(request: Request, saga_id: str) -> Response:
    """GET /api/sagas/{sagaId}: for admins, and for the owner and the runner of its order."""
    caller = request.caller()
    known_id = uuid_of(saga_id, "saga")
    with runtime().database.transaction() as session:
        seen = read_with_order(session, known_id)
    if seen is None or not caller.may_follow(seen.order):
        raise NotFound("there is no such saga")
    return answer(200, SAGA.document(seen.saga))


def explanation(request: Request, saga_id: str) -> Response:
    """GET /api/sagas/{sagaId}/explanation: why it is where it is, for who may read the saga."""
    caller = request.caller()
    known_id = uuid_of(saga_id, "saga")
    with runtime().database.transaction() as session:
        found = explain(session, runtime().rules.policy, caller, known_id)
    return answer_if_changed(request, EXPLANATION.document(found))


def list_(request: Request) -> Response:
    """GET /api/sagas: newest first."""
    request.caller("admin")
    filters, limit = read_saga_filters(request.query)
    with runtime().database.transaction() as session:
        found = list_sagas(session, filters, limit + 1)
    return answer(200, SAGA_CURSOR_PAGE.document(cursor_page(found, limit, attrgetter("saga_id"))))


def retry(request: Request, saga_id: str) -> Response:
    """POST /api/sagas/{sagaId}/retry."""
    return _operate(request, saga_id, "retry", operate.retry)


def compensate(request: Request, saga_id: str) -> Response:
    """POST /api/sagas/{sagaId}/compensate."""
    return _operate(request, saga_id, "compensate", operate.compensate)


def _operate(request: Request, saga_id: str, name: str, operation: Callable[[sa.Connection, Call, UUID, str | None], Served]) -> Response:
    change = Change(request, *MAY_ASK[name], body=OperateBody)
    known_id, reason = uuid_of(saga_id, "saga"), change.body.reason or None
    if change.body.dry_run:
        return change.rehearsal(
            lambda session: REHEARSED.document(
                rehearse(session, change.call.rules, lambda: operation(session, change.call, known_id, reason), saga_ids=[known_id])
            )
        )
    with change.transaction() as session:
        served = operation(session, change.call, known_id, reason)
        change.answer(answer(202, ORDER_WITH_SAGA.document(served)))
    return change.response()
