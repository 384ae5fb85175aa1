"""The endpoints under /api/sagas."""

from collections.abc import Callable, Mapping
from typing import TypeAlias
from uuid import UUID

import sqlalchemy as sa
from chalice.app import Response

from chalicelib.entrypoints.asking import serve
from chalicelib.entrypoints.bodies import NoBody, read_body
from chalicelib.entrypoints.conditions import if_match
from chalicelib.entrypoints.cursors import to_cursor
from chalicelib.entrypoints.http import Request, answer, uuid_of
from chalicelib.entrypoints.parameters import read_saga_filters
from chalicelib.errors import NotFound
from chalicelib.ids import new_fresh
from chalicelib.operations import operate
from chalicelib.operations.asked import Asked, Versions
from chalicelib.operations.once import Once
from chalicelib.orders import order as orders
from chalicelib.runtime import runtime
from chalicelib.sagas.engine import Rules
from chalicelib.sagas.outcomes import Fresh
from chalicelib.sagas.queries import SagaWithOrder, list_sagas, read_with_order
from chalicelib.sagas.state import document

Operation: TypeAlias = Callable[[sa.Connection, Rules, UUID, str, Fresh, Once, Versions], Asked]


def read(request: Request, saga_id: str) -> Response:
    """GET /api/sagas/{sagaId}: for admins, and for the owner and the runner of its order."""
    caller = request.caller()
    known_id = uuid_of(saga_id, "saga")
    with runtime().database.transaction() as session:
        seen = read_with_order(session, known_id)
    if seen is None:
        raise NotFound("there is no such saga")
    owner = "customer" in caller.roles and seen.order.customer_id == caller.sub
    runner = "runner" in caller.roles and seen.order.runner_id == caller.sub
    if not (owner or runner or "admin" in caller.roles):
        raise NotFound("there is no such saga")
    return answer(200, document(seen.saga))


def list_(request: Request) -> Response:
    """GET /api/sagas: newest first."""
    request.caller("admin")
    filters, limit = read_saga_filters(request.query)
    with runtime().database.transaction() as session:
        found = list_sagas(session, filters, limit + 1)
    following = to_cursor(found[limit - 1].saga_id) if len(found) > limit else None
    return answer(200, {"items": [document(saga) for saga in found[:limit]], "limit": limit, "nextCursor": following})


def retry(request: Request, saga_id: str) -> Response:
    """POST /api/sagas/{sagaId}/retry."""
    return _operate(request, saga_id, operate.retry)


def compensate(request: Request, saga_id: str) -> Response:
    """POST /api/sagas/{sagaId}/compensate."""
    return _operate(request, saga_id, operate.compensate)


def _operate(request: Request, saga_id: str, operation: Operation) -> Response:
    request.check_body()
    caller = request.caller("admin")
    read_body(NoBody, request.optional_json())
    known_id, fresh, versions = uuid_of(saga_id, "saga"), new_fresh(), if_match(request.headers)
    operator = f"admin:{caller.sub}"

    def word(seen: SagaWithOrder, _applied: Mapping[str, str]) -> Response:
        return answer(202, {"order": orders.document(seen.order), "saga": document(seen.saga)})

    return serve(
        request,
        caller,
        lambda session, rules, once: operation(session, rules, known_id, operator, fresh, once, versions),
        word,
        waiting=None,
    )
