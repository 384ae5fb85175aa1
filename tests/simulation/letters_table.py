"""Dead letters and counted failures over the tables in memory, and what a redrive reads."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

from chalicelib.messages.envelope import Incoming
from chalicelib.messages.wire import in_base64
from chalicelib.messaging.dead_letter_queries import KeptDeadLetter
from chalicelib.messaging.dead_letters import DeadLetter, content_hash, copy_of
from chalicelib.messaging.outbox import Queued
from chalicelib.operations import rehearsal
from tests.simulation.tables import GONE, Session

Place = tuple[str, int, int, bytes]


def _place(record: Incoming) -> Place:
    return record.topic, record.partition, record.offset, content_hash(record)


def keep(session: Session, letters: Sequence[DeadLetter], now: datetime) -> list[Queued]:
    if not letters:
        return []
    session.statement("keeps dead letters")
    new = []
    for letter in letters:
        session.lock("places", _place(letter.record))
        if session.get("places", _place(letter.record)) is None:
            session.put("places", _place(letter.record), letter.dead_letter_id)
            record = letter.record
            kept = KeptDeadLetter(
                letter.dead_letter_id, record.topic, record.partition, record.offset, letter.type, letter.order_id, letter.saga_id,
                letter.error_class, letter.error, letter.deliveries, now, None,
            )  # fmt: skip
            session.put("letters", letter.dead_letter_id, (kept, record))
            new.append(Queued(letter.dead_letter_id, copy_of(letter), str(letter.dead_letter_id)))
    return new


def read_dead_letter(session: Session, dead_letter_id: UUID) -> tuple[KeptDeadLetter, Incoming] | None:
    session.statement("reads a dead letter")
    return cast("tuple[KeptDeadLetter, Incoming] | None", session.get("letters", dead_letter_id))


def read_letter(session: Session, dead_letter_id: UUID) -> KeptDeadLetter | None:
    found = read_dead_letter(session, dead_letter_id)
    return found[0] if found else None


def claim_letter(session: Session, dead_letter_id: UUID, now: datetime) -> bool:
    session.statement("claims a dead letter")
    session.lock("letters", dead_letter_id)
    kept, record = session.get("letters", dead_letter_id)
    if kept.redriven_at is not None:
        return False
    session.put("letters", dead_letter_id, (replace(kept, redriven_at=now), record))
    return True


def execute(session: Session, statement: Any, parameters: Any) -> Any:
    """The two statements by which a redrive sees what it puts into the outbox."""
    latest = parameters.get("latest", 0)
    rows = [each for id, each in sorted(session.items("outbox")) if id > latest and each.row.ordering_key in parameters["order_ids"]]
    if statement is rehearsal.LATEST_MESSAGE:
        session.statement("reads the latest message's number")
        return SimpleNamespace(scalar_one=lambda: max((each.row.id for each in rows), default=0))
    assert statement is rehearsal.NEW_MESSAGES
    session.statement("reads what was sent")
    messages = [(each.message_id, each.row.message) for each in rows]
    headers = [[(name, in_base64(value)) for name, value in message.headers] for _, message in messages]
    return [
        SimpleNamespace(message_id=id, topic=message.topic, headers=each) for (id, message), each in zip(messages, headers, strict=True)
    ]


def add_failure(session: Session, record: Incoming) -> int:
    session.statement("counts a failure")
    session.lock("failures", _place(record))
    failed, unfinished = session.get("failures", _place(record)) or (0, 0)
    session.put("failures", _place(record), (failed + 1, unfinished))
    return failed + 1


def take_failure_back(session: Session, record: Incoming) -> None:
    session.statement("counts a failure less")
    session.lock("failures", _place(record))
    failed, unfinished = session.get("failures", _place(record)) or (0, 0)
    session.put("failures", _place(record), (failed - 1, unfinished) if failed > 1 or unfinished else GONE)


def begin(session: Session, heads: Sequence[Incoming]) -> int:
    session.statement("notes that a batch is begun")
    before = []
    for head in sorted(heads, key=_place):
        session.lock("failures", _place(head))
        failed, unfinished = session.get("failures", _place(head)) or (0, 0)
        session.put("failures", _place(head), (failed, unfinished + 1))
        before.append(unfinished)
    return max(before)


def finish(session: Session, heads: Sequence[Incoming]) -> None:
    session.statement("notes that a batch is finished")
    for head in sorted(heads, key=_place):
        session.lock("failures", _place(head))
        failed, _ = session.get("failures", _place(head)) or (0, 0)
        session.put("failures", _place(head), (failed, 0) if failed else GONE)
