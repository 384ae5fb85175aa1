"""Requests to the application in this process, through Chalice's own local gateway, with tokens of the local issuer."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from chalice.app import Chalice
from chalice.test import Client

from infra.stack.devkeys import token

ENVIRONMENT = os.environ
NEW_ORDER_BODY: Mapping[str, Any] = {
    "orderDetails": {
        "foodItems": [{"name": "Chicken rice", "price": "4.50", "quantity": 2}],
        "storeLocation": "Koufu",
        "deliveryLocation": "Hall 5, room 210",
    }
}


@dataclass(frozen=True)
class Answer:
    """One response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def problem(self, status: int, name: str) -> Any:
        """The problem details that this answer must be."""
        assert (self.status, self.headers["Content-Type"]) == (status, "application/problem+json"), self
        problem = self.json()
        assert (problem["status"], problem["type"]) == (status, f"/problems/{name}")
        assert problem["correlationId"] == self.headers["X-Correlation-Id"]
        return problem


class Http:
    """A client for one application. Each request has a token, or none."""

    def __init__(self, app: Chalice, keys: Path) -> None:
        self._app, self._keys = app, keys

    def customer(self, sub: str) -> str:
        return self.token(sub, "customer")

    def runner(self, sub: str) -> str:
        return self.token(sub, "runner")

    def admin(self) -> str:
        return self.token("adm_1", "admin")

    def token(self, sub: str, *roles: str) -> str:
        return token(self._keys, roles, sub, datetime.now(UTC))

    def get(self, path: str, bearer: str | None = None, query: Mapping[str, Any] | None = None, **headers: str) -> Answer:
        target = f"{path}?{urlencode(query, doseq=True)}" if query else path
        return self._request("GET", target, bearer, b"", headers)

    def post(self, path: str, body: Any, bearer: str | None = None, **headers: str) -> Answer:
        """`body` is sent as it is where it is bytes, else as JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self._request("POST", path, bearer, raw, {"content_type": "application/json", **headers})

    def _request(self, method: str, target: str, bearer: str | None, body: bytes, headers: Mapping[str, str]) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if bearer:
            named["authorization"] = f"Bearer {bearer}"
        try:
            with Client(self._app) as client:
                response = client.http.request(method, target, headers=named, body=body)
        finally:
            # Chalice's client puts a plain dictionary in its place meanwhile, and of two threads one puts the other's back. What is set in
            # that reaches no library that reads the environment itself, such as OpenSSL.
            os.environ = ENVIRONMENT  # noqa: B003 - the object itself, not what stands in it
        return Answer(response.status_code, response.headers, response.body)
