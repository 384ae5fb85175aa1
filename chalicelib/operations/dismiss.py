"""A dead letter dismissed, because an operator says that it will never be taken: nobody need look at it again."""

from dataclasses import dataclass, replace
from uuid import UUID

import sqlalchemy as sa

from chalicelib.errors import NotFound, WrongStatus
from chalicelib.messages.envelope import Trail
from chalicelib.messaging import dead_letter_queries
from chalicelib.messaging.dead_letter_queries import Buried
from chalicelib.operations.asked import Versions, refuse_unless_at
from chalicelib.operations.once import Once, unclaimed
from chalicelib.orders.changes import Cause
from chalicelib.orders.order import Order
from chalicelib.sagas.engine import Batch, Rules, lock
from chalicelib.sagas.outcomes import Fresh


@dataclass(frozen=True)
class Dismissed:
    """A dead letter that is dismissed. `changed` is False where it was before; `order_id` is that of the order whose history says so."""

    letter: Buried
    changed: bool
    order_id: UUID | None = None


def dismiss(
    session: sa.Connection,
    rules: Rules,
    dead_letter_id: UUID,
    reason: str,
    operator: str,
    *,
    trail: Trail,
    fresh: Fresh,
    once: Once = unclaimed,
    versions: Versions = None,
) -> Dismissed:
    """Dismiss a dead letter for a `reason`; the order it names gets a history entry by the `operator`, also while a saga holds it.

    A second dismissal changes nothing. Raises NotFound; PreconditionFailed where that order is at none of the `versions`; WrongStatus
    where the letter was redriven: the caller's transaction must then be rolled back. Locks as `redrive` does: the order, the idempotency
    key, then the letter's row.
    """
    found = dead_letter_queries.read_letter(session, dead_letter_id)
    if found is None:
        raise NotFound("there is no such dead letter")
    batch = lock(session, rules, order_ids=_given(found.order_id), saga_ids=_given(found.saga_id))
    once(session)
    letter = replace(found, dismissed_at=batch.moment.now, dismissed_by=operator, dismiss_reason=reason)
    changed = dead_letter_queries.dismiss(session, letter)
    if not changed:
        letter = dead_letter_queries.read_letter(session, dead_letter_id) or letter
        if letter.dismissed_at:
            return Dismissed(letter, changed=False)
    order = _named(batch, letter)
    if order:
        refuse_unless_at(order, versions)
    if not changed:
        raise WrongStatus("the dead letter was redriven before")
    if order:
        detail = {"operator": "dismiss", "deadLetterId": str(dead_letter_id), "error": letter.error_class, "reason": reason}
        batch.change(order, Cause(operator, trail, detail=detail), fresh)
        batch.write()
    return Dismissed(letter, changed=True, order_id=order.order_id if order else None)


def _named(batch: Batch, letter: Buried) -> Order | None:
    """The order that the letter names, or else that of its saga, where it is one of ours."""
    return batch.orders[letter.order_id] if letter.order_id in batch.orders else next(iter(batch.orders.values()), None)


def _given(id: UUID | None) -> list[UUID]:
    return [id] if id else []
