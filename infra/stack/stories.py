"""What `make demo` plays: orders of every fate, over HTTP only, each with the end it must come to."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests

from infra.operator.api import unanswered
from infra.stack.devkeys import token

LOOK_EVERY_SECONDS = 0.1
WAIT_SECONDS = 10
ENDED = frozenset({"COMPLETED", "COMPENSATED", "FAILED"})
ORDER = {
    "foodItems": [{"name": "Chicken rice", "price": "4.50", "quantity": 2}],
    "storeLocation": "Koufu",
    "deliveryLocation": "Hall 5, room 210",
}


class StoryError(Exception):
    """Something didn't go as the story says; its arguments are the lines that say what."""


class Api:
    """The order service as its clients see it; every call has to be over by `deadline`, on the monotonic clock."""

    def __init__(self, url: str, data_dir: Path, deadline: float) -> None:
        self._url, self._data_dir, self._deadline = url, data_dir, deadline

    def place(self, customer: str, expected: int = 201, *, wait: bool = True) -> str:
        """Order something; the order's id."""
        answer = self._call("POST", "/api/orders", ("customer", customer), {"orderDetails": ORDER}, wait=wait)
        return str(self._checked(answer, expected)["order"]["orderId"])

    def accept(self, order_id: str, runner: str, expected: int = 200) -> None:
        """Have a runner accept the order."""
        body = {"runnerId": runner}
        self._checked(self._call("POST", f"/api/orders/{order_id}/accept", ("runner", runner), body, wait=True), expected)

    def ask(self, order_id: str, what: str, role: str, sub: str) -> None:
        """Have `complete`, `cancel` or `cancel-acceptance` done."""
        self._checked(self._call("POST", f"/api/orders/{order_id}/{what}", (role, sub), {}, wait=True), 200)

    def move(self, order_id: str, runner: str, status: str) -> None:
        """Have the runner set the next status."""
        self._checked(self._call("PATCH", f"/api/orders/{order_id}/status", ("runner", runner), {"status": status}), 200)

    def order(self, order_id: str) -> Mapping[str, Any]:
        """The order as it is now."""
        return self._get(f"/api/orders/{order_id}")

    def history(self, order_id: str) -> list[Mapping[str, Any]]:
        """The order's history, oldest first."""
        items: list[Mapping[str, Any]] = self._get(f"/api/orders/{order_id}/history")["items"]
        return items

    def saga(self, saga_id: str) -> Mapping[str, Any]:
        """One saga."""
        return self._get(f"/api/sagas/{saga_id}")

    def wait_until(self, what: str, is_so: Callable[[], bool]) -> None:
        """Look again and again; raises StoryError at the deadline."""
        while not is_so():
            if time.monotonic() > self._deadline:
                raise StoryError(f"{what} did not happen in time")
            time.sleep(LOOK_EVERY_SECONDS)

    def give_up(self) -> None:
        """Let whatever still waits, in any thread, raise StoryError at once."""
        self._deadline = 0.0

    def _get(self, path: str) -> dict[str, Any]:
        return self._checked(self._call("GET", path, ("admin", "demo")), 200)

    def _call(self, method: str, path: str, who: tuple[str, str], body: Any = None, *, wait: bool = False) -> requests.Response:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise StoryError("the demo's time is over")
        role, sub = who
        headers = {"Authorization": f"Bearer {token(self._data_dir, [role], sub, datetime.now(UTC))}"}
        if wait:
            headers["Prefer"] = f"wait={WAIT_SECONDS}"
        try:
            return requests.request(method, self._url + path, json=body, headers=headers, timeout=min(left, WAIT_SECONDS + 5))
        except requests.RequestException as error:
            raise StoryError(f"{method} {path}: the API {unanswered(error)}") from error

    def _checked(self, answer: requests.Response, expected: int) -> dict[str, Any]:
        if answer.status_code != expected:
            where = f"{answer.request.method} {answer.request.path_url}"
            raise StoryError(f"{where} was answered {answer.status_code} and not {expected}: {answer.text[:300]}")
        content: dict[str, Any] = answer.json()
        return content


