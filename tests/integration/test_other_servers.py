"""Databases that somebody else set up: what the code rests on is set for its role, or the database is refused with a sentence."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from chalicelib.db.connection import make_engine
from chalicelib.db.migrations import upgrade
from chalicelib.errors import SettingsError
from infra.stack import checks
from infra.stack.devkeys import jwks_file
from tests.integration.conftest import RULES, Service, serve
from tests.support.database import World
from tests.support.edge import ADMIN, NEW_ORDER, OWNER, InProcess
from tests.support.kafka_records import answer
from tests.support.servers import PostgresServer

# Whatever of PostgreSQL's settings changes what a statement or a value means, set otherwise.
OTHERWISE = {
    "client_encoding": "LATIN1",
    "bytea_output": "escape",
    "standard_conforming_strings": "off",
    "DateStyle": "SQL, DMY",
    "IntervalStyle": "sql_standard",
    "TimeZone": "Asia/Kathmandu",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "synchronous_commit": "off",
    "transform_null_equals": "on",
    "array_nulls": "off",
    "quote_all_identifiers": "on",
    "extra_float_digits": "-15",
    "row_security": "off",
    "search_path": "nowhere",
    "backslash_quote": "on",
    "escape_string_warning": "off",
    "xmloption": "document",
    "work_mem": "64kB",
    "jit": "on",
    "jit_above_cost": "0",
}
CAFE = "Café 咖喱 ☕ O'Neil \\ 10%"


@pytest.fixture
def strange(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of a database without tables, whose settings are all others than usual."""
    url = postgres_server.create_database()
    name = url.rpartition("/")[2]
    for setting, value in OTHERWISE.items():
        postgres_server.server.execute(f"ALTER DATABASE \"{name}\" SET {setting} = '{value}'")
    yield url
    postgres_server.drop_database(url)


@pytest.fixture
def service(strange: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Service]:
    """All functions on that database; what they write stays in the outbox."""
    upgrade(strange)
    monkeypatch.setattr("chalicelib.messaging.producer.Producer.resting", property(lambda self: True))
    engine = make_engine(strange, pool_size=2)
    yield from serve(World(engine, RULES), strange, "127.0.0.1:1", monkeypatch, jwks_file(tmp_path))
    engine.dispose()


def test_an_order_and_a_dead_letter_are_kept_as_they_came_whatever_the_server_is_set_to(service: Service, tmp_path: Path) -> None:
    http = InProcess(service.app.app, tmp_path)
    body: Any = json.loads(json.dumps(NEW_ORDER))
    body["orderDetails"]["storeLocation"] = CAFE
    placed = http.post("/api/orders", OWNER, body)
    assert placed.status == 202, placed
    order = http.get(placed.headers["Location"], OWNER).json()
    assert (order["storeLocation"], order["createdAt"][-1]) == (CAFE, "Z")
    created, command = service.world.outbox()
    assert json.loads(created.value or b"")["order"] == order
    reply = answer(command)
    garbled = replace(reply.again(), value=b"\xff\x00 no JSON")
    assert service.on_events(reply, garbled) == {"batchItemFailures": []}
    assert http.get(placed.headers["Location"], OWNER).json()["orderStatus"] == "PENDING_PAYMENT"
    [letter] = service.world.dead_letters()
    assert letter["value"] == b"\xff\x00 no JSON"
    assert http.get(f"/api/dead-letters/{letter['dead_letter_id']}", ADMIN).json()["value"] == "/wAgbm8gSlNPTg=="
    assert http.get("/health/ready").json()["dependencies"]["database"]["status"] == "ok"
    service.world.make_due()
    service.app.entrypoints.schedules.sweep_timeouts()
    service.app.entrypoints.schedules.audit_invariants()


def refusals(url: str) -> tuple[str, str]:
    """What `migrate` says, and what `make run` says before it starts anything."""
    with pytest.raises(SettingsError) as by_migrate:
        upgrade(url)
    with pytest.raises(SettingsError) as by_run:
        checks.check_database(url)
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as session:
        assert session.execute(sa.text("SELECT 1 FROM pg_namespace WHERE nspname = 'campusg'")).all() == []
    return str(by_migrate.value), str(by_run.value)


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1", "EUC_JP"])
def test_a_database_in_another_encoding_is_refused(postgres_server: PostgresServer, encoding: str) -> None:
    url = postgres_server.create_database()
    name = url.rpartition("/")[2]
    postgres_server.drop_database(url)
    postgres_server.server.execute(f"CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'")
    for said in refusals(url):
        assert said.startswith("DATABASE_URL")
        assert f"is encoded in {encoding}" in said
        assert "ENCODING 'UTF8'" in said
    postgres_server.drop_database(url)


@pytest.mark.parametrize(("setting", "value"), [("default_transaction_read_only", "on"), ("session_replication_role", "replica")])
def test_a_setting_that_no_migration_may_undo_is_refused(
    postgres_server: PostgresServer, empty_database: str, setting: str, value: str
) -> None:
    name = empty_database.rpartition("/")[2]
    postgres_server.server.execute(f"ALTER DATABASE \"{name}\" SET {setting} = '{value}'")
    for said in refusals(empty_database):
        assert f"{setting} is {value}" in said
        assert "RESET" in said


def test_reading_alone_needs_no_database_that_takes_writes(postgres_server: PostgresServer, empty_database: str) -> None:
    name = empty_database.rpartition("/")[2]
    postgres_server.server.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    checks.check_database(empty_database, writes=False)
