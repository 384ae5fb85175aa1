"""Take a batch of records: each is settled, dropped as stale, kept as a dead letter, or fails and may be tried again."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypedDict
from uuid import UUID

import sqlalchemy as sa

from chalicelib.db.states import name_of
from chalicelib.messages.envelope import Incoming, log_fields
from chalicelib.messages.trace import begin_trace
from chalicelib.messages.wire import id_of
from chalicelib.messaging.dead_letters import DeadLetter
from chalicelib.messaging.decode import ExpiryReceived, Ignored, Received, ReplyReceived, Unintelligible
from chalicelib.messaging.outbox import Written
from chalicelib.observability import about, logger
from chalicelib.operations.expire import expire_authorization
from chalicelib.operations.purge import Purged
from chalicelib.orders import expiry, partner_ids
from chalicelib.orders.access import partner
from chalicelib.orders.changes import Cause
from chalicelib.orders.partner_ids import Owners, ids_in
from chalicelib.sagas.engine import Rules, UnitOfWork, unit_of_work
from chalicelib.sagas.outcomes import Answered, IdSource
from chalicelib.sagas.registry import definition_of
from chalicelib.sagas.verdict import Verdict, judge


@dataclass(frozen=True)
class Delivery:
    """A record with what was read from it, and the ids it may need; `note` goes into the history of what it changes."""

    received: Received
    ids: IdSource
    dead_letter_id: UUID
    note: Mapping[str, str] = field(default_factory=dict)

    @property
    def record(self) -> Incoming:
        return self.received.record


@dataclass(frozen=True)
class Flaw:
    """Why a record becomes a dead letter."""

    error_class: str
    text: str


@dataclass
class Taken:
    """What became of a batch: `written` is to be published; those in `failed` failed, each with its error.

    `behind` are the later deliveries of their orders, which were not tried; `letters` are those that can't be taken.
    """

    written: list[Written] = field(default_factory=list)
    failed: list[tuple[Delivery, Exception]] = field(default_factory=list)
    behind: list[Delivery] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


class Concerned(TypedDict):
    """The orders to lock for some records, as the engine takes them."""

    order_ids: set[UUID]
    saga_ids: set[UUID]


def concerned(received: Sequence[Received]) -> Concerned:
    """The orders that these records concern, by id or by saga."""
    return {
        "order_ids": {each.order_id for each in received if isinstance(each, ExpiryReceived)},
        "saga_ids": {each.saga_id for each in received if isinstance(each, ReplyReceived)},
    }


def take_replies(session: sa.Connection, rules: Rules, deliveries: Sequence[Delivery]) -> Taken:
    """Take the deliveries in offset order; one that raises fails with the later ones of its order, and the rest goes on."""
    taken = Taken()
    stopped: set[UUID] = set()
    owners = Owners(session, (id for each in deliveries if isinstance(each.received, ReplyReceived) for id in ids_in(each.received.reply)))
    purged = Purged(session)
    with unit_of_work(session, rules, **concerned([delivery.received for delivery in deliveries])) as work:
        for delivery in deliveries:
            order_id = _order_of(work, delivery.received)
            if order_id in stopped:
                taken.behind.append(delivery)
                continue
            try:
                if _is_purged(work, delivery.received, purged):
                    taken.counts["RepliesStale"] += 1
                else:
                    _take(work, delivery, owners, taken)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one record must not take its neighbours along
                with about(_told_of(work, delivery.received)):
                    logger.exception("A record failed", extra=_place(delivery.record))
                taken.failed.append((delivery, error))
                if order_id:
                    stopped.add(order_id)
    taken.written = work.written
    return taken


def dead_letter(session: sa.Connection, rules: Rules, delivery: Delivery, error: Exception, deliveries: int) -> Taken:
    """Give up on a record that failed `deliveries` times for a reason that is no fault of the database."""
    taken = Taken()
    with unit_of_work(session, rules) as work:
        _keep(work, delivery, Flaw(name_of(error), str(error)), deliveries, taken)
    taken.written = work.written
    return taken


def _is_purged(work: UnitOfWork, received: Received, purged: Purged) -> bool:
    """Whether it comes too late: its order was there once."""
    match received:
        case ReplyReceived():
            return received.saga_id not in work.sagas and purged.saga(received.saga_id)
        case ExpiryReceived():
            return received.order_id not in work.orders and purged.order(received.order_id)
    return False


def _take(work: UnitOfWork, delivery: Delivery, owners: Owners, taken: Taken) -> None:
    counts = taken.counts
    flaw: Flaw | None = None
    match delivery.received:
        case Ignored():
            counts["RecordsIgnored"] += 1
        case Unintelligible(_, error):
            flaw = Flaw("Unintelligible", error)
        case ExpiryReceived() as received:
            flaw = _take_expiry(work, delivery, received, counts)
        case ReplyReceived() as received:
            flaw = _take_reply(work, delivery, received, owners, counts)
    if flaw:
        _keep(work, delivery, flaw, 1, taken)


def _keep(work: UnitOfWork, delivery: Delivery, flaw: Flaw, deliveries: int, taken: Taken) -> None:
    letter = _dead_letter(work, delivery, flaw, deliveries)
    work.keep(letter)
    taken.letters.append(letter)
    taken.counts["DeadLetters"] += 1


def _take_reply(work: UnitOfWork, delivery: Delivery, received: ReplyReceived, owners: Owners, counts: Counter[str]) -> Flaw | None:
    saga = work.sagas.get(received.saga_id)
    if saga is None:
        return Flaw("UnknownSaga", "no such saga")
    definition = definition_of(saga.name, saga.definition_version)
    if definition is None:
        return Flaw("UnknownDefinition", f"{saga.name} version {saga.definition_version} is not known here")
    if received.record.key is not None and _order_of_key(received.record) != saga.order_id:
        return Flaw("WrongKey", "the record's key is not the saga's order")
    order = work.orders[saga.order_id]
    verdict, why = judge(definition, saga, order, received.reply, received.causation_id), ""
    claims = list(partner_ids.claims(order, received.reply))
    foreign = [each for each in claims if owners.foreign(each)]
    if verdict is Verdict.TAKEN and foreign:
        verdict, why = Verdict.MISFIT, f": its {foreign[0].kind}Id is that of another order"
    name = verdict.name.title().replace("_", "")
    counts[f"Replies{name}"] += 1
    if verdict is Verdict.TAKEN:
        cause = Cause(partner(received.reply.TYPE), saga.context, detail=_detail(delivery, received))
        work.claim(new for each in claims for new in owners.take(each))
        work.apply(saga, Answered(received.reply, received.message_id), cause, delivery.ids)
    return None if verdict in (Verdict.TAKEN, Verdict.STALE) else Flaw(name, verdict.value + why)


def _take_expiry(work: UnitOfWork, delivery: Delivery, received: ExpiryReceived, counts: Counter[str]) -> Flaw | None:
    order = work.orders.get(received.order_id)
    if order is None:
        return Flaw("UnknownOrder", "no such order")
    if received.record.key is not None and _order_of_key(received.record) != order.order_id:
        return Flaw("WrongKey", "the record's key is not the order")
    if not expiry.concerns(order, received.expiry.payment_id):
        counts["RepliesStale"] += 1
        return None
    traced = received.context.traceparent or begin_trace(delivery.ids.saga_id)
    context = replace(received.context, traceparent=traced)
    too_late = expire_authorization(work, order.order_id, context, delivery.ids, delivery.note)
    return Flaw("AuthorizationExpired", f"the authorization expired when the order was {order.order_status}") if too_late else None


def _dead_letter(work: UnitOfWork, delivery: Delivery, flaw: Flaw, deliveries: int) -> DeadLetter:
    received = delivery.received
    return DeadLetter(
        dead_letter_id=delivery.dead_letter_id,
        record=delivery.record,
        error_class=flaw.error_class,
        error=flaw.text,
        deliveries=deliveries,
        type=_type_of(received),
        order_id=_order_of(work, received) or _order_of_key(delivery.record),
        saga_id=received.saga_id if isinstance(received, (ReplyReceived, Unintelligible)) else None,
        fields=_told_of(work, received),
    )


def _type_of(received: Received) -> str | None:
    match received:
        case ReplyReceived():
            return received.reply.TYPE
        case ExpiryReceived():
            return received.expiry.TYPE
        case Unintelligible():
            return received.type
    return None


def _order_of(work: UnitOfWork, received: Received) -> UUID | None:
    if isinstance(received, ExpiryReceived):
        return received.order_id
    saga = work.sagas.get(received.saga_id) if isinstance(received, ReplyReceived) else None
    return saga.order_id if saga else None


def _order_of_key(record: Incoming) -> UUID | None:
    """The order that the key names."""
    try:
        return id_of((record.key or b"").decode())
    except ValueError:
        return None


def _told_of(work: UnitOfWork, received: Received) -> Mapping[str, str]:
    """What log lines about a record say: its ids, and the saga's own order, correlation and trace, as a reply need not have them."""
    fields = log_fields(received.record.headers)
    if isinstance(received, ExpiryReceived):
        return fields | {"order_id": str(received.order_id)} | received.context.fields
    saga = work.sagas.get(received.saga_id) if isinstance(received, (ReplyReceived, Unintelligible)) and received.saga_id else None
    return fields | ({"order_id": str(saga.order_id), "saga_id": str(saga.saga_id)} | saga.context.fields if saga else {})


def _detail(delivery: Delivery, received: ReplyReceived) -> dict[str, str]:
    reason = getattr(received.reply, "reason", None)
    return {"reply": received.reply.TYPE, **({"reason": reason} if reason else {}), **delivery.note}


def _place(record: Incoming) -> Mapping[str, str | int]:
    return {"topic": record.topic, "partition": record.partition, "offset": record.offset}