@dataclass(frozen=True)
class Story:
    """One order's fate: `tell` plays it and returns the order's id. `sagas` as `name status error`, oldest first."""

    title: str
    tell: Callable[[Api], str]
    order_status: str
    payment_status: str
    sagas: tuple[str, ...]


def _whole_life(api: Api) -> str:
    order_id = api.place("anna")
    api.accept(order_id, "ravi")
    for status in ("COLLECTED", "ON_THE_WAY", "DELIVERED"):
        api.move(order_id, "ravi", status)
    api.ask(order_id, "complete", "customer", "anna")
    return order_id


def _cancelled_while_created(api: Api) -> str:
    """The bank of this customer never answers, so the creation is certainly under way."""
    order_id = api.place("silent_susi", 202, wait=False)
    api.wait_until("the wait for the bank", lambda: api.order(order_id)["orderStatus"] == "PENDING_PAYMENT")
    api.ask(order_id, "cancel", "customer", "silent_susi")
    return order_id


def _runner_rejected(api: Api) -> str:
    order_id = api.place("anna")
    api.accept(order_id, "rejected_rolf", 422)
    return _cancelled(api, order_id)


def _cancelled_after_acceptance(api: Api) -> str:
    order_id = api.place("anna")
    api.accept(order_id, "ravi")
    return _cancelled(api, order_id)


def _given_back(api: Api) -> str:
    order_id = api.place("anna")
    api.accept(order_id, "ravi")
    api.ask(order_id, "cancel-acceptance", "runner", "ravi")
    return _cancelled(api, order_id)


def _cancelled(api: Api, order_id: str) -> str:
    api.ask(order_id, "cancel", "customer", "anna")
    return order_id


def _silent(api: Api) -> str:
    order_id = api.place("silent_sven", 202, wait=False)
    saga_id = str(api.order(order_id)["activeSagaId"])
    api.wait_until("the end of a saga whose partner is silent", lambda: api.saga(saga_id)["status"] in ENDED)
    return order_id


def _timed_out(api: Api) -> str:
    order_id = api.place("anna")
    api.wait_until("the end of an order that nobody accepts", lambda: api.order(order_id)["orderStatus"] == "TIMED_OUT")
    return order_id


CREATED, UNDONE = "create_order COMPLETED", "create_order COMPENSATED"
ACCEPTED, CANCELLED = "accept_order COMPLETED", "cancel_order COMPLETED"
LIFE = Story("a whole life", _whole_life, "COMPLETED", "CAPTURED", (CREATED, ACCEPTED, "complete_order COMPLETED"))
UNHAPPY = (
    Story("the bank declines", lambda api: api.place("declined_dora", 402), "CANCELLED", "FAILED", (f"{UNDONE} declined",)),
    Story("the customer is rejected", lambda api: api.place("rejected_rene", 422), "CANCELLED", "FAILED", (f"{UNDONE} rejected",)),
    Story("no escrow for the customer", lambda api: api.place("noescrow_nora", 502), "CANCELLED", "RELEASED", (f"{UNDONE} refused",)),
    Story("cancelled while it is created", _cancelled_while_created, "CANCELLED", "FAILED", (f"{UNDONE} cancelled",)),
    Story(
        "the runner is rejected: open again, then cancelled",
        _runner_rejected,
        "CANCELLED",
        "RELEASED",
        (CREATED, "accept_order COMPENSATED rejected", CANCELLED),
    ),
    Story("cancelled after its acceptance", _cancelled_after_acceptance, "CANCELLED", "RELEASED", (CREATED, ACCEPTED, CANCELLED)),
    Story(
        "given back by the runner: open again, then cancelled",
        _given_back,
        "CANCELLED",
        "RELEASED",
        (CREATED, ACCEPTED, "cancel_acceptance COMPLETED", CANCELLED),
    ),
)
SILENT = Story("the bank stays silent", _silent, "CANCELLED", "FAILED", (f"{UNDONE} silent",))
TIMED_OUT = Story("nobody accepts it", _timed_out, "TIMED_OUT", "RELEASED", (CREATED, CANCELLED))
