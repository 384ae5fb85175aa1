"""People who use the API while parts of it are away: every request is logged, and repeated until its answer is known."""

import json
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from infra.stack import devkeys
from tests.support.history import Request

PATIENCE_SECONDS, EMULATED_PATIENCE_SECONDS = 5.0, 20.0
PROBLEM = "application/problem+json"
# Between a request and its repetition.
PAUSE_SECONDS = (0.2, 1.0)
TOO_BUSY = (429, 503)


class Log:
    """What all clients asked for and saw, in the order in which the answers came."""

    def __init__(self) -> None:
        self._requests: list[Request] = []
        self._lock = threading.Lock()

    def add(self, request: Request) -> None:
        with self._lock:
            self._requests.append(request)

    @property
    def requests(self) -> Sequence[Request]:
        with self._lock:
            return tuple(self._requests)


class Service:
    """Where the API is just now, and who may give tokens for it; `port` is where clients connect, which may be a proxy's.

    With `emulated` an error that is no problem of the API's is the emulator's own, which tells nothing of what has happened.
    """

    def __init__(self, url: Callable[[], str], port: int, data_dir: Path, log: Log, *, emulated: bool = False) -> None:
        self._url, self._port, self._data_dir, self._log, self._emulated = url, port, data_dir, log, emulated
        self.patience = EMULATED_PATIENCE_SECONDS if emulated else PATIENCE_SECONDS
        self.ending = threading.Event()

    def person(self, sub: str, role: str, random: Random) -> "Person":
        """Somebody with a token."""
        return Person(self, sub, role, devkeys.token(self._data_dir, (role,), sub, datetime.now(UTC)), random)

    def send(self, method: str, path: str, body: bytes | None, headers: dict[str, str], seconds: float) -> tuple[int, Any, bool]:
        """One request: status, JSON, and whether it is an answer that was given before. Raises OSError, HTTPException."""
        with closing(HTTPConnection("127.0.0.1", self._port, timeout=seconds)) as connection:
            connection.request(method, f"{urlsplit(self._url()).path}{path}", body, headers)
            response = connection.getresponse()
            text = response.read()
            if self._emulated and response.status >= 400 and response.getheader("Content-Type") != PROBLEM:
                raise HTTPException(f"no answer of the API's: {response.status}")
            return response.status, _parsed(text), response.getheader("Idempotency-Replayed") == "true"

    def log(self, request: Request) -> Request:
        self._log.add(request)
        return request


class Person:
    """One caller, in one role."""

    def __init__(self, service: Service, sub: str, role: str, token: str, random: Random) -> None:
        self.sub, self.role = sub, role
        self._service, self._token, self._random = service, token, random

    def ask(self, method: str, path: str, body: Any = None, *, key: str | None = None, wait: int | None = None) -> Request:
        """Send a request once, and log it."""
        correlation_id = str(uuid4())
        given = {"Idempotency-Key": key, "Prefer": None if wait is None else f"wait={wait}"}
        headers = {"Authorization": f"Bearer {self._token}", "X-Correlation-Id": correlation_id, "Content-Type": "application/json"}
        headers |= {name: value for name, value in given.items() if value}
        text, start = None if body is None else json.dumps(body).encode(), time.monotonic()
        try:
            status, answer, replayed = self._service.send(method, path, text, headers, self._service.patience + (wait or 0))
        except (OSError, HTTPException):
            status, answer, replayed = None, None, False
        end = time.monotonic()
        seen = Request(self.sub, self.role, method, path, correlation_id, start, end, status, body, key, answer, replayed)
        return self._service.log(seen)

    def insist(self, method: str, path: str, body: Any = None, *, seconds: float = 60, **how: Any) -> Request:
        """Send a request, and the same again until the answer is known, the time is over or the run ends."""
        deadline = time.monotonic() + seconds
        while True:
            request = self.ask(method, path, body, **how)
            if _known(request) or time.monotonic() > deadline or self.pause():
                return request

    def pause(self, longest: float = PAUSE_SECONDS[1]) -> bool:
        """Wait a moment; whether the run ends."""
        return self._service.ending.wait(self._random.uniform(PAUSE_SECONDS[0], longest))


def _known(request: Request) -> bool:
    """Whether asking again can bring nothing new."""
    if request.unknown or request.status is None or request.status in TOO_BUSY:
        return False
    in_flight = request.status == 409 and isinstance(request.answer, dict) and str(request.answer.get("type")).endswith("/in-flight")
    return not in_flight and (request.changes or request.status < 500)


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text.decode(errors="replace")
