"""A stage for hard tests: orders brought to any status on a real database, with scripted partners instead of Kafka."""

import base64
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chalicelib.entrypoints.kafka import Batch
from chalicelib.ids import new_id, new_id_source
from chalicelib.messages.envelope import Incoming, MessageContext
from chalicelib.messaging.decode import receive
from chalicelib.operations.take_replies import Delivery
from chalicelib.orders.changes import Cause
from chalicelib.orders.lifecycle import move
from chalicelib.orders.order import OrderStatus
from chalicelib.sagas.accept_order import ACCEPT_ORDER
from chalicelib.sagas.engine import unit_of_work
from tests.support.database import Placed, World
from tests.support.kafka_records import Record, Sent
from tests.support.partner_script import Partners

CONTEXT = MessageContext("corr-race")
RUNNER = "runner_1"
BY_HAND = (OrderStatus.COLLECTED, OrderStatus.ON_THE_WAY, OrderStatus.DELIVERED)
POOL = 12
STATE = """
    SELECT to_jsonb(o)::text AS an_order,
        (SELECT jsonb_agg(s ORDER BY s.saga_id)::text FROM campusg.sagas s WHERE s.order_id = o.order_id) AS sagas,
        (SELECT jsonb_agg(h ORDER BY h.version)::text FROM campusg.order_history h WHERE h.order_id = o.order_id) AS history,
        (SELECT count(*) FROM campusg.dead_letters d WHERE d.order_id = o.order_id) AS dead_letters
    FROM campusg.orders o WHERE o.order_id = :id"""


