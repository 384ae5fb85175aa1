"""The order service as a value: one order, its sagas, what it has sent; and one transaction of the real operations on it.

The clock stands still. That time passes is a move, which puts a deadline of a row into the past.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from itertools import count
from typing import NamedTuple, TypeAlias
from uuid import UUID

import sqlalchemy as sa

from chalicelib.errors import Refusal
from chalicelib.messages.envelope import Outgoing
from chalicelib.messages.topics import ESCROW_COMMANDS, PAYMENT_COMMANDS, USER_COMMANDS
from chalicelib.orders.order import Order
from chalicelib.sagas.outcomes import IdSource
from chalicelib.sagas.state import Saga
from chalicelib.values import replace
from tests.explorer.rules import broken_by
from tests.support.examples import NOW
from tests.support.memory_tables import Tables
from tests.support.saga_language import header

PARTNERS = (USER_COMMANDS, PAYMENT_COMMANDS, ESCROW_COMMANDS)
PAST, FUTURE = NOW - timedelta(seconds=1), NOW + timedelta(hours=1)

# What a transaction does: the session, and where its ids come from.
Operation: TypeAlias = Callable[[sa.Connection, "Ids"], object]


class Ids:
    """Ids for one transaction, the same in every state that has as many sagas and commands."""

    def __init__(self, service: "Service | None") -> None:
        made = 1 + len(service.sagas) * 100 + len(service.tries) if service else 0
        self._numbers = count(made * 1000)

    def new(self) -> UUID:
        return UUID(int=next(self._numbers))

    def source(self) -> IdSource:
        return IdSource(lambda: str(self.new()), jitter=0)


class Command(NamedTuple):
    """A command that was sent: its first copy, as later ones are the same."""

    id: str
    type: str
    message: Outgoing


@dataclass(frozen=True)
class Service:
    """All that the service knows, and what it has sent to partners."""

    order: Order
    sagas: tuple[Saga, ...]
    sent: tuple[Command, ...]
    saga_keys: tuple[Hashable, ...]

    @property
    def holder(self) -> Saga | None:
        return next((saga for saga in self.sagas if saga.saga_id == self.order.active_saga_id), None)

    @cached_property
    def tries(self) -> dict[str, tuple[Saga, str, bool]]:
        """Of every command id its saga, its step, and whether it undoes that."""
        return {each.command_id: (saga, step.name, each.undo) for saga in self.sagas for step in saga.steps for each in step.tries}

    def awaits(self, command_id: str) -> bool:
        """Whether a saga rests on that command."""
        return self.holder is not None and self.holder.pending is not None and self.holder.pending.command_id == command_id

    def called(self, command_id: str) -> str:
        """A command as a story names it."""
        saga, step, undo = self.tries[command_id]
        return f"{saga.name}'s {'undo of ' if undo else ''}{step}"

    def saga_key(self, saga_id: UUID) -> Hashable:
        """What decides over the future of one saga."""
        return next(key for saga, key in zip(self.sagas, self.saga_keys, strict=True) if saga.saga_id == saga_id)

    @cached_property
    def order_key(self) -> Hashable:
        """What decides over the future of the order itself."""
        order = self.order
        return (
            (order.order_status, order.payment_status, order.runner_id, order.payment_id, order.escrow_id, order.active_saga_id),
            (order.authorization_expired, order.cancel_reason, order.accept_by and order.accept_by <= NOW),
        )

    @property
    def key(self) -> Hashable:
        """What decides over the future: two services with one key will do the same."""
        return self.order_key, self.saga_keys, tuple((command.id, command.message.value) for command in self.sent)

    def __str__(self) -> str:
        order, latest = self.order, self.sagas[-1]
        runner = f" with {order.runner_id}" if order.runner_id else ""
        at = f" at {latest.current_step}" if latest.current_step else ""
        return f"order {order.order_status}{runner}, payment {order.payment_status}; {latest.name} {latest.status}{at}"


def _key(saga: Saga) -> Iterator[Hashable]:
    yield from (saga.saga_id, saga.name, saga.status, saga.error and saga.error.code, tuple(sorted(saga.data.items())))
    yield saga.pending and (saga.pending.command_id, saga.pending.attempts)
    yield saga.due_at and saga.due_at <= NOW
    for step in saga.steps:
        yield step.status, step.attempts
        for each in step.tries:
            yield each.command_id, each.undo, each.reply and (each.reply["type"], tuple(each.reply["data"].items()))


@dataclass(frozen=True)
class Committed:
    """What a transaction left behind: `before` itself where it changed nothing. `broken` says which rule it broke."""

    service: Service | None
    refused: bool = False
    broken: str | None = None


def run(before: Service | None, operation: Operation) -> Committed:
    """Run a transaction on the tables as `before` has them (None: they are empty)."""
    tables = Tables()
    if before:
        tables.orders = {before.order.order_id: before.order}
        tables.sagas = {saga.saga_id: saga for saga in before.sagas}
    try:
        operation(tables.session, Ids(before))
    except Refusal:
        return Committed(before, refused=True)
    except Exception as error:  # noqa: BLE001 - whatever it is, the service must not meet it
        return Committed(before, broken=f"the transaction fails: {type(error).__name__}: {error}")
    after = _left_in(tables, before)
    return Committed(after, broken=next(broken_by(before, after, tables), None))


def _left_in(tables: Tables, before: Service | None) -> Service:
    [order] = tables.orders.values()
    if before is None:
        return _changed(Service(order, (), (), ()), order, tuple(tables.sagas.values()), tables.sent)
    sagas = tuple(tables.sagas.values())
    if order is before.order and not tables.sent and all(now is was for now, was in zip(sagas, before.sagas, strict=True)):
        return before
    return _changed(before, order, sagas, tables.sent)


def _changed(before: Service, order: Order, sagas: Sequence[Saga], sent: Sequence[Outgoing]) -> Service:
    """The service with another order, sagas, and what was sent besides."""
    was = {id(saga): key for saga, key in zip(before.sagas, before.saga_keys, strict=True)}
    timeless = tuple(saga if id(saga) in was else _without_time(saga) for saga in sagas)
    known = {command.id for command in before.sent}
    commands = [Command(header(each, "ce_id"), header(each, "ce_type"), each) for each in sent if each.topic in PARTNERS]
    new = tuple({command.id: command for command in commands if command.id not in known}.values())
    return Service(order, timeless, (*before.sent, *new), tuple(was.get(id(saga)) or tuple(_key(saga)) for saga in timeless))


def _without_time(saga: Saga) -> Saga:
    return replace(saga, due_at=FUTURE) if saga.due_at and saga.due_at > NOW else saga


def too_late_to_accept(service: Service) -> Service:
    """The service when the time to accept its order is over."""
    return _changed(service, replace(service.order, accept_by=PAST), service.sagas, ())


def with_due(service: Service, saga: Saga) -> Service:
    """The service when that saga's pending command has been waited for long enough."""
    sagas = tuple(replace(each, due_at=PAST) if each is saga else each for each in service.sagas)
    return _changed(service, service.order, sagas, ())
