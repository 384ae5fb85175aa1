"""The endpoints under /api/dead-letters."""

from typing import Any, Literal

from chalice.app import Response

from chalicelib.entrypoints.bodies import DismissBody, RedriveBody
from chalicelib.entrypoints.changes import Change
from chalicelib.entrypoints.cursors import to_cursor
from chalicelib.entrypoints.http import Request, answer, uuid_of
from chalicelib.entrypoints.parameters import read_dead_letter_filters
from chalicelib.errors import NotFound
from chalicelib.messaging.dead_letter_queries import document, explained, full_document, list_dead_letters, read_dead_letter
from chalicelib.observability import count, logger
from chalicelib.operations import dismiss as dismissing
from chalicelib.operations import redrive as redriving
from chalicelib.operations.redrive import Redriven
from chalicelib.orders.order import ORDER
from chalicelib.runtime import runtime
from chalicelib.sagas.state import SAGA


def list_(request: Request) -> Response:
    """GET /api/dead-letters: newest first."""
    request.caller("admin")
    filters, limit = read_dead_letter_filters(request.query)
    with runtime().database.transaction() as session:
        found = list_dead_letters(session, filters, limit + 1)
    following = to_cursor(found[limit - 1].dead_letter_id) if len(found) > limit else None
    return answer(200, {"items": [document(letter) for letter in found[:limit]], "limit": limit, "nextCursor": following})


def read(request: Request, dead_letter_id: str) -> Response:
    """GET /api/dead-letters/{deadLetterId}: with the record as it came."""
    request.caller("admin")
    known_id = uuid_of(dead_letter_id, "dead letter")
    with runtime().database.transaction() as session:
        found = read_dead_letter(session, known_id)
    if found is None:
        raise NotFound("there is no such dead letter")
    return answer(200, full_document(*found))


def redrive(request: Request, dead_letter_id: str) -> Response:
    """POST /api/dead-letters/{deadLetterId}/redrive: taken after all, or only tried."""
    change = Change(request, "admin", body=RedriveBody)
    known_id = uuid_of(dead_letter_id, "dead letter")
    if change.body.dry_run:
        # Nothing begins by it, so its Idempotency-Key stays free.
        with change.transaction() as session:
            change.answer(answer(200, _told(redriving.rehearse(session, change.call, known_id), "rehearsed")), changed=False)
        return change.response()
    with change.transaction() as session:
        redriven = redriving.redrive(session, change.call, known_id)
        change.answer(answer(202, _told(redriven, "taken")), redriven.order.order_id)
    fields = {"dead_letter_id": dead_letter_id, "operator": change.caller.actor(), "order_id": str(redriven.order.order_id)}
    logger.info("A dead letter was redriven", extra=fields)
    count({"DeadLettersRedriven": 1})
    return change.response()


def dismiss(request: Request, dead_letter_id: str) -> Response:
    """POST /api/dead-letters/{deadLetterId}/dismiss: nobody need look at it again."""
    change = Change(request, "admin", body=DismissBody)
    known_id = uuid_of(dead_letter_id, "dead letter")
    with change.transaction() as session:
        dismissed = dismissing.dismiss(session, change.call, known_id, change.body.reason)
        change.answer(answer(200, explained(dismissed.letter)), *dismissed.order_ids, changed=dismissed.changed)
    if dismissed.changed:
        logger.info("A dead letter was dismissed", extra={"dead_letter_id": dead_letter_id, "operator": change.caller.actor()})
        count({"DeadLettersDismissed": 1})
    return change.response()


def _told(redriven: Redriven, outcome: Literal["taken", "rehearsed"]) -> dict[str, Any]:
    """What the operator is told; order and saga only as they really are."""
    told = {
        "deadLetter": document(redriven.letter),
        "outcome": outcome,
        "changes": [change.document() for change in redriven.changes],
    }
    if outcome == "rehearsed":
        return told
    saga = {"saga": SAGA.document(redriven.saga)} if redriven.saga else {}
    return {**told, "order": ORDER.document(redriven.order), **saga}
