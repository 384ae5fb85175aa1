"""The local gateway as a server: connections, framing, limits, and errors in the API's own form."""

import http.client
import json
import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any

import pytest
from chalice.config import Config

from chalicelib.entrypoints.http import BODY_LIMIT
from infra.gateway.api import Gateway
from infra.gateway.connection import Connection, Timeouts
from infra.gateway.server import GatewayServer
from infra.stack.ports import HOST
from tests.data.gateway_project.app import GUESTS, app
from tests.support.eventually import eventually
from tests.support.gateway import call, connected, exchange, read_answer, serving

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
IDS_ALPHABET = "Az09_.:@|-"


@pytest.fixture(scope="module")
def server() -> Iterator[GatewayServer]:
    with serving(app) as running:
        yield running


@pytest.fixture
def port(server: GatewayServer) -> int:
    return server.server_port


def test_a_connection_serves_one_request_after_another(port: int) -> None:
    with connected(port) as connection:
        for _ in range(3):
            connection.sendall(b"GET /event HTTP/1.1\r\nHost: here\r\n\r\n")
            answer = read_answer(connection)
            assert (answer.status, answer.headers["Connection"]) == (200, "keep-alive")


def test_requests_sent_together_are_answered_in_order(port: int) -> None:
    with connected(port) as connection:
        first = b"POST /measure HTTP/1.1\r\nHost: here\r\nContent-Length: 2\r\n\r\n{}"
        connection.sendall(first + b"GET /nowhere HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        everything = b"".join(iter(lambda: connection.recv(65536), b""))
    assert re.findall(rb"HTTP/1.1 (\d+)", everything) == [b"200", b"404"]


@pytest.mark.parametrize(
    ("version", "option", "stays"),
    [("1.1", "", True), ("1.1", "close", False), ("1.1", "Close, x", False), ("1.0", "", False), ("1.0", "keep-alive", False)],
)
def test_the_client_decides_whether_the_connection_stays_open(port: int, version: str, option: str, stays: bool) -> None:
    with connected(port) as connection:
        connection.sendall(f"GET /event HTTP/{version}\r\nHost: here\r\nConnection: {option}\r\n\r\n".encode())
        assert read_answer(connection).headers["Connection"] == ("keep-alive" if stays else "close")
        if not stays:
            assert connection.recv(1) == b""


class ScriptedClient:
    """The socket of a client that asks once: what was set on it, and what was sent to it in which piece."""

    def __init__(self, message: bytes) -> None:
        self.received = iter([message])
        self.options: list[tuple[int, ...]] = []
        self.sent: list[bytes] = []

    def setsockopt(self, *option: int) -> None:
        self.options.append(option)

    def settimeout(self, seconds: float) -> None: ...

    def recv(self, _: int) -> bytes:
        return next(self.received, b"")

    def sendall(self, piece: bytes) -> None:
        self.sent.append(piece)


@pytest.mark.parametrize("path", ["/event", "/large", "/nowhere", "/nothing"])
def test_a_response_leaves_in_one_piece_that_is_not_held_back(path: str) -> None:
    client: Any = ScriptedClient(f"GET {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
    gateway = Gateway(app, Config.create(project_dir=".", app_name=app.app_name))
    connection = Connection(client, gateway, Timeouts(), lambda: False)
    assert connection.await_request() and connection.answer() and not connection.await_request()
    (piece,) = client.sent
    assert piece.startswith(b"HTTP/1.1 ") and b"\r\n\r\n" in piece
    assert client.options == [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]


def test_no_request_starts_a_thread_and_connections_that_end_leave_theirs_to_the_next(port: int) -> None:
    before: set[threading.Thread] = set()
    with ExitStack() as clients:
        connections = [clients.enter_context(connected(port)) for _ in range(64)]
        for _ in range(3):
            for connection in connections:
                connection.sendall(b"GET /event HTTP/1.1\r\nHost: here\r\n\r\n")
            assert [read_answer(connection).status for connection in connections] == [200] * 64
            before = before or set(threading.enumerate())
            assert set(threading.enumerate()) <= before
    for _ in range(10):
        assert call(port, "GET", "/event").status == 200
    assert set(threading.enumerate()) <= before


def test_a_hundred_waiting_requests_are_served_at_once(port: int) -> None:
    with ThreadPoolExecutor(GUESTS) as pool:
        answers = list(pool.map(lambda guest: call(port, "GET", f"/meet?guest={guest}"), range(GUESTS)))
    assert [answer.json() for answer in answers] == [{"guest": str(guest)} for guest in range(GUESTS)]


@pytest.mark.parametrize(
    ("message", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"GET /event HTTP/1.1\r\n\r\n", 400),
        (b"GET /event HTTP/3.0\r\n\r\n", 505),
        (b"POST /measure HTTP/1.1\r\nHost: here\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n1234", 400),
        (b"POST /measure HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST /measure HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: gzip\r\n\r\n1234", 501),
        (b"GET /event HTTP/1.1\r\nHost: here\r\n" + b"A: b\r\n" * 4000 + b"\r\n", 431),
        (b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: here\r\n\r\n", 414),
    ],
)
def test_a_message_that_cannot_be_read_is_a_problem_and_ends_the_connection(port: int, message: bytes, status: int) -> None:
    with connected(port) as connection:
        connection.sendall(message)
        answer = read_answer(connection)
        answer.problem(status, "invalid")
        assert answer.headers["Connection"] == "close"
        assert connection.recv(1) == b""


def test_a_chunked_body_reaches_the_application_decoded(port: int) -> None:
    answer = exchange(port, b"POST /measure HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{ }\r\n0\r\n\r\n")
    assert answer.json()["length"] == 3
    event = answer.json()["event"]
    assert event["body"] == "{ }"
    assert "transfer-encoding" not in event["headers"]


@pytest.mark.parametrize("size", [BODY_LIMIT, BODY_LIMIT + 1, BODY_LIMIT + 2, 5_000_000])
def test_the_application_sees_a_body_up_to_one_byte_over_the_limit_and_the_client_its_answer(port: int, size: int) -> None:
    answer = call(port, "POST", "/measure", b"x" * size, {"Content-Type": "application/json"})
    assert (answer.status, answer.json()["length"]) == (200, min(size, BODY_LIMIT + 1))


def test_an_over_long_chunked_body_reaches_the_application_cut_and_the_client_gets_the_answer(port: int) -> None:
    with closing(http.client.HTTPConnection(HOST, port, timeout=10)) as client:
        client.request("POST", "/measure", (b"x" * 10_000 for _ in range(300)), {"Content-Type": "application/json"}, encode_chunked=True)
        assert json.load(client.getresponse())["length"] == BODY_LIMIT + 1


def test_a_path_and_a_token_are_checked_before_the_size_of_the_body(port: int) -> None:
    too_large = b"x" * (BODY_LIMIT * 4)
    call(port, "POST", "/nowhere", too_large).problem(404, "not-found")
    call(port, "DELETE", "/measure", too_large).problem(405, "method-not-allowed")
    call(port, "PATCH", "/things/1", too_large).problem(401, "unauthorized")


def test_a_request_that_stops_coming_is_a_timeout() -> None:
    with serving(app, Timeouts(request=0.05)) as server:
        for message in (b"POST /measure HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\n\r\n{", b"GET /event HTTP/1.1\r\nHost:", b"GET /ev"):
            assert exchange(server.server_port, message).problem(408, "invalid")["correlationId"]


def test_a_body_that_comes_in_drops_is_a_timeout_all_the_same() -> None:
    with serving(app, Timeouts(request=0.2)) as server, connected(server.server_port) as connection:
        connection.sendall(b"POST /measure HTTP/1.1\r\nHost: here\r\nContent-Length: 100000\r\n\r\n")
        connection.settimeout(0.02)
        answer = eventually(lambda: _drip(connection), what="the answer")
    assert answer.startswith(b"HTTP/1.1 408 ")


def _drip(connection: socket.socket) -> bytes:
    connection.sendall(b"x")
    try:
        return connection.recv(65536)
    except TimeoutError:
        return b""


def test_a_body_shorter_than_it_says_is_a_problem(port: int) -> None:
    with connected(port) as connection:
        connection.sendall(b"POST /measure HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\n\r\n{")
        connection.shutdown(socket.SHUT_WR)
        read_answer(connection).problem(400, "invalid")


def test_an_idle_connection_is_closed_without_a_word() -> None:
    with serving(app, Timeouts(idle=0.5)) as server, connected(server.server_port) as connection:
        connection.sendall(b"\r\n")
        assert connection.recv(1) == b""


@pytest.mark.parametrize("given", ["a", "0192f0c1-aaaa-7bbb-8ccc-1234567890ab", IDS_ALPHABET, "x" * 128])
def test_the_callers_correlation_id_comes_back(port: int, given: str) -> None:
    for path in ("/event", "/nowhere", "/nothing"):
        assert call(port, "GET", path, headers={"X-Correlation-Id": given}).headers["X-Correlation-Id"] == given


@pytest.mark.parametrize("given", [None, "", "x" * 129, "with space", "semi;colon", 'quo"te', "caf\xe9", "a%0d%0aSet-Cookie:b"])
def test_without_a_usable_correlation_id_there_is_a_new_one(port: int, given: str | None) -> None:
    headers = {} if given is None else {"X-Correlation-Id": given}
    seen = {call(port, "GET", path, headers=headers).headers["X-Correlation-Id"] for path in ("/event", "/nowhere", "/fails")}
    assert len(seen) == 3
    assert all(UUID7.fullmatch(new) for new in seen)


@pytest.mark.parametrize("given", [b"", b"X-Correlation-Id: not usable\r\n", b"X-Correlation-Id: one\r\nX-Correlation-Id: two\r\n"])
def test_the_application_sees_the_correlation_id_that_the_answer_carries(port: int, given: bytes) -> None:
    answer = exchange(port, b"GET /event HTTP/1.1\r\nHost: here\r\n" + given + b"\r\n")
    assert answer.json()["multiValueHeaders"]["x-correlation-id"] == [answer.headers["X-Correlation-Id"]]


def test_stopping_lets_a_running_request_end_and_closes_its_connection() -> None:
    with serving(app) as server, connected(server.server_port) as connection:
        connection.sendall(b"GET /wait/0.3 HTTP/1.1\r\nHost: here\r\n\r\n")
        eventually(lambda: server.running == 1, what="the request")
        assert server.stop(grace_seconds=5)
        answer = read_answer(connection)
        assert (answer.json(), answer.headers["Connection"]) == ({"waited": "0.3"}, "close")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOST, server.server_port))


