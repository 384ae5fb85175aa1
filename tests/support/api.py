"""A client of the running service, as the end-to-end tests use it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from infra.stack import devkeys

DETAILS: dict[str, Any] = {
    "foodItems": [{"name": "Chicken rice", "price": "4.50", "quantity": 2}],
    "storeLocation": "Koufu",
    "deliveryLocation": "Hall 5, room 210",
}


@dataclass(frozen=True)
class Api:
    """One person's calls; tokens are made in process, so that a thousand calls don't start a thousand programs."""

    url: str
    data_dir: Path
    sub: str
    roles: tuple[str, ...] = ("customer",)

    def call(self, method: str, path: str, body: Any = None, *, wait: int | None = None, **headers: str) -> requests.Response:
        """Send a request; `body` is sent as JSON, unless it is bytes already."""
        token = devkeys.token(self.data_dir, self.roles, self.sub, datetime.now(UTC))
        sent = {"Authorization": f"Bearer {token}", **({"Prefer": f"wait={wait}"} if wait is not None else {}), **headers}
        if isinstance(body, bytes):
            return requests.request(method, self.url + path, data=body, headers={"Content-Type": "application/json", **sent}, timeout=40)
        return requests.request(method, self.url + path, json=body, headers=sent, timeout=40)

    def order(self, *, wait: int | None = 20) -> requests.Response:
        """Place an order for oneself."""
        return self.call("POST", "/api/orders", {"orderDetails": DETAILS}, wait=wait)
