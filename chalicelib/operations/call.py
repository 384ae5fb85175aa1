"""What requests that change an order have in common: who asks under which conditions, and the saga that serves them.

A request starts a saga, joins the one that already serves it, or finds its work done. Which of these, or why it is refused, says a function
of the order, its holder and whoever asks, beside each operation: also before anybody has asked.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias
from uuid import UUID

import sqlalchemy as sa

from chalicelib.errors import HeldBySaga, NotFound, PreconditionFailed
from chalicelib.messages.envelope import MessageContext
from chalicelib.messaging.outbox import Written
from chalicelib.operations.once import Once, unclaimed
from chalicelib.orders.access import Viewer
from chalicelib.orders.order import Order
from chalicelib.sagas.engine import Rules, UnitOfWork, unit_of_work
from chalicelib.sagas.outcomes import IdSource
from chalicelib.sagas.state import Saga
from chalicelib.sagas.store import read_latest

# The versions at which a request may change an order, as If-Match names them; None: any.
Versions: TypeAlias = frozenset[int] | None


@dataclass(frozen=True)
class Call:
    """One request as the operations take it: who asks, under which rules, with which context, ids and conditions.

    `once` claims the request's idempotency key, `versions` are those that its If-Match names. `written` is what the operation leaves to be
    published when its transaction has committed.
    """

    rules: Rules
    viewer: Viewer
    context: MessageContext
    ids: IdSource
    once: Once = unclaimed
    versions: Versions = None
    written: list[Written] = field(default_factory=list)

    def asking(self, session: sa.Connection) -> "Asking":
        """Who asks and under which conditions, with the key claimed in this transaction."""
        return Asking(self.viewer, self.versions, partial(self.once, session))


def _unclaimed() -> None:
    """For whoever only wants to know what would be answered."""


@dataclass(frozen=True)
class Asking:
    """All that is judged of a request besides the order; `claim` claims its idempotency key, when its turn has come."""

    viewer: Viewer
    versions: Versions = None
    claim: Callable[[], None] = _unclaimed


@dataclass(frozen=True)
class Served:
    """The order and the saga that serves the request, as one transaction saw them; `started` tells whether the request changed anything."""

    order: Order
    saga: Saga
    started: bool = False


@contextmanager
def order_locked(session: sa.Connection, call: Call, order_id: UUID) -> Iterator[tuple[UnitOfWork, Order]]:
    """A unit of work over one order; raises NotFound."""
    with unit_of_work(session, call.rules, call.written, order_ids=[order_id]) as work:
        if order_id not in work.orders:
            raise NotFound("there is no such order")
        yield work, work.orders[order_id]


def holder_of(work: UnitOfWork, order: Order) -> Saga | None:
    """The saga that holds the order."""
    return work.sagas[order.active_saga_id] if order.active_saga_id else None


def refuse_unless_at(order: Order, versions: Versions) -> None:
    """Raises PreconditionFailed where a locked order is at none of these versions.

    For what would change the order: after the idempotency key, before its state. A request that joins a saga or finds its work done is
    answered without (RFC 9110, section 13.1.1).
    """
    if versions is not None and order.version not in versions:
        raise PreconditionFailed("the order has changed: If-Match names none of its current version's tags")


def refuse_if_held(holder: Saga | None) -> None:
    """Raises HeldBySaga where a saga holds the order."""
    if holder:
        raise HeldBySaga(f"{holder.name} holds the order; try again when it has ended")


def in_detail(reason: str | None) -> dict[str, str]:
    """A reason as the detail of a history entry has it; nothing where none was given."""
    return {"reason": reason} if reason else {}


def served_before(session: sa.Connection, order: Order, holder: Saga | None, *names: str) -> Served:
    """For a request that starts nothing: the saga under way, or else the latest of one of these names; raises NotFound where none was."""
    saga = holder or read_latest(session, order.order_id, names)
    if saga is None:
        raise NotFound("there is no such saga")
    return Served(order, saga)


def served_by(work: UnitOfWork, saga: Saga) -> Served:
    """What a request came to that `saga` serves, which it started or changed."""
    return Served(work.orders[saga.order_id], work.sagas[saga.saga_id], started=True)