def test_stopping_gives_up_a_request_that_takes_longer() -> None:
    with serving(app) as server, connected(server.server_port) as connection:
        connection.sendall(b"GET /wait/0.4 HTTP/1.1\r\nHost: here\r\n\r\n")
        eventually(lambda: server.running == 1, what="the request")
        assert not server.stop(grace_seconds=0.05)


def test_the_access_log_has_one_line_a_request_without_query_headers_or_body(server: GatewayServer, caplog: Any) -> None:
    # A request is logged after its answer is sent: those of the tests before may still be at it.
    eventually(lambda: server.running == 0, what="quiet")
    port = server.server_port
    headers = {"Authorization": "Bearer good", "X-Correlation-Id": "seen"}
    with caplog.at_level("INFO", logger="infra.gateway.access"):
        call(port, "PATCH", "/things/1?secret=query", b'{"secret": "body"}', headers)
        exchange(port, b"SECRET\r\n\r\n")
        eventually(lambda: len(caplog.messages) == 2, what="two lines")
    # Each is logged after its answer is sent, so the second may be first.
    refused, served = sorted(caplog.messages)
    assert re.fullmatch(r"request method=PATCH path=/things/1 status=200 ms=\d+\.\d correlation_id=seen", served)
    assert re.match(r"request method=- path=- status=400 ms=\d+\.\d correlation_id=", refused)


def test_a_client_that_goes_away_leaves_no_trace(server: GatewayServer, caplog: Any) -> None:
    for _ in range(5):
        with connected(server.server_port) as connection:
            connection.sendall(b"POST /measure HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\n\r\n{")
    eventually(lambda: server.running == 0, what="quiet")
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
