"""The endpoint /api/board."""

from chalice.app import Response

from chalicelib.entrypoints.conditions import answer_if_changed
from chalicelib.entrypoints.health import VERSION
from chalicelib.entrypoints.http import Request
from chalicelib.operations.board import BOARD, read_board
from chalicelib.runtime import runtime


def read(request: Request) -> Response:
    """GET /api/board."""
    request.caller("admin")
    with runtime().database.transaction() as session:
        board = read_board(session)
    board.development, board.version = runtime().settings.for_development, VERSION
    return answer_if_changed(request, BOARD.document(board))
