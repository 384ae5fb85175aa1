"""Connections to PostgreSQL that networks end, stall or forget: nothing is lost or done twice, and the next request has a new one."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from chalicelib.db import connection as connections
from chalicelib.messaging.producer import Producer
from infra.stack.devkeys import jwks_file
from tests.integration.conftest import Service, serve
from tests.support import tcp_proxy
from tests.support.database import World
from tests.support.edge import NEW_ORDER, OWNER, InProcess
from tests.support.eventually import eventually
from tests.support.kafka_records import answer
from tests.support.pinning import NAMED, _found, pins
from tests.support.tcp_proxy import TcpProxy

ORDERS = "/api/orders"
COMMIT = b"commit\x00"


@pytest.fixture
def proxy(functions_url: str) -> Iterator[TcpProxy]:
    with tcp_proxy.before(sa.make_url(functions_url).port or 5432) as proxy:
        yield proxy


@pytest.fixture
def behind(proxy: TcpProxy, world: World, functions_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Service]:
    """All functions, which reach the database through the proxy over one connection and give up after two seconds; nothing is published."""
    monkeypatch.setattr(Producer, "resting", property(lambda self: True))
    monkeypatch.setattr(connections, "READ_TIMEOUT_SECONDS", 2)
    url = sa.make_url(functions_url).set(port=proxy.port).render_as_string(hide_password=False)
    yield from serve(world, url, "127.0.0.1:1", monkeypatch, jwks_file(tmp_path), DATABASE_POOL_SIZE="1")


@pytest.fixture
def client(behind: Service, tmp_path: Path) -> InProcess:
    """A client of these functions, whose connection has been used already."""
    client = InProcess(behind.app.app, tmp_path)
    assert client.get(ORDERS, OWNER).status == 200
    return client


def not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection was left alone, so that it is asked before it is used."""
    monkeypatch.setattr(connections, "TRUSTED_SECONDS", 0)


@pytest.mark.parametrize("end", [TcpProxy.cut, TcpProxy.reset], ids=["ended", "reset"])
def test_a_connection_that_ended_while_it_rested_costs_no_request(
    client: InProcess, proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch, end: Callable[[TcpProxy], None]
) -> None:
    not_trusted(monkeypatch)
    end(proxy)
    assert client.get(ORDERS, OWNER).status == 200
    assert proxy.accepted == 2


def test_one_that_is_reset_right_after_an_answer_costs_one_request_that_may_be_tried_again(client: InProcess, proxy: TcpProxy) -> None:
    proxy.reset()
    refused = client.get(ORDERS, OWNER)
    refused.problem(503, "unavailable")
    assert refused.headers["Retry-After"]
    assert client.get(ORDERS, OWNER).status == 200


def test_a_network_that_says_nothing_is_given_up_and_used_anew(client: InProcess, proxy: TcpProxy) -> None:
    proxy.stall()
    begun = time.monotonic()
    client.get(ORDERS, OWNER).problem(503, "unavailable")
    # It is not even tried to say good-bye to it.
    assert time.monotonic() - begun < 10
    proxy.release()
    assert client.get(ORDERS, OWNER).status == 200


def test_an_order_whose_commit_was_not_answered_is_placed_once(client: InProcess, behind: Service, proxy: TcpProxy) -> None:
    proxy.lose_answer_to = COMMIT
    key = {"idempotency_key": "lost"}
    client.post(ORDERS, OWNER, NEW_ORDER, **key).problem(503, "unavailable")
    assert proxy.lose_answer_to is None
    [row] = eventually(lambda: behind.world.rows("SELECT order_id FROM campusg.orders"), what="the commit")
    again = client.post(ORDERS, OWNER, NEW_ORDER, **key)
    assert (again.status, again.headers["Idempotency-Replayed"]) == (202, "true")
    assert again.json()["order"]["orderId"] == str(row["order_id"])


def test_a_batch_whose_commit_was_not_answered_comes_again_and_is_taken_once(client: InProcess, behind: Service, proxy: TcpProxy) -> None:
    placed = behind.world.place_many(3)
    records = [answer(command) for command in behind.world.pending_of(placed)]
    assert behind.on_events(answer(behind.world.pending_of([behind.world.place()])[0])) == {"batchItemFailures": []}
    proxy.lose_answer_to = COMMIT
    with pytest.raises((sa.exc.DBAPIError, OSError)):
        behind.on_events(*records)
    # The server may still be at it.
    eventually(lambda: {behind.world.order(each)["version"] for each in placed} == {2}, what="the commit")
    assert behind.on_events(*(record.again() for record in records)) == {"batchItemFailures": []}
    assert {behind.world.order(each)["version"] for each in placed} == {2}
    assert behind.world.dead_letters() == []


@pytest.mark.parametrize(
    "statement",
    [
        *("SET lock_timeout = '1s'", "set local x.y = 1", "SET TRANSACTION READ ONLY", "RESET ALL", "DISCARD ALL", "LISTEN orders"),
        *("PREPARE one AS SELECT 1", "DECLARE c CURSOR FOR SELECT 1", "CREATE TEMP TABLE t (i int)", "SELECT pg_try_advisory_lock(1)"),
        *("SELECT set_config('x.y', '1', true)", "SELECT nextval('campusg.outbox_id_seq')", " \n SET x.y = 1"),
    ],
)
def test_what_pins_a_session_of_rds_proxy_is_known(statement: str) -> None:
    assert pins(statement)


@pytest.mark.parametrize("statement", ["UPDATE t SET a = 1", "SELECT settle_outbox($1)", "BEGIN", "SELECT pg_advisory_xact_lock(1)"])
def test_what_pins_none_is_let_pass(statement: str) -> None:
    assert not pins(statement)


def test_the_functions_sessions_are_watched(brokerless: Service) -> None:
    with brokerless.runtime.database.transaction() as session:
        session.execute(sa.text("SELECT set_config('campusg.test', :value, true)"), {"value": "1"})
        session.execute(sa.text("SET LOCAL lock_timeout = '1s'"))
        session.connection.dbapi_connection.prepare("SELECT 1")  # type: ignore[union-attr]
    assert [each.partition(":")[0] for each in _found] == [
        "SELECT set_config('campusg.test', %s, true)".replace("%s", "$1"),
        "SET LOCAL lock_timeout = '1s'",
        NAMED,
    ]
    _found.clear()
