"""The service's core on a real database: orders placed by the engine, rows to look at, and commands to answer by hand."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chalicelib.db.connection import Database
from chalicelib.ids import new_id, new_id_source
from chalicelib.messages.envelope import MessageContext, Outgoing
from chalicelib.messaging import outbox
from chalicelib.messaging.outbox import Queued, Written
from chalicelib.operations.call import Call
from chalicelib.operations.create import NewOrder, create_order
from chalicelib.orders.access import Viewer
from chalicelib.orders.changes import Cause
from chalicelib.orders.order import FoodItem, Order, OrderStatus, PaymentStatus
from chalicelib.sagas.create_order import CREATE_ORDER
from chalicelib.sagas.engine import Rules, unit_of_work
from tests.support.kafka_records import Sent

# As whom the functions work.
FUNCTIONS_ROLE = "campusg_functions"
NEW_ORDER = NewOrder(
    customer_id="cust_1",
    items=(FoodItem("Chicken rice", Decimal("4.50"), 2),),
    store_location="Koufu",
    delivery_location="Hall 5, room 210",
    delivery_fee=Decimal("3.99"),
)


# Only a superuser may look away from foreign keys. Tables whose rows a migration has written are set back instead.
EMPTY = """
DO $$ DECLARE one regclass; BEGIN
    SET LOCAL session_replication_role = replica;
    FOR one IN
        SELECT c.oid FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'campusg'::regnamespace
            AND c.relname NOT IN ('alembic_version', 'outbox_buckets', 'readiness', 'purged')
    LOOP
        EXECUTE format('DELETE FROM %s', one);
    END LOOP;
    UPDATE campusg.outbox_buckets SET holder = NULL, holder_pid = NULL, leased_until = '-infinity';
    UPDATE campusg.purged SET order_id = CAST(repeat('0', 32) AS uuid), saga_id = CAST(repeat('0', 32) AS uuid);
