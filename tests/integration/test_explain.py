"""At 100,000 orders no statement of the service reads a whole table."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from chalicelib.db import bulk
from chalicelib.db.connection import make_engine, send_ahead
from chalicelib.db.pages import first_page
from chalicelib.ids import new_id
from chalicelib.messages.envelope import Outgoing
from chalicelib.messaging import outbox
from chalicelib.messaging.dead_letter_queries import read_letter
from chalicelib.messaging.outbox import Queued, Row
from chalicelib.operations.audit import LIVE_RULES, Rule, violations
from chalicelib.operations.board import read_board
from chalicelib.operations.explain import read_about
from chalicelib.operations.purge import purge_batch
from chalicelib.operations.samples import Measured, take_samples
from chalicelib.orders import store as order_store
from chalicelib.orders.access import Viewer
from chalicelib.orders.due import put_off, read_unaccepted, read_uncompleted
from chalicelib.orders.lists import Filters, list_orders, list_orders_after
from chalicelib.orders.partner_ids import Owners
from chalicelib.orders.queries import get_order, history_of
from chalicelib.sagas import store as saga_store
from chalicelib.sagas.due import look_later, push_back, read_due
from chalicelib.sagas.engine import lock
from chalicelib.sagas.queries import MOST_READ, SagaFilters, list_correlated, list_sagas, read_resting, read_with_order
from tests.integration.conftest import RULES
from tests.support.database import World, in_bulk
from tests.support.servers import PostgresServer
from tests.support.statements import Executed, captured

ROWS = 100_000
NOW = datetime.now(UTC)
# When the last order was made, one a second; in milliseconds, as in its id.
LAST = int(NOW.timestamp() * 1000)
Run = Callable[[sa.Connection], object]

# Foreign keys are not checked row by row while this is filled; everything else is.
FILL = """
SET LOCAL session_replication_role = replica;
CREATE TEMP TABLE seeds ON COMMIT DROP AS
SELECT i, (lpad(to_hex({last} - 1000 * ({rows} - i)), 12, '0') || '70008000' || lpad(to_hex(i), 12, '0'))::uuid AS order_id,
    ('01920000-0000-7000-9000-' || lpad(to_hex(i), 12, '0'))::uuid AS saga_id,
    to_timestamp(({last} - 1000 * ({rows} - i)) / 1000.0) AS at, i % 100 = 99 AS running,
    CASE WHEN i % 100 < 90 THEN 'COMPLETED' WHEN i % 100 < 94 THEN 'CANCELLED' WHEN i % 100 < 95 THEN 'TIMED_OUT'
        WHEN i % 100 < 97 THEN 'READY_FOR_PICKUP' WHEN i % 100 < 98 THEN 'ACCEPTED' WHEN i % 100 < 99 THEN 'DELIVERED'
        ELSE 'PENDING_PAYMENT' END AS status
FROM generate_series(1, {rows}) i;
INSERT INTO campusg.orders (order_id, customer_id, food_items, store_location, delivery_location, food_fee, delivery_fee, total, currency,
    order_status, payment_status, payment_id, escrow_id, accept_by, runner_id, active_saga_id,
    created_at, updated_at, delivered_at, version)
SELECT order_id, 'cust_' || i % 5000,
    jsonb_build_array(
        jsonb_build_object('name', 'Hainanese chicken rice, steamed, extra chili', 'price', '4.50', 'quantity', 1),
        jsonb_build_object('name', 'Kopi-O kosong, large', 'price', '1.50', 'quantity', 2),
        jsonb_build_object('name', 'Soup of the day', 'price', '1.50', 'quantity', 1)),
    'North Spine Food Court, stall ' || i % 20, 'Hall ' || i % 24 || ', block ' || i % 50 || ', room ' || i % 300,
    9, 3.99, 12.99, 'SGD', status,
    CASE status WHEN 'COMPLETED' THEN 'CAPTURED' WHEN 'CANCELLED' THEN 'RELEASED' WHEN 'TIMED_OUT' THEN 'RELEASED'
        WHEN 'PENDING_PAYMENT' THEN 'PENDING' ELSE 'AUTHORIZED' END,
    'pay_' || i, 'esc_' || i, at + interval '30 minutes',
    CASE WHEN status IN ('COMPLETED', 'ACCEPTED', 'DELIVERED') THEN 'run_' || i % 500 END, CASE WHEN running THEN saga_id END, at, at, at, 5
