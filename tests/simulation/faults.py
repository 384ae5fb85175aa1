"""Faults planted on purpose, one at a time: some seed must find each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from chalicelib.entrypoints import kafka
from chalicelib.messages.envelope import Incoming
from chalicelib.messages.topics import Trigger
from chalicelib.messaging import outbox, publisher
from chalicelib.messaging.outbox import Queued, Row, Written
from chalicelib.messaging.publisher import Publisher
from chalicelib.orders import store as order_store
from chalicelib.orders.order import Order
from chalicelib.sagas.planner import _Planning
from tests.explorer.faults import Planted, send_anew, undo_what_is_surely_done
from tests.simulation import outbox_table
from tests.simulation.scheduler import Trouble
from tests.simulation.tables import Session
from tests.simulation.world import World


@dataclass(frozen=True)
class Fault:
    """What is wrong, where it is planted, and what trouble brings it out soon."""

    what: str
    planted: Iterable[Planted]
    trouble: Trouble = field(default_factory=Trouble)


_insert, _send, _deliver = outbox_table.insert, Publisher._send, World._deliver


def _published_before_the_commit(session: Session, queued: Sequence[Queued]) -> Written:
    vars(kafka)["runtime"]().producer.send([each.message for each in queued], 7.0)
    return _insert(session, queued)


def _deleted_unacknowledged(self: Publisher, rows: Sequence[Row]) -> tuple[list[int], list[int]]:
    _send(self, rows)
    return [row.id for row in rows], []


def _committed_before_it_is_taken(self: World, trigger: Trigger, batch: Sequence[Incoming]) -> None:
    for record in batch:
        self.broker.commit(trigger.consumer_group, trigger.topic, record.partition, record.offset + 1)
    _deliver(self, trigger, batch)


def _read_without_a_lock(session: Session, *, order_ids: Iterable[UUID] = (), saga_ids: Iterable[UUID] = ()) -> dict[UUID, Order]:
    session.statement("reads its orders")
    known = dict(session.items("sagas"))
    wanted = {*order_ids, *(known[saga_id].order_id for saga_id in saga_ids if saga_id in known)}
    return {order_id: order for order_id, order in session.items("orders") if order_id in wanted}


def _all_at_once(inserted: outbox_table.Inserted) -> tuple[list[Row], list[Row]]:
    return inserted.ready + inserted.behind, []


def _in_one_wave(rows: Sequence[Row]) -> Any:
    return iter([list(rows)])


FAULTS = (
    Fault("messages are published before their transaction commits", [(outbox, "insert", _published_before_the_commit)]),
    Fault("rows that were not acknowledged are deleted", [(Publisher, "_send", _deleted_unacknowledged)]),
    Fault(
        "the next row goes out before the one ahead of it was acknowledged",
        [(publisher, "_waves", _in_one_wave)],
        Trouble(lost_records=0.2),
    ),
    Fault("a writer sends its rows though others of their order still wait", [(outbox_table.Inserted, "rows", _all_at_once)]),
    Fault(
        "offsets are committed before the records are taken",
        [(World, "_deliver", _committed_before_it_is_taken)],
        Trouble(kills=0.02, expiries=0.5),
    ),
    Fault("an order's row is read and not locked", [(order_store, "lock_orders", _read_without_a_lock)]),
    Fault("a step that timed out counts as not done", [(_Planning, "_undo_next", undo_what_is_surely_done)]),
    Fault("a resend has a new id", [(_Planning, "_resend", send_anew)]),
)
