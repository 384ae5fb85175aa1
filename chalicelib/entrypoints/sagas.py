"""The endpoints under /api/sagas."""

from chalice.app import Response

from chalicelib.entrypoints.http import Request, answer, uuid_of
from chalicelib.errors import NotFound
from chalicelib.runtime import runtime
from chalicelib.sagas.queries import read_with_order
from chalicelib.sagas.state import document


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