FROM seeds;
INSERT INTO campusg.order_history (order_id, version, at, event, status_to, payment_to, actor, detail)
SELECT order_id, 1, at, 'order.updated', status, 'PENDING', 'system', '{{}}' FROM seeds;
INSERT INTO campusg.sagas (saga_id, order_id, name, definition_version, status, steps, facts, awaited_id, pending, due_at, look_at,
    correlation_id, started_at, ended_at)
SELECT saga_id, order_id, 'create_order', 1, CASE WHEN running THEN 'RUNNING' ELSE 'COMPLETED' END, '[]', '{{}}',
    CASE WHEN running THEN 'message-' || i END, CASE WHEN running THEN '{{}}'::jsonb END,
    CASE WHEN running THEN clock_timestamp() + make_interval(secs => 60 - i / 100 % 20) END, clock_timestamp(),
    'corr', at, CASE WHEN NOT running THEN at END
FROM seeds;
INSERT INTO campusg.partner_ids (kind, id, order_id) SELECT 'payment', 'pay_' || i, order_id FROM seeds;
INSERT INTO campusg.outbox (ordering_key, bucket, message_id, topic, key, value, headers, not_before)
SELECT order_id, i % 64, 'message-' || i, 'order-events', 'k', repeat('v', 100)::bytea, '[["ce_id", "eA=="]]',
    CASE WHEN i % 1000 = 0 THEN clock_timestamp() + interval '1 hour' END
FROM seeds;
INSERT INTO campusg.dead_letters (dead_letter_id, topic, partition, "offset", content_hash, headers, order_id, saga_id, error_class, error,
    delivery_count, at)
