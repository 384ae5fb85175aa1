"""One connection: reads requests, has the gateway answer them, sends each answer at once and whole."""

import io
import logging
import socket
import time
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from chalice.app import Chalice
from chalice.config import Config
from chalice.local import ChaliceRequestHandler

from infra.gateway import wire
from infra.gateway.api import Gateway
from infra.gateway.problems import CORRELATION_HEADER, UNEXPECTED, Problem, correlation_id, problem_response, settle_correlation_id
from infra.gateway.server import GatewayServer

IDLE_SECONDS = 60.0
REQUEST_SECONDS = 10.0
SEND_SECONDS = 30.0
LINGER_SECONDS = 5.0

logger = logging.getLogger(__name__)
access_log = logging.getLogger("infra.gateway.access")


class TimedReader(io.RawIOBase):
    """A connection's bytes until a deadline: a client that sends one byte now and then gets no further than one that sends none."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._deadline = 0.0

    def allow(self, seconds: float) -> None:
        """Move the deadline to `seconds` from now."""
        self._deadline = time.monotonic() + seconds

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what is there, or wait for it. Raises TimeoutError at the deadline."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)


class GatewayHandler(ChaliceRequestHandler):
    """`chalice local`'s handler; what it gets wrong on the wire is put right here and in `wire`."""

    # Together with one send an answer, this saves the 40 ms that Nagle's algorithm and a delayed acknowledgement cost every request.
    disable_nagle_algorithm = True
    server: GatewayServer

    def __init__(self, request: Any, client_address: Any, server: GatewayServer, app_object: Chalice, config: Config) -> None:
        self.local_gateway = self.gateway = Gateway(app_object, config)
        # Not the parent's, which would make a gateway of its own; this serves the connection before it returns.
        BaseHTTPRequestHandler.__init__(self, request, client_address, server)

    def setup(self) -> None:
        """Read the connection through deadlines."""
        super().setup()
        self._input = TimedReader(self.connection)
        self._stream = io.BufferedReader(self._input)

    def handle_one_request(self) -> None:
        """Wait for a request, answer it, and decide whether the connection stays open."""
        self.close_connection = True
        self._input.allow(IDLE_SECONDS)
        try:
            if not self._stream.peek(1):
                return
        except TimeoutError:
            return
        with self.server.running_request():
            has_unread = self._exchange()
        if has_unread:
            self._linger()

    def _exchange(self) -> bool:
        """Read one request and answer it; whether the client may still be sending parts of it."""
        started = time.monotonic()
        self._line: wire.RequestLine | None = None
        self._headers: wire.Headers | None = None
        try:
            request = self._read_request()
        except wire.RequestError as error:
            response = self._problem(Problem(error.status, error.detail))
        except TimeoutError:
            response = self._problem(Problem(HTTPStatus.REQUEST_TIMEOUT, f"The request didn't come within {REQUEST_SECONDS:g} seconds."))
        else:
            if request is None:
                return False
            response = self._respond(request)
            self.close_connection = self.server.is_stopping or not request.body.complete or not wire.stays_open(request)
            self._send(response, started)
            return not request.body.complete
        self._send(response, started)
        return True

    def _read_request(self) -> wire.Request | None:
        self._input.allow(REQUEST_SECONDS)
        self._line = wire.read_request_line(self._stream)
        if self._line is None:
            return None
        self._headers = wire.read_headers(self._stream)
        settle_correlation_id(self._headers)
        if wire.awaits_continue(self._line, self._headers):
            self.connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        return wire.Request(self._line, self._headers, wire.read_body(self._stream, self._headers))

    def _respond(self, request: wire.Request) -> wire.Response:
        try:
            return self.gateway.answer(request)
        except Problem as problem:
            return self._problem(problem)
        except Exception:
            # The entry loop of a connection: an application's bug is one client's 500, and the next request is served.
            response = self._problem(Problem(HTTPStatus.INTERNAL_SERVER_ERROR, UNEXPECTED))
            logger.exception("the application failed correlation_id=%s", response.header(CORRELATION_HEADER))
            return response

    def _problem(self, problem: Problem) -> wire.Response:
        path = self._line.path if self._line is not None else "/"
        problem.headers = {**self.gateway.cors_headers(path), **problem.headers}
        return problem_response(problem, path, self._headers)

    def _send(self, response: wire.Response, started: float) -> None:
        try:
            message = self._encode(response)
        except ValueError:
            logger.exception("the application's answer can't be sent")
            response = self._problem(Problem(HTTPStatus.INTERNAL_SERVER_ERROR, UNEXPECTED))
            message = self._encode(response)
        try:
            self.connection.settimeout(SEND_SECONDS)
            self.connection.sendall(message)
        finally:
            self._log(response, started)

    def _encode(self, response: wire.Response) -> bytes:
        if response.header(CORRELATION_HEADER) is None:
            response.headers.append((CORRELATION_HEADER, correlation_id(self._headers)))
        is_head = self._line is not None and self._line.method == "HEAD"
        connection = [("Connection", "close" if self.close_connection else "keep-alive")]
        return wire.encode_response(response, with_body=not is_head, extra_headers=connection)

    def _log(self, response: wire.Response, started: float) -> None:
        access_log.info(
            "request method=%s path=%s status=%d ms=%.1f correlation_id=%s",
            self._line.method if self._line is not None else "-",
            self._line.path if self._line is not None else "-",
            response.status,
            (time.monotonic() - started) * 1000,
            response.header(CORRELATION_HEADER),
        )

    def _linger(self) -> None:
        """Read on until the client has seen the answer: closing a connection with unread bytes resets it, and the answer can get lost."""
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self._input.allow(LINGER_SECONDS)
            while self._stream.read1(64 * 1024):
                pass
