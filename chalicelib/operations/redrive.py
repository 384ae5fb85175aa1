"""A dead letter taken after all, because an operator says so: by the very same handler as Kafka's records, wholly or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args
from uuid import UUID

import sqlalchemy as sa

from chalicelib.db.states import Kind, kind_of, name_of, sql_state
from chalicelib.errors import NotFound, Refusal, WrongStatus
from chalicelib.fields import Field, Table, among, each, part
from chalicelib.messaging import dead_letter_queries
from chalicelib.messaging.dead_letter_documents import DEAD_LETTER
from chalicelib.messaging.dead_letter_queries import KeptDeadLetter
from chalicelib.messaging.decode import Received, ReplyReceived, receive
from chalicelib.messaging.outbox import Written
from chalicelib.observability import logger
from chalicelib.operations.call import Call, in_detail, refuse_unless_at
from chalicelib.operations.differences import DIFFERENCE, Difference
from chalicelib.operations.rehearsal import Watched, taken_back
from chalicelib.operations.take_replies import Delivery, concerned, take_replies
from chalicelib.orders.order import ORDER, Order
from chalicelib.sagas.engine import Rules, UnitOfWork
from chalicelib.sagas.state import SAGA, Saga

Outcome: TypeAlias = Literal["taken", "rehearsed"]


@dataclass(frozen=True)
class Redriven:
    """A dead letter that was taken: its order and the saga that it concerned as they are then, and all that it changed."""

    letter: KeptDeadLetter
    order: Order
    saga: Saga | None
    changes: tuple[Difference, ...]
    outcome: Outcome = "taken"


REDRIVEN = Table(
    "Redriven",
    "What taking a dead letter changed, or would change. The order and the saga it concerned come where it was really taken.",
    (
        Field("deadLetter", "letter", part(DEAD_LETTER)),
        Field("outcome", "outcome", among(*get_args(Outcome))),
        Field("changes", "changes", each(DIFFERENCE, minItems=1)),
        Field("order", "order", part(ORDER), optional=True),
        Field("saga", "saga", part(SAGA), optional=True),
    ),
)
REHEARSED = Table(REDRIVEN.name, REDRIVEN.description, REDRIVEN.fields[:3])


def redrive(session: sa.Connection, call: Call, dead_letter_id: UUID, reason: str | None = None) -> Redriven:
    """Take a dead letter's record and mark it redriven; the history of what that changes names the operator, and the `reason`.

    Raises NotFound; PreconditionFailed where its order is at none of the call's versions; WrongStatus where it was redriven or dismissed
    before, still can't be taken, or changes nothing: the caller's transaction must then be rolled back. Orders are locked before the
    letter's row, never after: a batch that keeps the same record once more holds its orders while it waits for that row.
    """
    found = dead_letter_queries.read_dead_letter(session, dead_letter_id)
    if found is None:
        raise NotFound("there is no such dead letter")
    letter, record = found
    received = receive(record)
    with _bugs_refused():
        watched = Watched(session, call.rules, **concerned([received]))
    before = watched.before
    call.once(session)
    for order in before.orders.values():
        refuse_unless_at(order, call.versions)
    now = before.moment.now
    if not dead_letter_queries.claim(session, dead_letter_id, now):
        raise WrongStatus(_settled(session, dead_letter_id))
    note = {"operator": "redrive", "by": call.viewer.actor(), "deadLetterId": str(dead_letter_id), **in_detail(reason)}
    # Were it kept once more, that would be taken back: any id will do that no letter has.
    delivery = Delivery(received, call.ids, call.ids.saga_id, note)
    with _bugs_refused():
        call.written.extend(_take(session, call.rules, delivery))
        after, changes = watched.look_again()
    if not changes:
        raise WrongStatus("there is nothing to redrive: taking the record changes nothing")
    [order] = after.orders.values()
    return Redriven(replace(letter, redriven_at=now), order, _concerned(before, after, received), changes)


def rehearse(session: sa.Connection, call: Call, dead_letter_id: UUID, reason: str | None = None) -> Redriven:
    """As `redrive`, and all of it is taken back: the letter still waits, the rest of what is returned tells what would be."""
    redriven = taken_back(session, lambda: redrive(session, call, dead_letter_id, reason))
    return replace(redriven, letter=replace(redriven.letter, redriven_at=None), outcome="rehearsed")


def _settled(session: sa.Connection, dead_letter_id: UUID) -> str:
    letter = dead_letter_queries.read_letter(session, dead_letter_id)
    return "the dead letter was dismissed" if letter and letter.dismissed_at else "the dead letter was redriven before"


def _take(session: sa.Connection, rules: Rules, delivery: Delivery) -> list[Written]:
    taken = take_replies(session, rules, [delivery])
    for _, error in taken.failed:
        raise error
    for letter in taken.letters:
        raise WrongStatus(f"the record still can't be taken: {letter.error_class}: {letter.error}")
    return taken.written


@contextmanager
def _bugs_refused() -> Iterator[None]:
    """Whatever the record makes the code or the database raise, the operator is told of as a refusal, and nothing is written."""
    try:
        yield
    except Exception as error:
        if isinstance(error, Refusal) or kind_of(error) is not Kind.FAULT:
            raise
        logger.exception("A redrive failed")
        raise WrongStatus(f"taking the record failed: {_cause(error)}; the correlationId leads to it in the log") from error


def _cause(error: Exception) -> str:
    """What an operator may see of it: no text, as that may hold anything."""
    if isinstance(error, sa.exc.DBAPIError):
        return f"the database refused it with SQLSTATE {sql_state(error)} ({name_of(error)})"
    return "the code has a fault"


def _concerned(before: UnitOfWork, after: UnitOfWork, received: Received) -> Saga | None:
    """The saga that a reply claims; for what came unasked, the one that held the order, or else holds it now."""
    if isinstance(received, ReplyReceived):
        return after.sagas[received.saga_id]
    holders = [order.active_saga_id for batch in (before, after) for order in batch.orders.values() if order.active_saga_id]
    return after.sagas[holders[0]] if holders else None