SELECT gen_random_uuid(), 'user-events', 0, i, 'x', '[]', order_id, saga_id, 'Misfit', '', 1, at FROM seeds WHERE i % 20 = 5;
INSERT INTO campusg.order_setbacks (order_id, version, setbacks, put_off_until)
SELECT order_id, 5, 9, clock_timestamp() + make_interval(secs => i % 300) FROM seeds WHERE i % 200 BETWEEN 95 AND 98
"""
TABLES = ("orders", "partner_ids", "sagas", "order_history", "outbox", "outbox_buckets", "order_setbacks", "dead_letters")


@pytest.fixture(scope="module")
def full(postgres_server: PostgresServer, migrated_template: str) -> Iterator[World]:
    """A database with 100,000 orders, as many sagas, the outbox of a long outage, and 2,000 due orders that keep failing."""
    url = postgres_server.create_database(template=migrated_template)
    engine = make_engine(url, pool_size=2)
    with in_bulk(url).begin() as session:
        for statement in FILL.format(rows=ROWS, last=LAST).split(";\n"):
            session.exec_driver_sql(statement)
    with sa.create_engine(url, isolation_level="AUTOCOMMIT").connect() as session:
        session.exec_driver_sql(f"VACUUM ANALYZE {', '.join(f'campusg.{table}' for table in TABLES)}")
    yield World(engine, RULES)
    engine.dispose()
    postgres_server.drop_database(url)


def order_ids(*numbers: int) -> list[UUID]:
    return [UUID(f"{LAST - 1000 * (ROWS - number):012x}70008000{number:012x}") for number in numbers]


def saga_ids(*numbers: int) -> list[UUID]:
    return [UUID(f"01920000-0000-7000-9000-{number:012x}") for number in numbers]


def scanned(session: sa.Connection, executed: Executed) -> str | None:
    """The plan of a statement that reads orders, sagas or outbox from end to end; None where it uses an index."""
    plan = executed.plan(session)
    tables = ("orders", "sagas", "outbox", "order_history", "partner_ids", "dead_letters")
    return plan if any(f"Seq Scan on {table} " in plan for table in tables) else None


def scans(world: World, run: Run) -> list[str]:
    """Run a piece of the service, roll it back, and return the plans of its statements that scan."""
    with world.engine.connect() as session:
        with captured(world.engine) as executed:
            run(session)
        assert executed
        # What was to go along with another statement goes.
        session.execute(sa.text("SELECT 1"))
        session.rollback()
        return [f"{each.text}\n{plan}" for each in executed if (plan := scanned(session, each))]


def test_a_scan_would_be_seen(full: World) -> None:
    assert scans(full, lambda session: session.execute(sa.text("SELECT * FROM campusg.orders o WHERE store_location = 'x'")))


VIEWERS = {
    "admin": Viewer("adm", frozenset({"admin"})),
    "customer": Viewer("cust_7", frozenset({"customer"})),
    "runner": Viewer("run_7", frozenset({"runner"})),
    "runner without orders": Viewer("nobody", frozenset({"runner"})),
    "customer and runner": Viewer("cust_7", frozenset({"customer", "runner"})),
}
FILTERS = {
    "none": Filters(),
    "one common status": Filters(statuses=("COMPLETED",)),
    "a rare status": Filters(statuses=("ACCEPTED",)),
    "a status that nobody has": Filters(statuses=("COLLECTED",)),
    "two statuses": Filters(statuses=("READY_FOR_PICKUP", "ACCEPTED")),
    "ended badly": Filters(statuses=("CANCELLED", "TIMED_OUT")),
    "payment status": Filters(payment_status="PENDING"),
    "statuses that never meet": Filters(statuses=("CANCELLED",), payment_status="CAPTURED"),
    "customer": Filters(customer_id="cust_7"),
    "runner": Filters(runner_id="run_7"),
    "the last minute": Filters(created_after=NOW - timedelta(minutes=1)),
    "the first minutes": Filters(created_before=NOW - timedelta(seconds=99_000)),
    "an hour": Filters(created_after=NOW - timedelta(hours=5), created_before=NOW - timedelta(hours=4)),
    "a status in an hour": Filters(("CANCELLED",), created_after=NOW - timedelta(hours=5), created_before=NOW - timedelta(hours=4)),
    "all at once": Filters(("COMPLETED",), "CAPTURED", "cust_7", "run_7", NOW - timedelta(hours=5), NOW),
}
LISTS = [pytest.param(viewer, filters, id=f"{who}, {what}") for who, viewer in VIEWERS.items() for what, filters in FILTERS.items()]
# An id may be an hour off, and here an order is made each second; somebody's own orders are read through where no index narrows them down.
AN_HOUR, OWN = 3_600, 200


def read_by_list(world: World, run: Run) -> int:
    """How many rows the one statement of a list reads; none of its plans scans."""
    assert scans(world, run) == []
    with world.engine.connect() as session:
        with captured(world.engine) as executed:
            run(session)
        [statement] = executed
        read = statement.rows_read(session)
        session.rollback()
        return read


@pytest.mark.parametrize(("viewer", "filters"), LISTS)
def test_a_page_by_cursor_reads_a_few_rows_whoever_asks(full: World, viewer: Viewer, filters: Filters) -> None:
    most = 3 * 11 + OWN + (AN_HOUR if filters.created_before else 0)
    for after in (None, order_ids(50_000)[0]):
        assert read_by_list(full, lambda session, after=after: list_orders_after(session, viewer, filters, after=after, limit=11)) <= most


@pytest.mark.parametrize(("viewer", "filters"), LISTS)
def test_a_page_by_number_reads_no_more_than_is_counted(full: World, viewer: Viewer, filters: Filters) -> None:
    most = 2_000 + 2 * (3 * 60 + OWN + (AN_HOUR if filters.created_before else 0)) + AN_HOUR
    for page in (1, 5):
        run = lambda session, page=page: list_orders(session, viewer, filters, page=page, limit=10, most_counted=2_000)  # noqa: E731
        assert read_by_list(full, run) <= most


RUNNING = [number for number in range(1, ROWS) if number % 100 == 99][:500]
STATEMENTS: dict[str, Run] = {
    "lock one order": lambda session: order_store.lock_orders(session, order_ids=order_ids(5)),
    "lock 500 orders": lambda session: order_store.lock_orders(session, order_ids=order_ids(*range(500))),
    "lock the order of a saga": lambda session: order_store.lock_orders(session, saga_ids=saga_ids(5)),
    "lock the orders of 500 sagas": lambda session: order_store.lock_orders(session, saga_ids=saga_ids(*range(500))),
    "read one saga": lambda session: saga_store.read_sagas(session, saga_ids=saga_ids(5)),
    "read 500 sagas": lambda session: saga_store.read_sagas(session, saga_ids=saga_ids(*range(500))),
    "read the sagas that hold 500 orders": lambda session: saga_store.read_sagas(session, order_ids=order_ids(*RUNNING)),
    "read no saga": lambda session: saga_store.read_sagas(session),
    "sagas that are looked at too early": lambda session: look_later(session, first_page(session, 500)),
    "due sagas": lambda session: read_due(session, first_page(session, 500)),
    "push a saga back": lambda session: push_back(session, saga_ids(99)),
    "orders nobody accepted": lambda session: read_unaccepted(session, first_page(session, 500)),
    "orders nobody completed": lambda session: read_uncompleted(session, first_page(session, 500), timedelta(days=1)),
    "put an order off": lambda session: put_off(session, order_ids(95)[0]),
    "purge orders": lambda session: purge_batch(session, timedelta(hours=20), 500),
    "the latest saga of an order": lambda session: saga_store.read_latest(session, order_ids(5)[0]),
    "the latest saga of a name": lambda session: saga_store.read_latest(session, order_ids(5)[0], ["create_order"]),
    "all sagas": lambda session: list_sagas(session, SagaFilters(), 10),
    "sagas by status": lambda session: list_sagas(session, SagaFilters(statuses=("RUNNING",)), 10),
    "sagas by a status without any": lambda session: list_sagas(session, SagaFilters(statuses=("FAILED",)), 10),
    "sagas by name": lambda session: list_sagas(session, SagaFilters(names=("cancel_order",)), 10),
    "sagas of an order": lambda session: list_sagas(session, SagaFilters(order_id=order_ids(5)[0]), 10),
    "a further page of sagas": lambda session: list_sagas(session, SagaFilters(names=("create_order",), after=saga_ids(500)[0]), 10),
    "an order": lambda session: get_order(session, order_ids(5)[0]),
    "a history": lambda session: history_of(session, order_ids(5)[0]),
    "sagas of a correlation id that tells its time": lambda session: list_correlated(session, str(saga_ids(50_000)[0]), 100),
    "sagas of any other correlation id": lambda session: list_correlated(session, "corr-1", 100),
    "a dead letter": lambda session: read_letter(session, new_id()),
    "a saga with its order": lambda session: read_with_order(session, saga_ids(5)[0]),
    "an order with all that belongs to it": lambda session: read_about(session, RULES.policy, VIEWERS["admin"], order_id=order_ids(5)[0]),
    "the order of a saga with all that belongs to it": lambda session: read_about(
        session, RULES.policy, VIEWERS["admin"], saga_id=saga_ids(99)[0]
    ),
    "the sagas that requests wait for": lambda session: read_resting(session, saga_ids(*range(500))),
    "claim a bucket": lambda session: outbox.claim(session, [5], new_id(), timedelta(seconds=15)),
    "claim all buckets": lambda session: outbox.claim(session, range(64), new_id(), timedelta(seconds=15)),
    "read one bucket": lambda session: outbox.read(session, [5], 2000),
    "read some buckets": lambda session: outbox.read(session, range(20), 2000),
    "read all buckets": lambda session: outbox.read(session, range(64), 2000),
    "whose an id is": lambda session: Owners(session, [("payment", "pay_5")]),
    "whose 500 ids are": lambda session: Owners(session, [("payment", f"pay_{number}") for number in range(500)]),
    "read the newest of a bucket": lambda session: outbox.read_newest(session, [5], 2000),
    "read the newest of all buckets": lambda session: outbox.read_newest(session, range(64), 2000),
    "what is behind other rows": lambda session: outbox.behind(session, rows_of(session)),
    "give rows to the relay": lambda session: outbox.release(session, rows_of(session)),
    "put rows off": lambda session: outbox.put_off(session, range(1, 500)),
    "write rows of orders for which others wait": lambda session: outbox.insert(
        session, [Queued(order_id, Outgoing("order-events", None, b"", ())) for order_id in order_ids(*range(1, 500))]
    ),
    "settle": lambda session: settle(session),
    "the board": read_board,
    "samples": lambda session: take_samples(session, NOW, Measured(0.0, 0, 0)),
    "waiting in one bucket": lambda session: outbox.waiting(session, [5]),
    "waiting anywhere": lambda session: outbox.waiting(session, range(64)),
}


@pytest.mark.parametrize("correlation_id", [str(saga_ids(1)[0]), "corr-1"])
def test_a_search_by_correlation_reads_no_more_sagas_than_its_limit(full: World, correlation_id: str) -> None:
    """All sagas here have ids of one moment, and no saga has that correlation id: it reads on to the end."""
    most = 2 * MOST_READ + 10
    assert read_by_list(full, lambda session: list_correlated(session, correlation_id, 100)) <= most < ROWS


def rows_of(session: sa.Connection) -> list[Row]:
    return outbox.read(session, [5, 6], 500)


def settle(session: sa.Connection) -> None:
    rows = outbox.read(session, [5, 6], 2000)
    holder = new_id()
    outbox.settle(session, acknowledged=[row.id for row in rows[10:]], failed=[row.id for row in rows[:10]], buckets=[5, 6], holder=holder)


@pytest.mark.parametrize("run", STATEMENTS.values(), ids=STATEMENTS.keys())
def test_statements_of_the_core_use_an_index(full: World, run: Run) -> None:
    assert scans(full, run) == []


@pytest.mark.parametrize("rule", LIVE_RULES, ids=[rule.name for rule in LIVE_RULES])
def test_the_rules_of_every_minute_use_an_index(full: World, rule: Rule) -> None:
    assert scans(full, lambda session: violations(session, [rule])) == []


SWEEPS: dict[str, Run] = {name: STATEMENTS[name] for name in ("due sagas", "orders nobody accepted", "orders nobody completed")}


@pytest.mark.parametrize("run", SWEEPS.values(), ids=SWEEPS.keys())
def test_a_sweep_looks_only_at_what_is_due(full: World, run: Run) -> None:
    """A volatile function in the condition would have it read every row of the partial index."""
    with full.engine.connect() as session:
        with captured(full.engine) as executed:
            run(session)
        assert re.search(r"Index Cond: \(+(look_at|accept_by|updated_at) <= ", executed[-1].plan(session))
        session.rollback()


def test_writing_orders_and_sagas_uses_an_index(full: World) -> None:
    def write(session: sa.Connection) -> None:
        for number in (1, 500):
            work = lock(session, RULES, order_ids=order_ids(*RUNNING[:number]))
            order_store.update_orders(session, list(work.orders.values()), [])
            rows = [{"saga_id": saga_id, "status": "FAILED", "steps": [], "facts": {}} for saga_id in saga_ids(*RUNNING[:number])]
            send_ahead(session, saga_store.UPDATE, bulk.to_json(rows))

    assert scans(full, write) == []
