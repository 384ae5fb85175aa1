"""What an operation changes of orders and sagas, and which messages it writes; or what it would, and is taken back."""

import base64
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar
from uuid import UUID

import sqlalchemy as sa

from chalicelib.fields import Field, Table, among, each
from chalicelib.operations.differences import DIFFERENCE, Difference, differences
from chalicelib.orders.order import ORDER
from chalicelib.sagas.engine import Rules, UnitOfWork, lock
from chalicelib.sagas.state import SAGA

T = TypeVar("T")
WouldBe: TypeAlias = Literal["rehearsed"]

LATEST_MESSAGE = sa.text("SELECT coalesce(max(id), 0) FROM campusg.outbox WHERE ordering_key = ANY(CAST(:order_ids AS uuid[]))")
NEW_MESSAGES = sa.text("""
    SELECT message_id, topic, headers FROM campusg.outbox
    WHERE ordering_key = ANY(CAST(:order_ids AS uuid[])) AND id > :latest ORDER BY id""")


@dataclass(frozen=True)
class Rehearsed:
    """All that an operation would change, by which nothing has changed."""

    changes: tuple[Difference, ...]
    outcome: WouldBe = "rehearsed"


OUTCOME = Field("outcome", "outcome", among("rehearsed"))
REHEARSED = Table("Rehearsed", "What would change; nothing has.", (OUTCOME, Field("changes", "changes", each(DIFFERENCE, minItems=1))))


class Watched:
    """Orders, locked, and their sagas as they were when this was made."""

    def __init__(self, session: sa.Connection, rules: Rules, *, order_ids: Iterable[UUID] = (), saga_ids: Iterable[UUID] = ()) -> None:
        self._session, self._rules = session, rules
        self.before = lock(session, rules, order_ids=order_ids, saga_ids=saga_ids)
        self._latest = session.execute(LATEST_MESSAGE, {"order_ids": list(self.before.orders)}).scalar_one()

    def look_again(self) -> tuple[UnitOfWork, tuple[Difference, ...]]:
        """The orders and their sagas as they are now, and all that has changed."""
        after = lock(self._session, self._rules, order_ids=self.before.orders, saga_ids=self.before.sagas)
        return after, (*self._changed(after), *self._sent())

    def _changed(self, after: UnitOfWork) -> Iterator[Difference]:
        for order_id, order in after.orders.items():
            yield from differences("order", str(order_id), ORDER.document(self.before.orders[order_id]), ORDER.document(order))
        for saga_id, saga in after.sagas.items():
            known = self.before.sagas.get(saga_id)
            yield from differences("saga", str(saga_id), SAGA.document(known) if known else None, SAGA.document(saga))

    def _sent(self) -> Iterator[Difference]:
        """The messages that wait behind the latest one of before."""
        parameters = {"order_ids": list(self.before.orders), "latest": self._latest}
        for row in self._session.execute(NEW_MESSAGES, parameters):
            headers = {name: base64.b64decode(value).decode() for name, value in row.headers}
            yield from differences("message", row.message_id, None, {"type": headers["ce_type"], "topic": row.topic})


def rehearse(
    session: sa.Connection, rules: Rules, operation: Callable[[], object], *, order_ids: Iterable[UUID] = (), saga_ids: Iterable[UUID] = ()
) -> Rehearsed:
    """Do an operation on these orders, or those of these sagas, say what it changes, and take it back; raises what it does."""

    def observed() -> Rehearsed:
        watched = Watched(session, rules, order_ids=order_ids, saga_ids=saga_ids)
        operation()
        return Rehearsed(watched.look_again()[1])

    return taken_back(session, observed)


def taken_back(session: sa.Connection, operation: Callable[[], T]) -> T:
    """What the operation returns; all that it wrote is taken back."""
    with session.begin_nested() as trial:
        result = operation()
        trial.rollback()
    return result
