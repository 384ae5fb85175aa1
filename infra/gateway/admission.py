"""How much the server takes on at once: what is more is turned away, so that what it has taken is answered in time."""

import threading
from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple

from infra.gateway.api import Gateway
from infra.gateway.messages import Request, Response
from infra.gateway.problems import RETRY_SECONDS, TOO_MUCH, Problem


class Limits(NamedTuple):
    """Requests worked on at once, as many as API Gateway lets through in one burst; connections served at once, idle ones included; and
    how many connections more are told, one answer each, that it is too much. Who comes beyond these waits to be accepted.
    """

    requests: int = 200
    connections: int = 1000
    told: int = 50


class Admission:
    """A gateway that works on so many requests at once; the others raise Problem: 503 with `Retry-After`."""

    def __init__(self, gateway: Gateway, most: int) -> None:
        self._gateway, self._most = gateway, most
        self._at_work = 0
        self._lock = threading.Lock()

    def answer(self, request: Request) -> Response:
        """What the gateway answers."""
        with self._lock:
            if self._at_work >= self._most:
                raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, TOO_MUCH, {"Retry-After": RETRY_SECONDS})
            self._at_work += 1
        try:
            return self._gateway.answer(request)
        finally:
            with self._lock:
                self._at_work -= 1

    def cors_headers(self, path: str) -> Mapping[str, str]:
        """The gateway's."""
        return self._gateway.cors_headers(path)
