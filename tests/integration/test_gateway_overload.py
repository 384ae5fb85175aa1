"""Many times the load that the local gateway can carry: it answers what it takes in time, turns the rest away, and recovers at once."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from infra.gateway.admission import Limits
from infra.gateway.server import THREAD_NAME, GatewayServer
from tests.data.gateway_project.app import app
from tests.support.answers import Answer
from tests.support.eventually import eventually
from tests.support.gateway import call, connected, read_answer, serving

LIMITS = Limits(requests=4, connections=12, told=4)
# A request takes a tenth of a second, so that forty a second are all that four at once can be.
WORK, SECONDS, CAPACITY = "/wait/0.1", 2.5, 40
CLIENTS = 40


@pytest.fixture
def server() -> Iterator[GatewayServer]:
    with serving(app, limits=LIMITS) as running:
        yield running


def threads() -> int:
    return sum(thread.name == THREAD_NAME for thread in threading.enumerate())


def test_a_storm_is_shed_while_what_is_taken_is_answered_in_time_and_leaves_nothing_behind(server: GatewayServer) -> None:
    before, most = threads(), 0
    ending = time.monotonic() + SECONDS

    def storm(_: int) -> list[tuple[float, Answer]]:
        met = []
        while (begun := time.monotonic()) < ending:
            answer = call(server.server_port, "GET", WORK)
            met.append((time.monotonic() - begun, answer))
            # Clients and server share a process here: without a pause they would leave the server no time to serve.
            time.sleep(0.05)
        return met

    with ThreadPoolExecutor(CLIENTS) as clients:
        storms = [clients.submit(storm, number) for number in range(CLIENTS)]
        while time.monotonic() < ending:
            most = max(most, threads() - before)
            time.sleep(0.02)
        met = [each for made in storms for each in made.result()]

    served = [seconds for seconds, answer in met if answer.status == 200]
    turned_away = [answer for _, answer in met if answer.status != 200]
    assert len(turned_away) > len(served)
    assert 3 * LIMITS.requests < len(served) <= CAPACITY * SECONDS + LIMITS.requests
    assert max(served) < 10
    for answer in turned_away:
        answer.problem(503, "unavailable")
        assert answer.headers["Retry-After"] == "2"
    assert most <= LIMITS.connections + LIMITS.told
    for _ in range(10):
        assert call(server.server_port, "GET", WORK).status == 200


def test_connections_beyond_the_limit_are_told_and_closed(server: GatewayServer) -> None:
    port = server.server_port
    with ExitStack() as idle:
        connections = [idle.enter_context(connected(port)) for _ in range(LIMITS.connections)]
        connections[0].sendall(b"GET /event HTTP/1.1\r\nHost: here\r\n\r\n")
        assert read_answer(connections[0]).status == 200
        with connected(port) as one_more:
            one_more.sendall(b"GET /event HTTP/1.1\r\nHost: here\r\n\r\n")
            refused = read_answer(one_more)
            refused.problem(503, "unavailable")
            assert (refused.headers["Connection"], one_more.recv(1)) == ("close", b"")
        silent = [idle.enter_context(connected(port)) for _ in range(LIMITS.told + 2)]
        assert [each.recv(1) for each in silent] == [b""] * len(silent)
    eventually(lambda: call(port, "GET", "/event").status == 200, what="an answer when the others have gone")
