"""The I/O around the planner: orders locked and sagas read once, outcomes planned in memory, all of it written at once.

The number of SQL statements does not depend on the number of orders. HTTP requests, replies, sweeps and operators all come through here.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa

from chalicelib.messages.envelope import Trail
from chalicelib.messaging import dead_letters, outbox
from chalicelib.messaging.dead_letters import DeadLetter
from chalicelib.messaging.outbox import Queued
from chalicelib.orders import store as order_store
from chalicelib.orders.changes import Cause, Change, change
from chalicelib.orders.order import Order
from chalicelib.sagas import store as saga_store
from chalicelib.sagas.definition import Definition, Moment
from chalicelib.sagas.outcomes import Answered, Fresh, Outcome, Started
from chalicelib.sagas.planner import plan
from chalicelib.sagas.registry import definition_of
from chalicelib.sagas.retry import RetryPolicy
from chalicelib.sagas.state import Saga, SagaStatus, StepState


@dataclass(frozen=True)
class Rules:
    """How long the service waits: for replies, for a runner."""

    policy: RetryPolicy
    accept_timeout: timedelta


class Batch:
    """Some orders, locked, with their sagas: apply outcomes, then write once. Lives as long as its transaction."""

    def __init__(self, session: sa.Connection, rules: Rules, now: datetime, orders: dict[UUID, Order], sagas: dict[UUID, Saga]) -> None:
        self._session = session
        self.moment = Moment(now, rules.accept_timeout, rules.policy)
        self.orders = orders
        self.sagas = sagas
        self._existing_orders = set(orders)
        self._existing_sagas = set(sagas)
        self._changes: list[Change] = []
        self._changed_sagas: dict[UUID, None] = {}
        self._queued: list[Queued] = []
        self._dead: list[DeadLetter] = []

    def start(self, definition: Definition, order: Order, saga_id: UUID, cause: Cause, fresh: Fresh) -> None:
        """Begin a saga on `order`: a new one, or one of this batch that no other saga holds."""
        held = replace(order, active_saga_id=saga_id)
        self.sagas[saga_id] = Saga(
            saga_id=saga_id,
            order_id=order.order_id,
            name=definition.name,
            definition_version=definition.version,
            status=SagaStatus.RUNNING,
            steps=tuple(StepState(step.name) for step in definition.steps),
            trail=cause.trail,
            started_at=self.moment.now,
        )
        self._carry_out(definition, self.sagas[saga_id], held, Started(), cause, fresh)

    def apply(self, saga: Saga, outcome: Outcome, actor: str, fresh: Fresh, detail: dict[str, str] | None = None) -> None:
        """Let `outcome` happen to a saga of this batch; raises KeyError where its definition is not known."""
        definition = definition_of(saga.name, saga.definition_version)
        if definition is None:
            raise KeyError(f"saga {saga.name} version {saga.definition_version} is not known here")
        answered = outcome.message_id if isinstance(outcome, Answered) else None
        cause = Cause(actor, Trail(saga.trail.correlation_id, answered, saga.trail.traceparent), saga.saga_id, detail)
        self._carry_out(definition, saga, self.orders[saga.order_id], outcome, cause, fresh)

    def bury(self, letter: DeadLetter) -> None:
        """Keep a record that can't be taken."""
        self._dead.append(letter)

    def write(self) -> set[UUID]:
        """Write everything, one statement a table; return the keys under which messages now wait in the outbox."""
        new_orders = [order for order_id, order in self.orders.items() if order_id not in self._existing_orders]
        changed = {each.order.order_id: self.orders[each.order.order_id] for each in self._changes}
        order_store.insert_orders(self._session, new_orders)
        order_store.update_orders(self._session, [order for order_id, order in changed.items() if order_id in self._existing_orders])
        new_sagas = [self.sagas[saga_id] for saga_id in self._changed_sagas if saga_id not in self._existing_sagas]
        old_sagas = [self.sagas[saga_id] for saga_id in self._changed_sagas if saga_id in self._existing_sagas]
        saga_store.insert_sagas(self._session, new_sagas)
        saga_store.update_sagas(self._session, old_sagas)
        order_store.insert_history(self._session, self._changes)
        queued = self._queued + dead_letters.insert(self._session, self._dead, self.moment.now)
        outbox.insert(self._session, queued)
        return {each.ordering_key for each in queued}

    def _carry_out(self, definition: Definition, saga: Saga, order: Order, outcome: Outcome, cause: Cause, fresh: Fresh) -> None:
        planned = plan(definition, saga, order, outcome, self.moment, fresh)
        before = self.orders.get(order.order_id)
        if planned.order != before:
            self._change(before, planned.order, cause, fresh)
        self.sagas[saga.saga_id] = planned.saga
        self._changed_sagas[saga.saga_id] = None
        self._queued.extend(Queued(order.order_id, message) for message in planned.send)

    def _change(self, before: Order | None, after: Order, cause: Cause, fresh: Fresh) -> None:
        made = change(before, after, cause, event_id=fresh.id(0), now=self.moment.now)
        self.orders[made.order.order_id] = made.order
        self._changes.append(made)
        self._queued.append(Queued(made.order.order_id, made.event))


def lock(session: sa.Connection, rules: Rules, *, order_ids: Iterable[UUID] = (), saga_ids: Iterable[UUID] = ()) -> Batch:
    """Lock orders (given by id or by saga), read the clock, the sagas asked for and those that hold the orders."""
    wanted = set(saga_ids)
    orders = order_store.lock_orders(session, order_ids=order_ids, saga_ids=wanted)
    holding = {order.active_saga_id for order in orders.values() if order.active_saga_id}
    now, sagas = saga_store.read_sagas(session, wanted | holding)
    return Batch(session, rules, now, orders, sagas)


def fresh_batch(session: sa.Connection, rules: Rules) -> Batch:
    """A batch for new orders only: nothing to lock, but the clock is read."""
    now, sagas = saga_store.read_sagas(session, ())
    return Batch(session, rules, now, {}, sagas)
