"""Ten times the load that the API can carry: what it takes is answered in time, the rest is turned away, and it recovers by itself."""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from infra.gateway.admission import Limits
from infra.gateway.server import THREAD_NAME, GatewayServer
from infra.stack import devkeys
from infra.stack.ports import HOST, free_port
from tests.data.gateway_project.app import app
from tests.support.database import FUNCTIONS_ROLE, World
from tests.support.edge import NEW_ORDER, ORDERS
from tests.support.eventually import eventually
from tests.support.gateway import call, connected, gateway_process, read_answer, serving
from tests.support.servers import KafkaBroker
from tests.support.storm import Met, Storm, met

FACTOR = 10
# What the API takes at once: less than the default, so that a busy machine needs no longer.
API_LIMITS = Limits(requests=8)
SERVE = f"from infra.gateway.__main__ import Limits, main; main(limits=Limits(*{tuple(API_LIMITS)}))"
# With it the database bounds what the API can carry, so that a client on the same machine can offer ten times as much.
SLOW = """
    CREATE FUNCTION campusg.be_slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.4); RETURN NEW; END $$;
    CREATE TRIGGER slow BEFORE INSERT ON campusg.orders FOR EACH ROW EXECUTE FUNCTION campusg.be_slow()"""
TURNED_AWAY = "503 application/problem+json 2 /problems/unavailable"
CAPACITY_SECONDS, STORM_SECONDS, RECOVERY_SECONDS = 2.5, 5.0, 10.0
# An order takes 0.4 s, and eight at once no longer. The rest is for a machine that has other things to do.
LONGEST_SECONDS = 5.0
MOST_MEGABYTES, MOST_THREADS, CLIENTS = 35, 300, 400

SMALL = Limits(requests=4, connections=12, told=4)


@dataclass
class Api:
    """The API as a process, what a client sends it, and what it needs, looked at now and then."""

    port: int
    process: "subprocess.Popen[str]"
    world: World
    order: str
    megabytes: list[float] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    connections: list[int] = field(default_factory=list)

    def look(self) -> None:
        process = psutil.Process(self.process.pid)
        self.megabytes.append(process.memory_info().rss / 1e6)
        self.threads.append(process.num_threads())
        [row] = self.world.rows("SELECT count(*) AS number FROM pg_stat_activity WHERE usename = :role", role=FUNCTIONS_ROLE)
        self.connections.append(row["number"])

    def meets(self, clients: int, seconds: float, rate: float = 0.0) -> Met:
        return met(Storm(self.port, self.order, clients, seconds, rate))

    def meets_watched(self, clients: int, seconds: float, rate: float) -> Met:
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.1):
                self.look()

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            return self.meets(clients, seconds, rate)
        finally:
            over.set()
            watcher.join()


@pytest.fixture
def api(world: World, functions_url: str, kafka: KafkaBroker, tmp_path: Path) -> Iterator[Api]:
    """The API on a slow database, with nobody who takes its commands."""
    world.rows(SLOW)
    port, keys = free_port(), devkeys.jwks_file(tmp_path)
    servers = {"DATABASE_URL": functions_url, "KAFKA_BROKERS": kafka.bootstrap, "DEV_JWKS_FILE": str(keys)}
    token, body = devkeys.token(tmp_path, ("customer",), "cust_1", datetime.now(UTC)), json.dumps(NEW_ORDER)
    head = [f"POST {ORDERS} HTTP/1.1", f"Host: {HOST}", f"Authorization: Bearer {token}", "Content-Type: application/json"]
    order = "\r\n".join([*head, f"Content-Length: {len(body)}", "", body])
    with gateway_process(SERVE, port, servers | {"DATABASE_POOL_SIZE": "20"}, tmp_path / "log") as process:
        yield Api(port, process, world, order)
    world.rows("DROP FUNCTION campusg.be_slow CASCADE")


def test_of_ten_times_its_load_the_api_answers_what_it_takes_in_time_and_turns_the_rest_away(api: Api) -> None:
    usual = api.meets(API_LIMITS.requests, CAPACITY_SECONDS)
    assert usual.latencies.keys() == {"202"}
    capacity = len(usual.latencies["202"]) / CAPACITY_SECONDS
    api.look()
    [before] = api.megabytes

    storm = api.meets_watched(CLIENTS, STORM_SECONDS, FACTOR * capacity)
    ended = time.monotonic()

    assert storm.latencies.keys() == {"202", TURNED_AWAY}
    assert storm.withheld < 0.05 * storm.offered
    assert len(storm.latencies[TURNED_AWAY]) > storm.offered / 2
    assert len(storm.latencies["202"]) > capacity * STORM_SECONDS / 2
    assert max(storm.latencies["202"]) < LONGEST_SECONDS
    assert max(api.megabytes) < before + MOST_MEGABYTES
    assert max(api.threads) < MOST_THREADS
    assert max(api.connections) <= API_LIMITS.requests + 1

    def is_as_before() -> bool:
        after = api.meets(1, 1.0)
        return after.latencies.keys() == {"202"} and max(after.latencies["202"]) < max(usual.latencies["202"]) + 0.2

    eventually(is_as_before, within=RECOVERY_SECONDS, what="an answer as before the storm")
    assert time.monotonic() - ended < RECOVERY_SECONDS


@pytest.fixture
def server() -> Iterator[GatewayServer]:
    with serving(app, limits=SMALL) as running:
        yield running


def threads() -> int:
    return sum(thread.name == THREAD_NAME for thread in threading.enumerate())


def test_connections_beyond_the_limit_are_told_and_closed(server: GatewayServer) -> None:
    port, before = server.server_port, threads() - 1
    with ExitStack() as idle:
        connections = [idle.enter_context(connected(port)) for _ in range(SMALL.connections)]
        connections[0].sendall(b"GET /event HTTP/1.1\r\nHost: here\r\n\r\n")
        assert read_answer(connections[0]).status == 200
        with connected(port) as one_more:
            one_more.sendall(b"GET /event HTTP/1.1\r\nHost: here\r\n\r\n")
            refused = read_answer(one_more)
            refused.problem(503, "unavailable")
            assert (refused.headers["Connection"], one_more.recv(1)) == ("close", b"")
        silent = [idle.enter_context(connected(port)) for _ in range(SMALL.told + 2)]
        eventually(lambda: threads() - before == SMALL.connections + SMALL.told, what="a thread for each that is served or told")
        assert [each.recv(1) for each in silent] == [b""] * len(silent)
        assert threads() - before == SMALL.connections + SMALL.told
    eventually(lambda: call(port, "GET", "/event").status == 200, what="an answer when the others have gone")
