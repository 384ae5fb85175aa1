"""The tables of the service as dictionaries, for tests that need the real operations thousands of times and no database.

    with in_memory() as tables:
        accept_order(tables.session, rules, order_id, "run_1", …)

Only what the stores' functions promise is imitated: what a transaction finds and leaves behind. Locks and isolation are none of it.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast
from unittest.mock import patch
from uuid import UUID

import sqlalchemy as sa

from chalicelib.messages.envelope import Outgoing
from chalicelib.messaging import dead_letters, outbox
from chalicelib.messaging.dead_letters import DeadLetter
from chalicelib.messaging.outbox import Queued, Written
from chalicelib.operations import call, give_back, take_replies
from chalicelib.orders import store as order_store
from chalicelib.orders.changes import Change
from chalicelib.orders.order import Order
from chalicelib.orders.partner_ids import Claim, Owners
from chalicelib.sagas import store as saga_store
from chalicelib.sagas.state import Saga
from tests.support.examples import NOW


@dataclass
class Tables:
    """All rows. `now` is the database's clock; `sent` is the outbox, from which nothing is ever deleted."""

    now: datetime = NOW
    orders: dict[UUID, Order] = field(default_factory=dict)
    sagas: dict[UUID, Saga] = field(default_factory=dict)
    history: dict[tuple[str, int], Any] = field(default_factory=dict)
    sent: list[Outgoing] = field(default_factory=list)
    dead_letters_kept: list[DeadLetter] = field(default_factory=list)
    partner_ids: dict[tuple[str, str], UUID] = field(default_factory=dict)
    # A connection's own: with nothing in it, nothing is called after the commit.
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def session(self) -> sa.Connection:
        """What the operations are given as their session."""
        return cast(sa.Connection, self)

    def lock_orders(self, *, order_ids: Iterable[UUID] = (), saga_ids: Iterable[UUID] = ()) -> dict[UUID, Order]:
        wanted = {*order_ids, *(self.sagas[saga_id].order_id for saga_id in saga_ids if saga_id in self.sagas)}
        return {order_id: self.orders[order_id] for order_id in sorted(wanted & set(self.orders))}

    def read_sagas(self, *, order_ids: Iterable[UUID] = (), saga_ids: Iterable[UUID] = ()) -> tuple[datetime, dict[UUID, Saga]]:
        locked = self.lock_orders(order_ids=order_ids, saga_ids=saga_ids).values()
        wanted = {*saga_ids, *(order.active_saga_id for order in locked)}
        return self.now, {saga_id: saga for saga_id, saga in self.sagas.items() if saga_id in wanted}

    def read_latest(self, order_id: UUID, names: Sequence[str] = ()) -> Saga | None:
        found = [saga for saga in self.sagas.values() if saga.order_id == order_id and (not names or saga.name in names)]
        return max(found, key=lambda saga: saga.saga_id, default=None)

    def insert_orders(self, orders: Sequence[Order], changes: Sequence[Change], claims: Sequence[Claim] = ()) -> None:
        assert not {order.order_id for order in orders} & set(self.orders)
        self.update_orders(orders, changes, claims)

    def update_orders(self, orders: Sequence[Order], changes: Sequence[Change], claims: Sequence[Claim] = ()) -> None:
        self.orders.update({order.order_id: order for order in orders})
        for change in changes:
            key = change.history["order_id"], change.history["version"]
            assert key not in self.history
            self.history[key] = change.history
        for claim in claims:
            assert (claim.kind, claim.id) not in self.partner_ids
            self.partner_ids[claim.kind, claim.id] = claim.order_id

    def insert_sagas(self, sagas: Sequence[Saga]) -> None:
        """As the table's unique index: one saga that has not ended for each order."""
        assert not {saga.saga_id for saga in sagas} & set(self.sagas)
        self.update_sagas(sagas)
        unended = [saga.order_id for saga in self.sagas.values() if not saga.ended]
        assert len(unended) == len(set(unended)), "the index allows one saga that has not ended for each order"

    def update_sagas(self, sagas: Sequence[Saga]) -> None:
        self.sagas.update({saga.saga_id: saga for saga in sagas})

    def owners(self, wanted: Iterable[tuple[str, str]]) -> Owners:
        owners = Owners(self.session, ())
        owners.__dict__["_known"] = {id: self.partner_ids[id] for id in wanted if id in self.partner_ids}
        return owners

    def queue(self, queued: Sequence[Queued]) -> Written:
        self.sent += [each.message for each in queued]
        return Written()

    def keep(self, letters: Sequence[DeadLetter], _now: datetime) -> list[Queued]:
        self.dead_letters_kept += letters
        return []


# Who is asked for what, wherever its callers have it from, and who answers instead.
PATCHES: tuple[tuple[Any, str, Any], ...] = (
    (order_store, "lock_orders", Tables.lock_orders),
    (order_store, "locked", lambda answer: answer),
    (order_store, "insert_orders", Tables.insert_orders),
    (order_store, "update_orders", Tables.update_orders),
    (saga_store, "read_sagas", Tables.read_sagas),
    (saga_store, "insert_sagas", Tables.insert_sagas),
    (saga_store, "update_sagas", Tables.update_sagas),
    (call, "read_latest", Tables.read_latest),
    (give_back, "read_latest", Tables.read_latest),
    (take_replies, "Owners", Tables.owners),
    (outbox, "insert", Tables.queue),
    (dead_letters, "insert", Tables.keep),
)


@contextmanager
def in_memory() -> Iterator[Tables]:
    """Empty tables, which the stores' functions use until the block ends."""
    with ExitStack() as stack:
        for module, name, function in PATCHES:
            stack.enter_context(patch.object(module, name, function))
        yield Tables()
