"""The I/O around the planner: orders locked and sagas read once, outcomes planned in memory, all of it written at once.

The number of SQL statements does not depend on the number of orders. HTTP requests, replies, sweeps and operators all come through here.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import TypeAlias
from uuid import UUID

import sqlalchemy as sa

from chalicelib.db.connection import on_commit
from chalicelib.messages.envelope import MessageContext
from chalicelib.messaging import dead_letters, outbox
from chalicelib.messaging.dead_letters import DeadLetter
from chalicelib.messaging.outbox import Queued, Written
from chalicelib.orders import store as order_store
from chalicelib.orders.changes import Cause, Change, change
from chalicelib.orders.order import Order
from chalicelib.orders.partner_ids import Claim
from chalicelib.orders.timeouts import Timeouts
from chalicelib.sagas import store as saga_store
from chalicelib.sagas.definition import Definition, Moment, SagaData
from chalicelib.sagas.outcomes import Answered, IdSource, Outcome, Started
from chalicelib.sagas.planner import Plan, plan
from chalicelib.sagas.progress import Move, report
from chalicelib.sagas.registry import definition_of
from chalicelib.sagas.retry import RetryPolicy
from chalicelib.sagas.state import Saga, SagaStatus, StepState
from chalicelib.values import replace


@dataclass(frozen=True)
class FollowUp:
    """A saga to start where another one has ended, with the saga data that it starts with."""

    definition: Definition
    data: SagaData


# Says of an order that a saga has just left what must follow at once, in the same transaction.
AfterEnd: TypeAlias = Callable[[Order], FollowUp | None]


def nothing_follows(_order: Order) -> FollowUp | None:
    return None


@dataclass(frozen=True)
class Rules:
    """How sagas are run: how long replies and orders are waited for, and what follows the end of a saga."""

    policy: RetryPolicy
    timeouts: Timeouts
    after_end: AfterEnd = nothing_follows


class UnitOfWork:
    """Some orders, locked, with their sagas: what happens to them is planned in memory and written once, when the unit's block ends."""

    def __init__(self, session: sa.Connection, rules: Rules, now: datetime, orders: dict[UUID, Order], sagas: dict[UUID, Saga]) -> None:
        self._session = session
        self.moment = Moment(now, rules.policy, rules.timeouts)
        self._after_end = rules.after_end
        self._orders = orders
        self._sagas = sagas
        # What was put into the outbox, to be published when it has committed.
        self.written: list[Written] = []
        self._existing_orders = set(orders)
        self._existing_sagas = set(sagas)
        self._changes: list[Change] = []
        self._changed_sagas: dict[UUID, None] = {}
        self._queued: list[Queued] = []
        self._dead: list[DeadLetter] = []
        self._claims: list[Claim] = []
        self._moves: list[Move] = []

    @property
    def orders(self) -> Mapping[UUID, Order]:
        """The orders by id, as they are after what has happened so far."""
        return MappingProxyType(self._orders)

    @property
    def sagas(self) -> Mapping[UUID, Saga]:
        """The sagas by id, as they are after what has happened so far."""
        return MappingProxyType(self._sagas)

    def start(self, definition: Definition, order: Order, cause: Cause, ids: IdSource, data: Mapping[str, str] | None = None) -> Saga:
        """Begin a saga on `order`: a new one, or one of this unit that no other saga holds. `ids` has the saga's id."""
        begun = self._begin(definition, order, cause, ids, data or {})
        self._moves.append(Move(None, begun.saga, Started()))
        self._carry_out(begun, replace(cause, saga_id=begun.saga.saga_id), ids)
        return begun.saga

    def apply(self, saga: Saga, outcome: Outcome, cause: Cause, ids: IdSource, *, order: Order | None = None, noted: bool = False) -> None:
        """Let `outcome` happen to a saga of this unit; raises KeyError where its definition is not known.

        The saga's own context counts, whatever that of `cause` is. `order` is how the outcome finds the order, if not as it stands. With
        `noted` the order's history gets an entry, and the order a version, even if nothing else changes.
        """
        definition = definition_of(saga.name, saga.definition_version)
        if definition is None:
            raise KeyError(f"saga {saga.name} version {saga.definition_version} is not known here")
        answered = outcome.message_id if isinstance(outcome, Answered) else None
        context = MessageContext(saga.context.correlation_id, answered, saga.context.traceparent)
        planned = plan(definition, saga, order or self._orders[saga.order_id], outcome, self.moment, ids)
        self._moves.append(Move(saga, planned.saga, outcome))
        self._carry_out(planned, replace(cause, context=context, saga_id=saga.saga_id), ids, noted=noted)

    def change(self, order: Order, cause: Cause, ids: IdSource) -> None:
        """Change an order of this unit without any saga: one version, one history entry, one event."""
        self._change(order, cause, ids)

    def claim(self, claims: Iterable[Claim]) -> None:
        """Write with the changes that these partners' ids are their orders'."""
        self._claims.extend(claims)

    def keep(self, letter: DeadLetter) -> None:
        """Keep a record that can't be taken."""
        self._dead.append(letter)

    def _write(self) -> None:
        """Write everything, one statement a table."""
        for is_new, write in ((True, order_store.insert_orders), (False, order_store.update_orders)):
            changes = [each for each in self._changes if (each.order.order_id not in self._existing_orders) is is_new]
            changed = {each.order.order_id: self._orders[each.order.order_id] for each in changes}
            write(self._session, list(changed.values()), changes, [each for each in self._claims if each.order_id in changed])
        new_sagas = [self._sagas[saga_id] for saga_id in self._changed_sagas if saga_id not in self._existing_sagas]
        old_sagas = [self._sagas[saga_id] for saga_id in self._changed_sagas if saga_id in self._existing_sagas]
        # In this order: one outcome may end a saga and start another, and only one unended saga an order may stand in the table.
        saga_store.update_sagas(self._session, old_sagas)
        saga_store.insert_sagas(self._session, new_sagas)
        queued = self._queued + dead_letters.insert(self._session, self._dead, self.moment.now)
        self.written.append(outbox.insert(self._session, queued))
        if self._moves:
            on_commit(self._session, partial(report, self._moves, self.moment.now))

    def _begin(self, definition: Definition, order: Order, cause: Cause, ids: IdSource, data: Mapping[str, str]) -> Plan:
        saga = Saga(
            saga_id=ids.saga_id,
            order_id=order.order_id,
            name=definition.name,
            definition_version=definition.version,
            status=SagaStatus.RUNNING,
            steps=tuple(StepState(step.name) for step in definition.steps),
            context=cause.context,
            started_at=self.moment.now,
            data=data,
        )
        return plan(definition, saga, replace(order, active_saga_id=saga.saga_id), Started(), self.moment, ids)

    def _carry_out(self, planned: Plan, cause: Cause, ids: IdSource, *, noted: bool = False) -> None:
        """Take over a plan. Where the saga ends, what follows begins by the same outcome."""
        plans = [planned]
        follow_up = self._after_end(planned.order) if planned.saga.ended else None
        if follow_up:
            plans.append(self._begin(follow_up.definition, planned.order, cause, ids.follow_up(), follow_up.data))
            self._moves.append(Move(None, plans[-1].saga, Started()))
        order = plans[-1].order
        if noted or order != self._orders.get(order.order_id):
            self._change(order, cause, ids)
        for each in plans:
            self._sagas[each.saga.saga_id] = each.saga
            self._changed_sagas[each.saga.saga_id] = None
            self._queued.extend(Queued(order.order_id, message) for message in each.send)

    def _change(self, after: Order, cause: Cause, ids: IdSource) -> None:
        made = change(self._orders.get(after.order_id), after, cause, event_id=ids.id(0), now=self.moment.now)
        self._orders[made.order.order_id] = made.order
        self._changes.append(made)
        self._queued.append(Queued(made.order.order_id, made.event))


@contextmanager
def unit_of_work(
    session: sa.Connection,
    rules: Rules,
    written: list[Written] | None = None,
    *,
    order_ids: Iterable[UUID] = (),
    saga_ids: Iterable[UUID] = (),
) -> Iterator[UnitOfWork]:
    """Lock orders, given by id or by saga (for new orders only: none), and write what the block does to them, unless it raises.

    What that puts into the outbox is added to `written`.
    """
    work = lock(session, rules, order_ids=order_ids, saga_ids=saga_ids)
    work.written = written if written is not None else work.written
    yield work
    work._write()


def lock(session: sa.Connection, rules: Rules, *, order_ids: Iterable[UUID] = (), saga_ids: Iterable[UUID] = ()) -> UnitOfWork:
    """Lock orders to look at them; read the clock, the sagas asked for and those that hold the orders. Nothing is written."""
    wanted, named = set(saga_ids), set(order_ids)
    locking = order_store.lock_orders(session, order_ids=named, saga_ids=wanted) if wanted or named else None
    now, sagas = saga_store.read_sagas(session, order_ids=named, saga_ids=wanted)
    return UnitOfWork(session, rules, now, order_store.locked(locking) if locking else {}, sagas)
