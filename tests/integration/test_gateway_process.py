"""The local gateway as a process of the stack: its settings, its readiness, its end."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress

import pytest

from infra.gateway.__main__ import host_setting, port_setting
from infra.stack.ports import HOST, accepts, free_port
from tests.support.eventually import eventually
from tests.support.gateway import ROOT, call, connected, gateway_process, read_answer

PROJECT = ROOT / "tests" / "data" / "gateway_project"
SERVE_PROJECT = f"from pathlib import Path; from infra.gateway.__main__ import main; main(Path({str(PROJECT)!r}))"
GIVEN_UP = "are given up"


@contextmanager
def running(port: int, environment: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    with gateway_process(SERVE_PROJECT, port, environment or {}) as process:
        yield process


def test_it_serves_as_soon_as_it_says_so_with_the_stages_environment_below_its_own_and_logs_to_stderr() -> None:
    with running(port := free_port(), {"FROM_BOTH": "supervisor"}) as process:
        answer = call(port, "GET", "/environment", headers={"X-Correlation-Id": "seen"})
        process.terminate()
        _, log = process.communicate(timeout=10)
    assert answer.json() == {"FROM_PROJECT": "project", "FROM_STAGE": "stage", "FROM_BOTH": "supervisor"}
    own, asked = [line for line in log.splitlines() if " request method=" in line]
    assert "path=/health/ready" in own
    assert asked.endswith(" correlation_id=seen")


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_without_a_wait_though_a_connection_is_open(ending: signal.Signals) -> None:
    with running(port := free_port()) as process, connected(port) as connection:
        connection.sendall(b"GET /event HTTP/1.1\r\nHost: here\r\n\r\n")
        assert read_answer(connection).status == 200
        process.send_signal(ending)
        _, log = process.communicate(timeout=10)
        assert (process.returncode, GIVEN_UP in log, connection.recv(1)) == (0, False, b"")


def test_a_running_request_is_answered_before_it_ends() -> None:
    with running(port := free_port()) as process, connected(port) as connection:
        connection.sendall(b"GET /wait/0.5 HTTP/1.1\r\nHost: here\r\n\r\n")
        # Answered after the first one began, since the first bytes were there before.
        assert call(port, "GET", "/event").status == 200
        process.send_signal(signal.SIGTERM)
        eventually(lambda: not accepts(HOST, port), what="the closed port")
        assert read_answer(connection).json() == {"waited": "0.5"}
        assert process.wait(timeout=10) == 0


def test_a_request_that_runs_on_is_given_up() -> None:
    with running(port := free_port()) as process, connected(port) as connection:
        connection.sendall(b"GET /wait/60 HTTP/1.1\r\nHost: here\r\n\r\n")
        assert call(port, "GET", "/event").status == 200
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=10)
        assert (process.returncode, GIVEN_UP in log) == (0, True)
        with suppress(ConnectionResetError):
            assert connection.recv(1) == b""


def test_it_starts_again_on_the_port_it_had() -> None:
    port = free_port()
    for _ in range(2):
        with running(port), connected(port) as connection:
            connection.sendall(b"GET /event HTTP/1.1\r\nHost: here\r\n\r\n")
            assert read_answer(connection).status == 200


def test_a_port_that_is_taken_is_named() -> None:
    with closing(socket.create_server((HOST, 0))) as other:
        port = other.getsockname()[1]
        environment = os.environ | {"HTTP_PORT": str(port)}
        ended = subprocess.run(
            [sys.executable, "-c", SERVE_PROJECT], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
    assert (ended.returncode, ended.stdout, ended.stderr.strip()) == (1, "", f"HTTP_PORT {port} is already in use on {HOST}")


@pytest.mark.parametrize("value", ["", "http", "-1", "65536", "80.5", "８０"])
def test_a_port_that_is_none_is_named(value: str) -> None:
    with pytest.raises(SystemExit, match=f"^HTTP_PORT must be a port number, not {value!r}$"):
        port_setting({"HTTP_PORT": value})


def test_it_listens_on_the_address_that_it_is_given() -> None:
    with running(port := free_port(), {"HTTP_HOST": "127.0.0.2"}) as process:
        assert accepts("127.0.0.2", port)
        assert not accepts(HOST, port)
        process.terminate()
        _, log = process.communicate(timeout=10)
    assert f"the API listens on http://127.0.0.2:{port}" in log


def test_without_an_address_it_listens_on_this_machine_alone() -> None:
    assert host_setting({}) == host_setting({"HTTP_HOST": ""}) == HOST


@pytest.mark.parametrize("value", ["localhost", "::1", "0.0.0.256"])
def test_an_address_that_is_none_is_named(value: str) -> None:
    with pytest.raises(SystemExit, match=f"^HTTP_HOST must be an IPv4 address, not {value!r}$"):
        host_setting({"HTTP_HOST": value})