END $$"""


def in_bulk(url: str | sa.URL) -> sa.Engine:
    """An engine to fill tables by, which waits: on a busy machine that takes longer than any statement of the service may."""
    return sa.create_engine(sa.make_url(url).set(drivername="postgresql+pg8000"), poolclass=sa.NullPool)


@dataclass(frozen=True)
class Placed:
    """An order and the saga that creates it."""

    order_id: UUID
    saga_id: UUID


@dataclass(frozen=True)
class World:
    """A database of the service with the rules it runs by."""

    engine: sa.Engine
    rules: Rules

    @property
    def database(self) -> Database:
        return Database(self.engine)

    def empty(self) -> None:
        """Delete the rows of all the service's tables."""
        self.rows(EMPTY)

    def place(self, new: NewOrder = NEW_ORDER) -> Placed:
        """Place one order as the HTTP edge does."""
        order_id, ids = new_id(), new_id_source()
        customer = Viewer(new.customer_id, frozenset({"customer"}))
        call = Call(self.rules, customer, MessageContext(f"corr-{order_id}"), ids)
        with self.engine.begin() as session:
            create_order(session, call, order_id, new)
        self.leave(*call.written)
        return Placed(order_id, ids.saga_id)

    def place_many(self, number: int) -> list[Placed]:
        """Place orders, all in one transaction."""
        placed = []
        with self.engine.begin() as session, unit_of_work(session, self.rules) as work:
            for _ in range(number):
                order = _created(new_id(), work.moment.now)
                saga = work.start(CREATE_ORDER, order, Cause("customer:cust_1", MessageContext("corr")), new_id_source())
                placed.append(Placed(order.order_id, saga.saga_id))
        self.leave(*work.written)
        return placed

    def now(self) -> datetime:
        """What the database's clock says."""
        now: datetime = self.rows("SELECT clock_timestamp() AS now")[0]["now"]
        return now

    def rows(self, statement: str, **parameters: Any) -> list[Mapping[str, Any]]:
        """Run a statement in a transaction of its own and return its rows, if it has any."""
        with self.engine.begin() as session:
            result = session.execute(sa.text(statement), parameters)
            return [dict(row) for row in result.mappings()] if result.returns_rows else []

    def order(self, placed: Placed) -> Mapping[str, Any]:
        return self.rows("SELECT * FROM campusg.orders WHERE order_id = :id", id=placed.order_id)[0]

    def saga(self, placed: Placed) -> Mapping[str, Any]:
        return self.rows("SELECT * FROM campusg.sagas WHERE saga_id = :id", id=placed.saga_id)[0]

    def step(self, placed: Placed, name: str) -> Mapping[str, Any]:
        return next(step for step in self.saga(placed)["steps"] if step["name"] == name)

    def pending(self, placed: Placed) -> Sent:
        """The command that the saga awaits a reply to."""
        return sent(self.saga(placed)["pending"]["message"])

    def pending_of(self, placed: Iterable[Placed]) -> list[Sent]:
        """The commands that these sagas await replies to, by one look."""
        ids = [each.saga_id for each in placed]
        rows = self.rows("SELECT saga_id, pending FROM campusg.sagas WHERE saga_id = ANY(CAST(:ids AS uuid[]))", ids=ids)
        found = {row["saga_id"]: sent(row["pending"]["message"]) for row in rows}
        return [found[saga_id] for saga_id in ids]

    def history(self, placed: Placed) -> list[Mapping[str, Any]]:
        return self.rows("SELECT * FROM campusg.order_history WHERE order_id = :id ORDER BY version", id=placed.order_id)

    def outbox(self, *placed: Placed) -> list[Sent]:
        """What waits for these orders (none named: for all), oldest first."""
        keys = [each.order_id for each in placed]
        condition = "ordering_key = ANY(CAST(:keys AS uuid[]))" if keys else "CAST(:keys AS uuid[]) IS NOT NULL"
        rows = self.rows(f"SELECT * FROM campusg.outbox WHERE {condition} ORDER BY id", keys=keys)
        headers = [tuple((name, base64.b64decode(value)) for name, value in row["headers"]) for row in rows]
        return [Sent(row["topic"], row["key"], row["value"], each) for row, each in zip(rows, headers, strict=True)]

    def forget_outbox(self) -> None:
        """Act as if all that waits had been published."""
        self.rows("DELETE FROM campusg.outbox")

    def write(self, order_id: UUID, *messages: Outgoing) -> Written:
        """Put messages of one order into the outbox, for the caller to publish."""
        with self.engine.begin() as session:
            return outbox.insert(session, [Queued(order_id, message) for message in messages])

    def queue(self, order_id: UUID, *messages: Outgoing) -> None:
        """Put messages of one order into the outbox, for the relay to publish."""
        self.leave(self.write(order_id, *messages))

    def leave(self, *written: Written) -> None:
        """Give what was written to the relay."""
        with self.engine.begin() as session:
            outbox.release(session, [row for each in written for rows in each.rows() for row in rows])

    def make_due(self) -> None:
        """Let every deadline that stands have passed a second ago."""
        self.rows(
            "UPDATE campusg.sagas SET due_at = clock_timestamp() - interval '1 second', look_at = '-infinity' WHERE due_at IS NOT NULL"
        )

    def dead_letters(self) -> list[Mapping[str, Any]]:
        return self.rows('SELECT * FROM campusg.dead_letters ORDER BY topic, partition, "offset"')


def _created(order_id: UUID, now: Any) -> Order:
    return Order(
        order_id=order_id,
        customer_id=NEW_ORDER.customer_id,
        food_items=NEW_ORDER.items,
        store_location=NEW_ORDER.store_location,
        delivery_location=NEW_ORDER.delivery_location,
        food_fee=Decimal("9.00"),
        delivery_fee=NEW_ORDER.delivery_fee,
        total=Decimal("12.99"),
        currency="SGD",
        order_status=OrderStatus.CREATED,
        payment_status=PaymentStatus.PENDING,
        created_at=now,
        updated_at=now,
        version=1,
    )


def sent(message: Mapping[str, Any]) -> Sent:
    """A command as a saga's row has it while it is pending."""
    headers = tuple((name, value.encode()) for name, value in message["headers"])
    return Sent(message["topic"], message["key"].encode(), message["value"].encode(), headers)
