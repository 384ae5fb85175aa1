"""Whether the application is well, and what it says while PostgreSQL or Kafka is away."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from chalicelib.db import readiness
from chalicelib.db.connection import Database, make_engine
from chalicelib.messaging.producer import Producer
from infra.stack.ports import free_port
from tests.integration.conftest import Service
from tests.support.edge import NEW_ORDER, OWNER, InProcess
from tests.support.failing import SECRET, raising, role_set

ORDERS = "/api/orders"
# As somebody may have asked just before, and one writes five times a second at most.
LONG_AGO = "UPDATE campusg.readiness SET checked_at = '2000-01-01Z'"


@contextmanager
def database_at(service: Service, port: int) -> Iterator[None]:
    """The service with its database at another port."""
    real, away = service.runtime.database, Database(make_engine(f"postgresql+pg8000://u:p@127.0.0.1:{port}/d", pool_size=2))
    service.runtime.database = away
    try:
        yield
    finally:
        service.runtime.database = real


@contextmanager
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_database_that_is_away_is_503_and_may_be_tried_again(service: Service, http: InProcess) -> None:
    with database_at(service, free_port()):
        answered = http.post(ORDERS, OWNER, NEW_ORDER)
        answered.problem(503, "unavailable")
        assert answered.headers["Retry-After"]
        http.get(ORDERS, OWNER).problem(503, "unavailable")


def test_health_needs_nobody(service: Service, http: InProcess) -> None:
    with database_at(service, free_port()):
        answered = http.get("/health")
    assert (answered.status, answered.json()["status"]) == (200, "ok")


def test_the_service_is_ready_when_postgresql_and_kafka_answer(service: Service, http: InProcess) -> None:
    answered = http.get("/health/ready")
    assert answered.status == 200
    assert {name: each["status"] for name, each in answered.json()["dependencies"].items()} == {"database": "ok", "kafka": "ok"}


@pytest.mark.parametrize("code", ["53100", "58030", "42501"])
def test_the_service_is_not_ready_while_the_database_takes_no_writes(service: Service, http: InProcess, code: str) -> None:
    service.world.rows(LONG_AGO)
    with raising(service.world, code, "readiness"):
        answered = http.get("/health/ready")
    database = answered.json()["dependencies"]["database"]
    assert (answered.status, database["status"]) == (503, "unavailable")
    assert code in database["detail"]
    assert SECRET not in answered.body.decode()


@pytest.mark.parametrize(
    ("setting", "value", "code"),
    [("default_transaction_read_only", "on", "25006"), ("temp_file_limit", "0", "53400")],
    ids=["nothing may be written", "no file may grow"],
)
def test_the_service_is_not_ready_where_the_role_may_not_write(
    service: Service, http: InProcess, setting: str, value: str, code: str
) -> None:
    service.world.rows(LONG_AGO)
    with role_set(service.world, setting, value):
        service.runtime.database.close()
        refused = http.get("/health/ready")
    service.runtime.database.close()
    assert (refused.status, refused.json()["dependencies"]["database"]["status"]) == (503, "unavailable")
    assert code in refused.json()["dependencies"]["database"]["detail"]
    assert http.get("/health/ready").status == 200


def test_asking_writes_at_intervals_waits_for_nobody_and_grows_nothing(brokerless: Service) -> None:
    world = brokerless.world
    row, again = "SELECT checked_at FROM campusg.readiness", LONG_AGO
    with world.engine.begin() as session:
        for _ in range(150):
            session.execute(sa.text(again))
            readiness.write(session)
    [written] = world.rows(row)
    with world.engine.begin() as session:
        readiness.write(session)
    assert world.rows(row) == [written]
    for _ in range(150):
        world.rows(again)
    with world.engine.begin() as holder, world.engine.begin() as session:
        holder.execute(sa.text("SELECT 1 FROM campusg.readiness FOR UPDATE"))
        session.execute(sa.text("SELECT set_config('lock_timeout', '50ms', true)"))
        readiness.write(session)
    [size] = world.rows("SELECT pg_relation_size('campusg.readiness') / 8192 AS pages")
    assert size["pages"] <= 3


@pytest.mark.parametrize("silent", [False, True], ids=["refuses connections", "never answers"])
@pytest.mark.parametrize("missing", ["database", "kafka"])
def test_the_service_is_not_ready_while_one_is_away_and_says_so_in_time(
    service: Service, http: InProcess, missing: str, silent: bool
) -> None:
    assert http.get("/health/ready").status == 200
    with silent_port() as silent_one:
        port = silent_one if silent else free_port()
        begun = time.monotonic()
        if missing == "database":
            with database_at(service, port):
                answered = http.get("/health/ready")
        else:
            service.runtime.producer = Producer(f"127.0.0.1:{port}")
            answered = http.get("/health/ready")
        # Two seconds, where the driver would wait for ten.
        assert time.monotonic() - begun < 8
    body = answered.json()
    present = "kafka" if missing == "database" else "database"
    assert (answered.status, body["status"], body["dependencies"][present]["status"]) == (503, "unavailable", "ok")
    assert body["dependencies"][missing]["status"] == "unavailable"
    assert "u:p" not in json.dumps(body)
