"""The endpoint /api/search."""

from chalice.app import Response

from chalicelib.entrypoints.http import Request, answer
from chalicelib.entrypoints.parameters import read_search
from chalicelib.operations.search import SEARCH_RESULT, search
from chalicelib.runtime import runtime


def find(request: Request) -> Response:
    """GET /api/search: what has that id, as far as the caller may read it."""
    caller = request.caller()
    id = read_search(request.query)
    with runtime().database.transaction() as session:
        found = search(session, caller, id)
    return answer(200, SEARCH_RESULT.document(found))
