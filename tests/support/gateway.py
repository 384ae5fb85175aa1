"""A local gateway on a free port, and clients for it that show every byte."""

import http.client
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import cast

from chalice.app import Chalice
from chalice.config import Config

from infra.gateway.admission import Limits
from infra.gateway.connection import Timeouts
from infra.gateway.project import create_server
from infra.gateway.server import GatewayServer
from infra.stack.ports import HOST
from tests.support.answers import Answer

ROOT = Path(__file__).parents[2]


@contextmanager
def gateway_process(code: str, port: int, environment: Mapping[str, str], log: Path | None = None) -> Iterator["subprocess.Popen[str]"]:
    """A process that runs the code, which serves at `port`, once it says that it is ready; killed at the end. What it
    logs is piped, or written to a file.
    """
    ready, announced = os.pipe()
    settings = os.environ | {"HTTP_PORT": str(port), "READY_FD": str(announced)} | dict(environment)
    with log.open("w") if log else nullcontext() as file:
        stderr = file or subprocess.PIPE
        process = subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, env=settings, pass_fds=[announced], stdout=file, stderr=stderr, text=True
        )
    os.close(announced)
    with os.fdopen(ready, "rb") as pipe:
        assert pipe.read() == b"ready\n"
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def serving(app: Chalice, timeouts: Timeouts | None = None, limits: Limits | None = None) -> Iterator[GatewayServer]:
    """A gateway for this application, stopped at the end."""
    server = create_server(app, Config.create(project_dir=".", app_name=app.app_name), 0, timeouts=timeouts, limits=limits)
    server.start()
    yield server
    server.stop(grace_seconds=5)


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    """A raw connection to the gateway."""
    with closing(socket.create_connection((HOST, port), timeout=10)) as connection:
        yield connection


def read_answer(connection: socket.socket, method: str = "GET") -> Answer:
    """The next response on the connection."""
    response = http.client.HTTPResponse(connection, method=method)
    response.begin()
    return Answer(response.status, response.msg, response.read())


def exchange(port: int, message: bytes) -> Answer:
    """Send these bytes on a connection of their own and read one response."""
    with connected(port) as connection:
        connection.sendall(message)
        return read_answer(connection)


def call(
    port: int, method: str, target: str, body: bytes | None = None, headers: Mapping[str, str] | http.client.HTTPMessage | None = None
) -> Answer:
    """One ordinary request."""
    with closing(http.client.HTTPConnection(HOST, port, timeout=40)) as client:
        # A message is not a mapping, but has the one method that the client asks for, and may have a name twice.
        client.request(method, target, body, cast("Mapping[str, str]", headers or {}))
        response = client.getresponse()
        return Answer(response.status, response.msg, response.read())