class Stage:
    """A database with partners, and orders brought to a status as they are asked for, many at once."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.partners = Partners()
        self._pools: dict[str, list[Placed]] = {}
        # Tests look far more often than the service works: their looks take one round trip each.
        self._looking = world.engine.connect()
        # The ping of a connection that comes from the pool has begun a transaction.
        self._looking.connection.rollback()
        self._looking.execution_options(isolation_level="AUTOCOMMIT")

    def close(self) -> None:
        self._looking.close()

    def rows(self, statement: str, **parameters: Any) -> list[Mapping[str, Any]]:
        """Run a statement by itself and return its rows, if it has any."""
        result = self._looking.execute(sa.text(statement), parameters)
        return [dict(row) for row in result.mappings()] if result.returns_rows else []

    def scene(self, status: str = "READY_FOR_PICKUP", *, pool: int = POOL) -> "Scene":
        """An order of its own in that status (from READY_FOR_PICKUP on); its runner is `RUNNER` from ACCEPTED on.

        NEW: nothing has happened to it but that it was placed.
        """
        waiting = self._pools.setdefault(status, [])
        if not waiting:
            waiting += self._bring(self.world.place_many(pool), status)
        placed = waiting.pop()
        return Scene(self, placed.order_id, placed.saga_id)

    def _bring(self, placed: list[Placed], status: str) -> list[Placed]:
        if status == "NEW":
            return placed
        self._drive(placed)
        if status == "READY_FOR_PICKUP":
            return placed
        order_ids = [each.order_id for each in placed]
        with self.world.engine.begin() as session, unit_of_work(session, self.world.rules, order_ids=order_ids) as work:
            for order in list(work.orders.values()):
                work.start(ACCEPT_ORDER, order, Cause(f"runner:{RUNNER}", CONTEXT), new_id_source(), {"runner_id": RUNNER})
        self._drive(placed)
        for to in BY_HAND[: [OrderStatus.ACCEPTED, *BY_HAND].index(OrderStatus(status))]:
            with self.world.engine.begin() as session, unit_of_work(session, self.world.rules, order_ids=order_ids) as work:
                for order in list(work.orders.values()):
                    work.change(move(order, to, work.moment.now), Cause(f"runner:{RUNNER}", CONTEXT), new_id_source())
        return placed

    def _drive(self, placed: list[Placed]) -> None:
        """Let the partners answer whatever waits for these orders, in batches, until nothing does. The events stay in the outbox."""
        while True:
            commands = [sent for sent in self.world.outbox(*placed) if sent.topic.endswith("-commands")]
            ids = [each.order_id for each in placed]
            self.rows("DELETE FROM campusg.outbox WHERE topic LIKE '%-commands' AND ordering_key = ANY(CAST(:ids AS uuid[]))", ids=ids)
            records = [record for record in (self.partners.work(command) for command in commands) if record]
            if not records:
                return
            consume(self.world, records)


@dataclass
class Scene:
    """One order: what was sent for it, and what the partners did.

    `unwilling`: how many more commands of a type they refuse.
    """

    stage: Stage
    order_id: UUID
    saga_id: UUID
    unwilling: Counter[str] = field(default_factory=Counter)
    sent: list[Sent] = field(default_factory=list)
    replies: list[Record] = field(default_factory=list)
    _worked: set[int] = field(default_factory=set)

    @property
    def world(self) -> World:
        return self.stage.world

    @property
    def partners(self) -> Partners:
        return self.stage.partners

    @property
    def order(self) -> Mapping[str, Any]:
        """The order's row."""
        return self._rows("SELECT * FROM campusg.orders WHERE order_id = :id")[0]

    def sagas(self) -> list[Mapping[str, Any]]:
        """The rows of all its sagas, oldest first."""
        return self._rows("SELECT * FROM campusg.sagas WHERE order_id = :id ORDER BY started_at, saga_id")

    def saga(self, name: str) -> Mapping[str, Any]:
        """The latest saga of that name."""
        return [saga for saga in self.sagas() if saga["name"] == name][-1]

    @property
    def holder(self) -> Mapping[str, Any]:
        """The row of the saga that holds the order."""
        return next(saga for saga in self.sagas() if saga["ended_at"] is None)

    @property
    def pending_id(self) -> str | None:
        """The id of the command that is awaited."""
        return next((saga["awaited_id"] for saga in self.sagas() if saga["ended_at"] is None), None)

    def history(self) -> list[Mapping[str, Any]]:
        return self._rows("SELECT * FROM campusg.order_history WHERE order_id = :id ORDER BY version")

    def dead_letters(self) -> list[Mapping[str, Any]]:
        return self._rows("SELECT * FROM campusg.dead_letters WHERE order_id = :id")

    def state(self) -> Any:
        """All that anything could change, by one look."""
        return self._rows(STATE), len(self.sent)

    def do(self, operation: Callable[..., Any]) -> Any:
        """Run an operation with session, rules and order id in a transaction of its own, then publish."""
        with self.world.engine.begin() as session:
            result = operation(session, self.world.rules, self.order_id)
        self.publish()
        return result

    def publish(self) -> None:
        """Move what waits for this order to the topics; notices are told at once."""
        rows = self._rows("DELETE FROM campusg.outbox WHERE ordering_key = :id RETURNING *")
        for row in sorted(rows, key=lambda row: row["id"]):
            headers = tuple((name, base64.b64decode(value)) for name, value in row["headers"])
            self.sent.append(Sent(row["topic"], row["key"], row["value"], headers))
        for place in self.unworked():
            if self.sent[place].type == "notification.send":
                self.work(place)

    def unworked(self, saga_id: UUID | None = None) -> list[int]:
        """Places in `sent` of the commands (of one saga) that the partners have not had before them."""
        return [
            place
            for place, message in enumerate(self.sent)
            if place not in self._worked and message.topic.endswith("-commands") and (saga_id is None or message.saga_id == str(saga_id))
        ]

    def work(self, place: int) -> Record | None:
        """The partner works one command; its answer is not yet taken."""
        self._worked.add(place)
        command = self.sent[place]
        refuse = self.unwilling[command.type] > 0
        record = self.partners.work(command, refuse=refuse)
        if refuse:
            self.unwilling[command.type] -= 1
        if record:
            self.replies.append(record)
        return record

    def lose_copies(self) -> None:
        """Of the commands that no partner has had before it, all but the last are lost."""
        self._worked.update(self.unworked()[:-1])

    def answer_next(self, saga_id: UUID | None = None) -> None:
        """The oldest command that is unworked is worked, and its reply taken."""
        record = self.work(self.unworked(saga_id)[0])
        assert record, "only notices have no reply"
        self.take(record)

    def take(self, *records: Record) -> None:
        consume(self.world, records)
        self.publish()

    def settle(self) -> None:
        """Let everything that is under way come to rest."""
        self.publish()
        while self.unworked():
            self.answer_next()

    def make_due(self) -> None:
        """The pending command has been waited for long enough."""
        due = "due_at = clock_timestamp() - interval '1 second', look_at = '-infinity'"
        self._rows(f"UPDATE campusg.sagas SET {due} WHERE order_id = :id AND due_at IS NOT NULL")

    def spend_attempts(self) -> None:
        """No copy of the pending command is left to be sent."""
        attempts = self.world.rules.policy.attempts
        self._rows(
            f"UPDATE campusg.sagas SET pending = jsonb_set(pending, '{{attempts}}', '{attempts}') WHERE order_id = :id AND ended_at IS NULL"
        )

    def make_unaccepted(self) -> None:
        """The time to accept the order is over."""
        self._rows("UPDATE campusg.orders SET accept_by = clock_timestamp() - interval '1 second' WHERE order_id = :id")

    def _rows(self, statement: str) -> list[Mapping[str, Any]]:
        return self.stage.rows(statement, id=self.order_id)


def consume(world: World, records: Sequence[Record]) -> None:
    """Take the records in one batch, as the Kafka functions do; none of them fails."""
    incoming = [Incoming(each.topic, each.partition, each.offset, each.key, each.value, each.headers) for each in records]
    deliveries = [Delivery(receive(each), new_id_source(), new_id()) for each in incoming]
    batch = Batch(world.database, world.rules, time.monotonic() + 30)
    batch.take(deliveries)
    assert batch.failed == []
