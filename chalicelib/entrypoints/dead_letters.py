"""The endpoints under /api/dead-letters."""

from typing import Any, Literal
from uuid import UUID

from chalice.app import Response

from chalicelib.entrypoints.bodies import DismissBody, RedriveBody, read_body
from chalicelib.entrypoints.conditions import if_match
from chalicelib.entrypoints.cursors import to_cursor
from chalicelib.entrypoints.http import Request, answer, uuid_of
from chalicelib.entrypoints.keys import claim_of, kept
from chalicelib.entrypoints.parameters import read_dead_letter_filters
from chalicelib.errors import NotFound
from chalicelib.ids import new_fresh
from chalicelib.messaging.dead_letter_queries import document, explained, full_document, list_dead_letters, read_dead_letter
from chalicelib.observability import count, logger
from chalicelib.operations import dismiss as dismissals
from chalicelib.operations import redrive as operation
from chalicelib.operations.once import unclaimed
from chalicelib.operations.redrive import Redriven
from chalicelib.orders import order as orders
from chalicelib.orders.access import Viewer
from chalicelib.runtime import runtime
from chalicelib.sagas import state


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
    request.check_body()
    caller = request.caller("admin")
    body = read_body(RedriveBody, request.optional_json())
    known_id = uuid_of(dead_letter_id, "dead letter")
    return _rehearse(request, caller, known_id) if body.dry_run else _redrive(request, caller, known_id)


def dismiss(request: Request, dead_letter_id: str) -> Response:
    """POST /api/dead-letters/{deadLetterId}/dismiss: nobody need look at it again."""
    request.check_body()
    caller = request.caller("admin")
    reason = read_body(DismissBody, request.json()).reason
    known_id = uuid_of(dead_letter_id, "dead letter")
    claim, operator, fresh = claim_of(request, caller, None), f"admin:{caller.sub}", new_fresh()
    once, versions = claim.begin if claim else unclaimed, if_match(request.headers)
    with runtime().database.transaction() as session:
        dismissed = dismissals.dismiss(
            session, runtime().rules, known_id, reason, operator, trail=request.trail, fresh=fresh, once=once, versions=versions
        )
        response = answer(200, explained(dismissed.letter))
        if claim and dismissed.changed:
            claim.keep(session, kept(response), final=True)
        elif claim:
            claim.drop(session)
    if not dismissed.changed:
        return response
    if dismissed.order_id:
        runtime().publisher.publish([dismissed.order_id])
    logger.info("A dead letter was dismissed", extra={"dead_letter_id": str(known_id), "operator": operator})
    count({"DeadLettersDismissed": 1})
    return response


def _redrive(request: Request, caller: Viewer, dead_letter_id: UUID) -> Response:
    claim, operator, fresh = claim_of(request, caller, None), f"admin:{caller.sub}", new_fresh()
    once = claim.begin if claim else unclaimed
    with runtime().database.transaction() as session:
        redriven = operation.redrive(session, runtime().rules, dead_letter_id, operator, fresh, once, if_match(request.headers))
        response = answer(202, _told(redriven, "taken"))
        if claim:
            claim.keep(session, kept(response), final=True)
    runtime().publisher.publish([redriven.order.order_id])
    fields = {"dead_letter_id": str(dead_letter_id), "operator": operator, "order_id": str(redriven.order.order_id)}
    logger.info("A dead letter was redriven", extra=fields)
    count({"DeadLettersRedriven": 1})
    return response


def _rehearse(request: Request, caller: Viewer, dead_letter_id: UUID) -> Response:
    """Nothing begins by it, so its Idempotency-Key stays free."""
    claim, operator, fresh = claim_of(request, caller, None), f"admin:{caller.sub}", new_fresh()
    once = claim.begin if claim else unclaimed
    with runtime().database.transaction() as session:
        redriven = operation.rehearse(session, runtime().rules, dead_letter_id, operator, fresh, once, if_match(request.headers))
    return answer(200, _told(redriven, "rehearsed"))


def _told(redriven: Redriven, outcome: Literal["taken", "rehearsed"]) -> dict[str, Any]:
    """What the operator is told; order and saga only as they really are."""
    told = {
        "deadLetter": document(redriven.letter),
        "outcome": outcome,
        "changes": [change.document() for change in redriven.changes],
    }
    if outcome == "rehearsed":
        return told
    saga = {"saga": state.document(redriven.saga)} if redriven.saga else {}
    return {**told, "order": orders.document(redriven.order), **saga}
