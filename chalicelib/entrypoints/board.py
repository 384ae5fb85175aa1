"""The endpoint /api/board."""

import hashlib
import json

from chalice.app import Response

from chalicelib.entrypoints.conditions import not_modified
from chalicelib.entrypoints.health import VERSION
from chalicelib.entrypoints.http import Request, answer
from chalicelib.operations.board import BOARD, read_board
from chalicelib.runtime import runtime


def read(request: Request) -> Response:
    """GET /api/board: 304 where the caller has the same already, as the tag is made of the content."""
    request.caller("admin")
    with runtime().database.transaction() as session:
        board = read_board(session)
    board.development, board.version = runtime().settings.for_development, VERSION
    document = BOARD.document(board)
    etag = f'"{hashlib.sha256(json.dumps(document).encode()).hexdigest()}"'
    if not_modified(request.headers, etag):
        return Response("", {"ETag": etag}, 304)
    return answer(200, document, {"ETag": etag})
