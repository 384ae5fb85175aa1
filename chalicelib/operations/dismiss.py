"""A dead letter dismissed, because an operator says that it will never be taken: nobody need look at it again."""

from dataclasses import dataclass, replace
from uuid import UUID

import sqlalchemy as sa

from chalicelib.errors import NotFound, WrongStatus
from chalicelib.fields import Field, Table, each, part
from chalicelib.messaging import dead_letter_queries
from chalicelib.messaging.dead_letter_documents import DEAD_LETTER
from chalicelib.messaging.dead_letter_queries import KeptDeadLetter
from chalicelib.operations import rehearsal
from chalicelib.operations.call import Call, refuse_unless_at
from chalicelib.operations.differences import DIFFERENCE, Difference
from chalicelib.operations.rehearsal import OUTCOME, WouldBe
from chalicelib.orders.changes import Cause
from chalicelib.orders.order import Order
from chalicelib.sagas.engine import UnitOfWork, unit_of_work


@dataclass(frozen=True)
class Dismissed:
    """A dead letter that is dismissed. `changed` is False where it was before."""

    letter: KeptDeadLetter
    changed: bool


@dataclass(frozen=True)
class DismissalRehearsed:
    """A dead letter as it is, and what its dismissal would change."""

    letter: KeptDeadLetter
    changes: tuple[Difference, ...]
    outcome: WouldBe = "rehearsed"


DISMISSAL_REHEARSED = Table(
    "DismissalRehearsed",
    "What would change besides the dead letter: of its order, if that is one of ours. Nothing has.",
    (Field("deadLetter", "letter", part(DEAD_LETTER)), OUTCOME, Field("changes", "changes", each(DIFFERENCE))),
)


def dismiss(session: sa.Connection, call: Call, dead_letter_id: UUID, reason: str) -> Dismissed:
    """Dismiss a dead letter for a `reason`; the order it names gets a history entry by the caller, also while a saga holds it.

    A second dismissal changes nothing. Raises NotFound; PreconditionFailed where that order is at none of the call's versions; WrongStatus
    where the letter was redriven: the caller's transaction must then be rolled back. Locks as `redrive` does: the order, the idempotency
    key, then the letter's row.
    """
    found = dead_letter_queries.read_letter(session, dead_letter_id)
    if found is None:
        raise NotFound("there is no such dead letter")
    with unit_of_work(session, call.rules, call.written, **_concerned(found)) as work:
        call.once(session)
        letter = replace(found, dismissed_at=work.moment.now, dismissed_by=call.viewer.actor(), dismiss_reason=reason)
        changed = dead_letter_queries.dismiss(session, letter)
        if not changed:
            letter = dead_letter_queries.read_letter(session, dead_letter_id) or letter
            if letter.dismissed_at:
                return Dismissed(letter, changed=False)
        order = _named(work, letter)
        if order:
            refuse_unless_at(order, call.versions)
        if not changed:
            raise WrongStatus("the dead letter was redriven before")
        if order is None:
            return Dismissed(letter, changed=True)
        detail = {"operator": "dismiss", "deadLetterId": str(dead_letter_id), "error": letter.error_class, "reason": reason}
        work.change(order, Cause(call.viewer.actor(), call.context, detail=detail), call.ids)
        return Dismissed(letter, changed=True)


def rehearse(session: sa.Connection, call: Call, dead_letter_id: UUID, reason: str) -> DismissalRehearsed:
    """What `dismiss` would change of orders and sagas; raises what it does."""
    found = dead_letter_queries.read_letter(session, dead_letter_id)
    if found is None:
        raise NotFound("there is no such dead letter")
    rehearsed = rehearsal.rehearse(session, call.rules, lambda: dismiss(session, call, dead_letter_id, reason), **_concerned(found))
    return DismissalRehearsed(found, rehearsed.changes)


def _named(work: UnitOfWork, letter: KeptDeadLetter) -> Order | None:
    """The order that the letter names, or else that of its saga, where it is one of ours."""
    named = work.orders.get(letter.order_id) if letter.order_id else None
    return named or next(iter(work.orders.values()), None)


def _concerned(letter: KeptDeadLetter) -> dict[str, list[UUID]]:
    """What has to be locked, by the names that `unit_of_work` has for it."""
    given = {"order_ids": letter.order_id, "saga_ids": letter.saga_id}
    return {name: [id] if id else [] for name, id in given.items()}
