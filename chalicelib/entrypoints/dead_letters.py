"""The endpoints under /api/dead-letters."""

from operator import attrgetter

from chalice.app import Response

from chalicelib.entrypoints.bodies import DismissBody, OperateBody
from chalicelib.entrypoints.changes import Change
from chalicelib.entrypoints.http import Request, answer, uuid_of
from chalicelib.entrypoints.lists import DEAD_LETTER_CURSOR_PAGE, cursor_page
from chalicelib.entrypoints.parameters import read_dead_letter_filters
from chalicelib.errors import NotFound
from chalicelib.messaging.dead_letter_documents import DISMISSED_DEAD_LETTER, full_document
from chalicelib.messaging.dead_letter_queries import list_dead_letters, read_dead_letter
from chalicelib.observability import count, logger
from chalicelib.operations import dismiss as dismissing
from chalicelib.operations import redrive as redriving
from chalicelib.operations.dismiss import DISMISSAL_REHEARSED
from chalicelib.operations.redrive import REDRIVEN, REHEARSED
from chalicelib.runtime import runtime


def list_(request: Request) -> Response:
    """GET /api/dead-letters: newest first."""
    request.caller("admin")
    filters, limit = read_dead_letter_filters(request.query)
    with runtime().database.transaction() as session:
        found = list_dead_letters(session, filters, limit + 1)
    return answer(200, DEAD_LETTER_CURSOR_PAGE.document(cursor_page(found, limit, attrgetter("dead_letter_id"))))


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
    change = Change(request, "admin", body=OperateBody)
    known_id, reason = uuid_of(dead_letter_id, "dead letter"), change.body.reason or None
    if change.body.dry_run:
        return change.rehearsal(lambda session: REHEARSED.document(redriving.rehearse(session, change.call, known_id, reason)))
    with change.transaction() as session:
        redriven = redriving.redrive(session, change.call, known_id, reason)
        change.answer(answer(202, REDRIVEN.document(redriven)))
    fields = {"dead_letter_id": dead_letter_id, "operator": change.caller.actor(), "order_id": str(redriven.order.order_id)}
    logger.info("A dead letter was redriven", extra=fields)
    count({"DeadLettersRedriven": 1})
    return change.response()


def dismiss(request: Request, dead_letter_id: str) -> Response:
    """POST /api/dead-letters/{deadLetterId}/dismiss: nobody need look at it again."""
    change = Change(request, "admin", body=DismissBody)
    known_id = uuid_of(dead_letter_id, "dead letter")
    if change.body.dry_run:
        return change.rehearsal(
            lambda session: DISMISSAL_REHEARSED.document(dismissing.rehearse(session, change.call, known_id, change.body.reason))
        )
    with change.transaction() as session:
        dismissed = dismissing.dismiss(session, change.call, known_id, change.body.reason)
        change.answer(answer(200, DISMISSED_DEAD_LETTER.document(dismissed.letter)), changed=dismissed.changed)
    if dismissed.changed:
        logger.info("A dead letter was dismissed", extra={"dead_letter_id": dead_letter_id, "operator": change.caller.actor()})
        count({"DeadLettersDismissed": 1})
    return change.response()
