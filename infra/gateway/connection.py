"""One connection: waits for requests, has the gateway answer them, sends each response at once and whole."""

import logging
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

from infra.gateway.admission import Admission
from infra.gateway.messages import CORRELATION_HEADER, About, Request, Response
from infra.gateway.problems import UNEXPECTED, Problem, problem_response
from infra.gateway.wire import Exchange

RECEIVE_SIZE = 16 * 1024

logger = logging.getLogger(__name__)
access_log = logging.getLogger("infra.gateway.access")


@dataclass(frozen=True)
class Timeouts:
    """Seconds that a client has for its next request, for one that it has begun, to take a response, and to end a connection given up."""

    idle: float = 60.0
    request: float = 10.0
    send: float = 30.0
    linger: float = 5.0


class Connection:
    """A client's connection.

    Each wait for the client ends at a deadline: one that sends a byte now and then gets no further than one that sends none.
    """

    def __init__(self, connection: socket.socket, gateway: Admission, timeouts: Timeouts, is_stopping: Callable[[], bool]) -> None:
        # Together with one send a response, this saves the 40 ms that Nagle's algorithm and a delayed acknowledgement cost every request.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket, self._gateway, self._timeouts, self._is_stopping = connection, gateway, timeouts, is_stopping
        self._deadline = 0.0
        self._buffered, self._has_unread = b"", False

    def await_request(self) -> bool:
        """Wait for the first bytes of a request; whether they came before the connection's end or the time limit."""
        self._allow(self._timeouts.idle)
        with suppress(TimeoutError):
            # RFC 9112, section 2.2: some clients end a body with an empty line too many.
            while not self._buffered.lstrip(b"\r\n"):
                self._buffered = self._receive()
                if not self._buffered:
                    break
        return bool(self._buffered.lstrip(b"\r\n"))

    def answer(self) -> bool:
        """Read the request and answer it; whether another may follow. Raises OSError where the client is gone."""
        started = time.monotonic()
        self._allow(self._timeouts.request)
        exchange = Exchange(self._receive, self._socket.sendall, self._buffered.lstrip(b"\r\n"))
        try:
            request = exchange.read()
        except Problem as problem:
            response = self._problem(problem, exchange.about)
        except TimeoutError:
            detail = f"The request didn't come within {self._timeouts.request:g} seconds."
            response = self._problem(Problem(HTTPStatus.REQUEST_TIMEOUT, detail), exchange.about)
        else:
            response = self._respond(request, exchange.about)
        stays_open = exchange.is_read_whole and not self._is_stopping()
        try:
            response, message = self._encode(exchange, response, stays_open)
            self._socket.settimeout(self._timeouts.send)
            self._socket.sendall(message)
        finally:
            log(exchange.about, response, started)
        self._buffered, self._has_unread = exchange.rest, not exchange.is_read_whole
        return stays_open and exchange.stays_open

    def end(self) -> None:
        """Read on until the client has seen the last response, which could get lost: to close with unread bytes resets the connection."""
        if self._has_unread:
            self._socket.shutdown(socket.SHUT_WR)
            self._allow(self._timeouts.linger)
            while self._receive():
                pass

    def _allow(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds

    def _receive(self) -> bytes:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)
        return self._socket.recv(RECEIVE_SIZE)

    def _respond(self, request: Request, about: About) -> Response:
        try:
            response = self._gateway.answer(request)
        except Problem as problem:
            return self._problem(problem, about)
        except Exception:
            # The entry loop of a connection: an application's bug is one client's 500, and the next request is served.
            logger.exception("the application failed correlation_id=%s", about.correlation_id)
            return self._problem(Problem(HTTPStatus.INTERNAL_SERVER_ERROR, UNEXPECTED), about)
        if response.header(CORRELATION_HEADER) is None:
            response.headers.append((CORRELATION_HEADER, about.correlation_id))
        return response

    def _problem(self, problem: Problem, about: About) -> Response:
        problem.headers = {**self._gateway.cors_headers(about.path), **problem.headers}
        return problem_response(problem, about)

    def _encode(self, exchange: Exchange, response: Response, stays_open: bool) -> tuple[Response, bytes]:
        try:
            return response, exchange.encode(response, stays_open=stays_open)
        except ValueError:
            logger.exception("the application's response can't be sent")
            response = self._problem(Problem(HTTPStatus.INTERNAL_SERVER_ERROR, UNEXPECTED), exchange.about)
            return response, exchange.encode(response, stays_open=stays_open)


def log(about: About, response: Response, started: float) -> None:
    """Write the request's line into the access log."""
    access_log.info(
        "request method=%s path=%s status=%d ms=%.1f correlation_id=%s",
        about.method or "-",
        about.path or "-",
        response.status,
        (time.monotonic() - started) * 1000,
        response.header(CORRELATION_HEADER),
    )
