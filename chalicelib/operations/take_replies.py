"""Take a batch of records: each is settled, dropped as stale, buried as a dead letter, or set aside to be tried again."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import sqlalchemy as sa

from chalicelib.messages.envelope import Incoming
from chalicelib.messaging.dead_letters import DeadLetter
from chalicelib.messaging.decode import Ignored, Received, ReplyReceived, Unintelligible
from chalicelib.observability import logger
from chalicelib.sagas.engine import Batch, Rules, lock
from chalicelib.sagas.outcomes import Answered, Fresh
from chalicelib.sagas.planner import Verdict, judge
from chalicelib.sagas.registry import definition_of


@dataclass(frozen=True)
class Delivery:
    """A record with what was read from it, the ids it may need, and how often it failed for reasons unknown before."""

    received: Received
    fresh: Fresh
    dead_letter_id: UUID

    @property
    def record(self) -> Incoming:
        return self.received.record


@dataclass
class Taken:
    """What became of a batch: messages wait under `keys`; the deliveries in `aside` failed, each with its error."""

    keys: set[UUID] = field(default_factory=set)
    aside: list[tuple[Delivery, Exception]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


def take_replies(session: sa.Connection, rules: Rules, deliveries: Sequence[Delivery]) -> Taken:
    """Take the deliveries in offset order; one that raises is set aside with the later ones of its order, and the rest goes on."""
    taken = Taken()
    batch = lock(session, rules, saga_ids={each.received.saga_id for each in deliveries if isinstance(each.received, ReplyReceived)})
    stopped: set[UUID] = set()
    for delivery in deliveries:
        order_id = _order_of(batch, delivery.received)
        if order_id in stopped:
            taken.aside.append((delivery, RuntimeError("an earlier record of this order failed")))
            continue
        try:
            _take(batch, delivery, taken.counts)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one record must not take its neighbours along
            logger.exception("A record failed", extra=_place(delivery.record))
            taken.aside.append((delivery, error))
            if order_id:
                stopped.add(order_id)
    taken.keys = batch.write()
    return taken


def bury(session: sa.Connection, rules: Rules, delivery: Delivery, error: Exception, deliveries: int) -> set[UUID]:
    """Give up on a record that failed `deliveries` times for a reason that is no fault of the database."""
    received = delivery.received
    batch = lock(session, rules)
    batch.bury(
        DeadLetter(
            dead_letter_id=delivery.dead_letter_id,
            record=delivery.record,
            error_class=type(error).__name__,
            error=str(error),
            deliveries=deliveries,
            type=received.reply.TYPE if isinstance(received, ReplyReceived) else None,
            saga_id=received.saga_id if isinstance(received, ReplyReceived) else None,
        )
    )
    return batch.write()


def _take(batch: Batch, delivery: Delivery, counts: Counter[str]) -> None:
    match delivery.received:
        case Ignored():
            counts["RecordsIgnored"] += 1
        case Unintelligible(_, error, type, saga_id):
            _bury(batch, delivery, "Unintelligible", error, type=type, saga_id=saga_id)
            counts["DeadLetters"] += 1
        case ReplyReceived() as received:
            _take_reply(batch, delivery, received, counts)


def _take_reply(batch: Batch, delivery: Delivery, received: ReplyReceived, counts: Counter[str]) -> None:
    saga = batch.sagas.get(received.saga_id)
    definition = definition_of(saga.name, saga.definition_version) if saga else None
    if saga is None or definition is None:
        what = "UnknownSaga" if saga is None else "UnknownDefinition"
        text = "no such saga" if saga is None else f"{saga.name} version {saga.definition_version} is not known here"
        _bury(batch, delivery, what, text, type=received.reply.TYPE, saga_id=received.saga_id)
        counts["DeadLetters"] += 1
        return
    if received.record.key is not None and received.record.key != str(saga.order_id).encode():
        _bury(batch, delivery, "WrongKey", "the record's key is not the saga's order", type=received.reply.TYPE, saga_id=saga.saga_id)
        counts["DeadLetters"] += 1
        return
    verdict = judge(definition, saga, received.reply, received.causation_id)
    counts[f"Replies{verdict.name.title()}"] += 1
    if verdict is Verdict.TAKEN:
        batch.apply(saga, Answered(received.reply, received.message_id), _actor(received), delivery.fresh, _detail(received))
    elif verdict is not Verdict.STALE:
        _bury(batch, delivery, verdict.name.title(), verdict.value, type=received.reply.TYPE, saga_id=saga.saga_id)
        counts["DeadLetters"] += 1


def _bury(batch: Batch, delivery: Delivery, error_class: str, error: str, *, type: str | None, saga_id: UUID | None) -> None:
    saga = batch.sagas.get(saga_id) if saga_id else None
    order_id = saga.order_id if saga else None
    batch.bury(DeadLetter(delivery.dead_letter_id, delivery.record, error_class, error, 1, type, order_id, saga_id))
    logger.warning("A record became a dead letter", extra={**_place(delivery.record), "error": error})


def _order_of(batch: Batch, received: Received) -> UUID | None:
    saga = batch.sagas.get(received.saga_id) if isinstance(received, ReplyReceived) else None
    return saga.order_id if saga else None


def _actor(received: ReplyReceived) -> str:
    return f"partner:{received.reply.TYPE.split('.', maxsplit=1)[0]}"


def _detail(received: ReplyReceived) -> dict[str, str]:
    reason = getattr(received.reply, "reason", None)
    return {"reply": received.reply.TYPE, **({"reason": reason} if reason else {})}


def _place(record: Incoming) -> Mapping[str, str | int]:
    return {"topic": record.topic, "partition": record.partition, "offset": record.offset}
