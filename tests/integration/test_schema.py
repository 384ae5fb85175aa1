"""The database refuses what the code must never write, and names things as the code does."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import pytest
import sqlalchemy as sa

from chalicelib.db.connection import make_engine
from chalicelib.db.states import sql_state
from chalicelib.ids import new_id
from chalicelib.messages.envelope import Incoming
from chalicelib.messages.events import EVENTS
from chalicelib.messaging import dead_letters, outbox
from chalicelib.messaging.dead_letters import DeadLetter
from chalicelib.orders import store as order_store
from chalicelib.orders.order import OrderStatus, PaymentStatus
from chalicelib.sagas import store as saga_store
from chalicelib.sagas.state import SagaStatus
from tests.integration.conftest import RULES
from tests.support.database import World
from tests.support.servers import PostgresServer

CHECK, FOREIGN_KEY, UNIQUE, NOT_NULL = "23514", "23503", "23505", "23502"


@pytest.fixture(scope="module")
def one_order(postgres_server: PostgresServer, migrated_template: str) -> Iterator[World]:
    """A database with one order that is being created, and a dead letter. Its tests leave it so."""
    url = postgres_server.create_database(template=migrated_template)
    world = World(make_engine(url, pool_size=1), RULES)
    world.place()
    with world.engine.begin() as session:
        letter = DeadLetter(new_id(), Incoming("user-events", 0, 1, None, b"{", ()), "Unintelligible", "no CloudEvent", 1)
        dead_letters.insert(session, [letter], datetime.now(UTC))
    yield world
    world.engine.dispose()
    postgres_server.drop_database(url)


def literals_of(world: World, constraint: str) -> set[str]:
    """The texts that a check constraint lists."""
    [row] = world.rows("SELECT pg_get_constraintdef(oid) AS definition FROM pg_constraint WHERE conname = :name", name=constraint)
    return set(re.findall(r"'([^']+)'::text", row["definition"]))


@pytest.mark.parametrize(
    ("constraint", "enum"),
    [("order_status_known", OrderStatus), ("payment_status_known", PaymentStatus), ("saga_status_known", SagaStatus)],
)
def test_statuses_of_the_code_are_those_of_the_database(one_order: World, constraint: str, enum: type[StrEnum]) -> None:
    assert literals_of(one_order, constraint) == {member.value for member in enum}


def test_events_of_the_code_are_those_of_the_database(one_order: World) -> None:
    assert literals_of(one_order, "event_known") == set(EVENTS)


# What the database fills in by itself.
OWN = {"sagas": {"setbacks", "look_at"}, "outbox": {"id", "not_before", "failures", "created_at"}}


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("orders", {**order_store.FIXED, **order_store.CHANGING}),
        ("sagas", {**saga_store.FIXED, **saga_store.CHANGING}),
        ("order_history", order_store.HISTORY),
    ],
)
def test_columns_that_the_code_writes_are_those_of_the_table(one_order: World, table: str, columns: Mapping[str, str]) -> None:
    rows = one_order.rows(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'campusg' AND table_name = :name", name=table
    )
    types = {"timestamp with time zone": "timestamptz"}
    found = {row["column_name"]: types.get(row["data_type"], row["data_type"]) for row in rows}
    assert {name: type for name, type in found.items() if name not in OWN.get(table, set())} == dict(columns)


CORE = ["orders", "sagas", "order_history", "outbox", "outbox_buckets", "dead_letters", "delivery_failures", "order_setbacks"]


def test_money_is_exact_and_every_time_knows_its_zone(one_order: World) -> None:
    columns = one_order.rows(
        "SELECT column_name, data_type, numeric_precision AS digits, numeric_scale AS decimals"
        " FROM information_schema.columns WHERE table_schema = 'campusg' AND table_name = ANY(CAST(:tables AS text[]))",
        tables=CORE,
    )
    money = {row["column_name"]: (row["digits"], row["decimals"]) for row in columns if row["data_type"] == "numeric"}
    assert money == {"food_fee": (12, 2), "delivery_fee": (12, 2), "total": (12, 2)}
    assert not [row for row in columns if row["data_type"] in ("real", "double precision", "timestamp without time zone", "date")]
    times = {row["column_name"] for row in columns if row["data_type"] == "timestamp with time zone"}
    assert {name for name in times if not name.endswith(("_at", "_by", "_until", "_before"))} == {"at"}


ORDERS: dict[str, tuple[str, str]] = {
    "customer_id = ''": ("orders_customer_id_check", CHECK),
    "customer_id = repeat('x', 65)": ("orders_customer_id_check", CHECK),
    "runner_id = repeat('x', 65)": ("orders_runner_id_check", CHECK),
    "food_items = '[]'": ("orders_food_items_check", CHECK),
    "store_location = ''": ("orders_store_location_check", CHECK),
    "delivery_location = repeat('x', 256)": ("orders_delivery_location_check", CHECK),
    "food_fee = 0, total = delivery_fee": ("orders_food_fee_check", CHECK),
    "delivery_fee = 100, total = food_fee + 100": ("orders_delivery_fee_check", CHECK),
    "total = total + 0.01": ("orders_check", CHECK),
    "food_fee = 9999, total = 9999 + delivery_fee": ("orders_check", CHECK),
    "currency = 'sgd'": ("orders_currency_check", CHECK),
    "order_status = 'LOST'": ("order_status_known", CHECK),
    "payment_status = 'LOST', payment_id = 'pay_1'": ("payment_status_known", CHECK),
    "payment_id = repeat('x', 129)": ("orders_payment_id_check", CHECK),
    "escrow_id = ''": ("orders_escrow_id_check", CHECK),
    "cancel_reason = repeat('x', 256)": ("orders_cancel_reason_check", CHECK),
    "version = 0": ("orders_version_check", CHECK),
    "order_status = 'READY_FOR_PICKUP'": ("open_has_accept_by", CHECK),
    "payment_status = 'AUTHORIZED'": ("authorized_has_payment", CHECK),
    "order_status = 'ACCEPTED'": ("delivered_by_somebody", CHECK),
}
SAGAS: dict[str, tuple[str, str]] = {
    "order_id = gen_random_uuid()": ("sagas_order_id_fkey", FOREIGN_KEY),
    "definition_version = 0": ("sagas_definition_version_check", CHECK),
    "status = 'LOST'": ("saga_status_known", CHECK),
    "status = 'COMPLETED'": ("ended_when_done", CHECK),
    "ended_at = clock_timestamp()": ("ended_when_done", CHECK),
    "pending = NULL": ("awaits_what_is_pending", CHECK),
    "awaited_id = NULL, pending = NULL": ("never_stuck", CHECK),
    "due_at = NULL": ("never_stuck", CHECK),
    "correlation_id = NULL": ("not_null_violation", NOT_NULL),
}
HISTORY: dict[str, tuple[str, str]] = {
    "order_id = gen_random_uuid()": ("order_history_order_id_fkey", FOREIGN_KEY),
    "version = 0": ("order_history_version_check", CHECK),
    "event = 'order.lost'": ("event_known", CHECK),
}
DISMISSED = "dismissed_at = at, dismissed_by = 'admin:a', dismiss_reason"
DEAD_LETTERS: dict[str, tuple[str, str]] = {
    f"{DISMISSED} = ''": ("dead_letters_dismiss_reason_check", CHECK),
    "dismissed_at = at": ("dismissed_whole", CHECK),
    "dismiss_reason = 'x'": ("dismissed_whole", CHECK),
    f"redriven_at = at, {DISMISSED} = 'x'": ("redriven_or_dismissed", CHECK),
}
WRONG = [
    (table, change, *refused)
    for table, each in (("orders", ORDERS), ("sagas", SAGAS), ("order_history", HISTORY), ("dead_letters", DEAD_LETTERS))
    for change, refused in each.items()
]


@pytest.mark.parametrize(("table", "change", "name", "state"), WRONG, ids=[f"{table}: {change}" for table, change, *_ in WRONG])
def test_the_database_refuses(one_order: World, table: str, change: str, name: str, state: str) -> None:
    with pytest.raises(sa.exc.DBAPIError, match=name) as refused:
        one_order.rows(f"UPDATE campusg.{table} SET {change}")
    assert sql_state(refused.value) == state


def test_every_check_and_foreign_key_is_shown_to_refuse_something(one_order: World) -> None:
    rows = one_order.rows(
        "SELECT conname FROM pg_constraint JOIN pg_class c ON c.oid = conrelid"
        " WHERE connamespace = 'campusg'::regnamespace AND contype IN ('c', 'f') AND relname = ANY(CAST(:tables AS text[]))",
        tables=CORE,
    )
    assert {row["conname"] for row in rows} == {name for _, _, name, state in WRONG if state != NOT_NULL} | {"bounded"}


@pytest.mark.breaks_invariants("a second saga is put in by SQL once the first is called ended")
def test_an_order_has_one_unended_saga_at_most(world: World) -> None:
    world.place()
    columns = "order_id, name, definition_version, status, steps, facts, awaited_id, pending, due_at, correlation_id, started_at"
    copied = f"INSERT INTO campusg.sagas (saga_id, {columns}, ended_at) SELECT gen_random_uuid(), {columns}, NULL FROM campusg.sagas"
    with pytest.raises(sa.exc.IntegrityError, match="sagas_one_at_a_time"):
        world.rows(copied)
    world.rows("UPDATE campusg.sagas SET status = 'COMPENSATED', ended_at = started_at, awaited_id = NULL, pending = NULL, due_at = NULL")
    ended = columns.replace("status", "'RUNNING'").replace("awaited_id, pending, due_at", "'x', '{}', started_at")
    world.rows(f"INSERT INTO campusg.sagas (saga_id, {columns}) SELECT gen_random_uuid(), {ended} FROM campusg.sagas")
    assert len(world.rows("SELECT 1 FROM campusg.sagas")) == 2


def test_a_version_of_an_order_has_one_history_entry(one_order: World) -> None:
    with pytest.raises(sa.exc.IntegrityError, match="order_history_pkey"):
        one_order.rows("INSERT INTO campusg.order_history SELECT * FROM campusg.order_history")


@pytest.mark.parametrize("change", ["value = convert_to(repeat('v', 262145), 'UTF8')", "headers = jsonb_build_array(repeat('h', 262144))"])
def test_a_message_over_256_kib_is_refused(one_order: World, change: str) -> None:
    with pytest.raises(sa.exc.DBAPIError, match="bounded"):
        one_order.rows(f"UPDATE campusg.outbox SET {change}")


def test_there_is_a_lease_for_every_bucket_of_the_code(one_order: World) -> None:
    rows: list[Mapping[str, Any]] = one_order.rows("SELECT bucket FROM campusg.outbox_buckets ORDER BY bucket")
    assert [row["bucket"] for row in rows] == list(range(outbox.BUCKETS))
