"""A client of the running service, as the end-to-end tests use it."""

from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.answers import Answer
from tests.support.edge import DETAILS, ORDERS, Caller, Edge

# What a call raises while the service is away.
AWAY = (OSError, HTTPException)


class Api:
    """One person's calls to a stack."""

    def __init__(self, url: str, data_dir: Path, sub: str, role: str = "customer") -> None:
        self._edge = Edge(urlsplit(url).port or 0, data_dir)
        self._caller = Caller(sub, (role,))

    @property
    def token(self) -> str:
        return self._edge.token(self._caller)

    def call(self, method: str, path: str, body: Any = None, *, wait: int | None = None, **headers: str) -> Answer:
        """Send a request; `body` is sent as JSON, unless it is bytes already."""
        waiting = {} if wait is None else {"Prefer": f"wait={wait}"}
        return self._edge.call(method, path, self._caller, body, **waiting, **headers)

    def order(self, customer: str | None = None, *, wait: int | None = 20) -> Answer:
        """Place an order for oneself, or as an admin for a customer."""
        whose = {} if customer is None else {"customerId": customer}
        return self.call("POST", ORDERS, {**whose, "orderDetails": DETAILS}, wait=wait)
