"""A whole stack against partners of another make, which do to their replies whatever the contract allows: every order gets its due."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy as sa

from chalicelib.db.connection import make_engine
from chalicelib.operations.audit import Violation, violations
from tests.support.eventually import eventually
from tests.support.hostile_partners import HostilePartners, Manners
from tests.support.kafka_records import Sent, on_topic
from tests.support.stack import Stack

# A command is waited for 0.5 + 1 + 2 + 4 seconds, give or take a fifth, and then silent.
STEP_SECONDS, ATTEMPTS = 0.5, 4
MANNERS = Manners(prompt=0.15, late=(0.4, 1.4))
CLIENTS = 6
BODY = {"foodItems": [{"name": "Laksa", "price": "5.55", "quantity": 3}], "storeLocation": "Koufu", "deliveryLocation": "Hall 5"}

STATUSES = "SELECT order_id, order_status, payment_status, active_saga_id FROM campusg.orders"

# What is asked for next, and the status (held by no saga) in which it is; None: at once.
Wish = tuple[str | None, str]
DELIVERED: tuple[Wish, ...] = (("ACCEPTED", "COLLECTED"), ("COLLECTED", "ON_THE_WAY"), ("ON_THE_WAY", "DELIVERED"))
ACCEPTED: tuple[Wish, ...] = (("READY_FOR_PICKUP", "accept runner_1"),)
COMPLETED: tuple[Wish, ...] = (*ACCEPTED, *DELIVERED, ("DELIVERED", "complete"))


@dataclass(frozen=True)
class Fate:
    """How many orders have it, what becomes of them, whose they are, and what is asked for on the way."""

    number: int
    ends: Sequence[str]
    customer: str = "cust_1"
    wishes: Sequence[Wish] = ()


FATES = {
    "completed": Fate(10, ["COMPLETED CAPTURED"], wishes=COMPLETED),
    "completed although the account was closed first": Fate(3, ["COMPLETED CAPTURED"], "closed_1", COMPLETED),
    "completed by the second runner": Fate(3, ["COMPLETED CAPTURED"], wishes=(("READY_FOR_PICKUP", "accept rejected_1"), *COMPLETED)),
    "given back and taken again": Fate(
        3, ["ACCEPTED AUTHORIZED"], wishes=(*ACCEPTED, ("ACCEPTED", "give back"), ("READY_FOR_PICKUP", "accept runner_2"))
    ),
    "declined": Fate(5, ["CANCELLED FAILED"], "declined_1"),
    "rejected": Fate(4, ["CANCELLED FAILED"], "rejected_1"),
    "not held": Fate(5, ["CANCELLED RELEASED"], "noescrow_1"),
    "authorized too late": Fate(4, ["CANCELLED FAILED"], "mute_1"),
    "not captured": Fate(2, ["DELIVERED AUTHORIZED"], "unpayable_1", COMPLETED),
    "cancelled while it was made": Fate(6, ["CANCELLED FAILED", "CANCELLED RELEASED"], wishes=((None, "cancel"),)),
    "cancelled when it was open": Fate(5, ["CANCELLED RELEASED"], wishes=(("READY_FOR_PICKUP", "cancel"),)),
    "cancelled when it was accepted": Fate(3, ["CANCELLED RELEASED"], wishes=(*ACCEPTED, ("ACCEPTED", "cancel"))),
    "expired": Fate(3, ["CANCELLED RELEASED"], wishes=(*ACCEPTED, ("ACCEPTED", "expire"))),
    "timed out": Fate(4, ["TIMED_OUT RELEASED"], wishes=(("READY_FOR_PICKUP", "let time pass"),)),
}


@dataclass
class Run:
    """One order on its way through its wishes."""

    name: str
    fate: Fate
    order_id: str = ""
    wishes: list[Wish] = field(default_factory=list)
    going: "Future[None] | None" = None
    free_since: float = 0.0

    def next_wish(self, row: Mapping[str, Any] | None, seen: float) -> str | None:
        """What is to be asked for, given the order's row as it was read at `seen`."""
        if self.going or not self.wishes:
            return None
        awaited, wish = self.wishes[0]
        fits = awaited is None or (row and seen > self.free_since and row["order_status"] == awaited and row["active_saga_id"] is None)
        return wish if fits else None


@pytest.fixture
def stack(tmp_path: Path, stack_servers: Mapping[str, str]) -> Iterator[Stack]:
    """A stack that leaves the partners' topics to somebody else."""
    patience: dict[str, Any] = {"STEP_TIMEOUT_SECONDS": STEP_SECONDS, "STEP_MAX_ATTEMPTS": ATTEMPTS, **stack_servers}
    running = Stack.start(tmp_path / "stack", PARTNERS="none", SWEEP_SECONDS=0.4, **patience)
    yield running
    running.stop()


class Campus:
    """All orders with their fates on one stack."""

    def __init__(self, stack: Stack, partners: HostilePartners) -> None:
        self._url, self._partners = stack.url, partners
        self._engine = make_engine(stack.run_json()["postgres"]["url"], pool_size=2)
        self._clients = ThreadPoolExecutor(CLIENTS)
        self._http = requests.Session()
        self._http.headers["Authorization"] = f"Bearer {stack.token('admin', 'adm_1')}"
        self.runs = [Run(name, fate, wishes=list(fate.wishes)) for name, fate in FATES.items() for _ in range(fate.number)]

    def __enter__(self) -> "Campus":
        return self

    def __exit__(self, *_: object) -> None:
        self._clients.shutdown(cancel_futures=True)
        self._http.close()
        self._engine.dispose()

    def rows(self, statement: str) -> list[Mapping[str, Any]]:
        with self._engine.begin() as session:
            return [dict(row) for row in session.execute(sa.text(statement)).mappings()]

    def violations(self) -> list[Violation]:
        """What `make audit` would print."""
        with self._engine.begin() as session:
            return violations(session)

    def live(self, seconds: float) -> None:
        """Have every order placed, and every wish asked for when it is time, until nothing is under way any more."""
        for run in self.runs:
            self._ask(run, lambda run=run: self._place(run))  # type: ignore[misc]
        eventually(self._all_at_rest, within=seconds, every=0.1, what="the end of all orders")

    def _all_at_rest(self) -> bool:
        seen = time.monotonic()
        orders = {str(row["order_id"]): row for row in self.rows(STATUSES)}
        for run in self.runs:
            if run.going and run.going.done():
                run.going.result()
                run.going, run.free_since = None, time.monotonic()
            wish = run.next_wish(orders.get(run.order_id), seen)
            if wish:
                run.wishes.pop(0)
                self._ask(run, lambda run=run, wish=wish: self._wish(run, wish))  # type: ignore[misc]
        under_way = [run for run in self.runs if run.going or run.wishes]
        return not under_way and all(_rests(run, orders[run.order_id]) for run in self.runs)

    def _ask(self, run: Run, request: Callable[[], None]) -> None:
        run.going = self._clients.submit(request)

    def _place(self, run: Run) -> None:
        answer = self._request("POST", "/api/orders", {"customerId": run.fate.customer, "orderDetails": BODY})
        run.order_id = answer["order"]["orderId"]

    def _wish(self, run: Run, wish: str) -> None:
        path = f"/api/orders/{run.order_id}"
        match wish.split():
            case ["accept", runner]:
                self._request("POST", f"{path}/accept", {"runnerId": runner})
            case ["give", "back"]:
                self._request("POST", f"{path}/cancel-acceptance", {})
            case ["cancel" | "complete"]:
                self._request("POST", f"{path}/{wish}", {})
            case ["let", "time", "pass"]:
                self._pass_time(run)
            case ["expire"]:
                self._partners.expire(run.order_id)
            case _:
                self._request("PATCH", f"{path}/status", {"status": wish})

    def _pass_time(self, run: Run) -> None:
        """Half an hour in no time: nobody accepted the order so far."""
        with self._engine.begin() as session:
            session.execute(sa.text("UPDATE campusg.orders SET accept_by = clock_timestamp() WHERE order_id = :id"), {"id": run.order_id})

    def _request(self, method: str, path: str, body: Mapping[str, Any]) -> Any:
        answer = self._http.request(method, f"{self._url}{path}", json=body, timeout=10)
        assert answer.status_code in (200, 202), (method, path, answer.status_code, answer.text)
        return answer.json()


def _rests(run: Run, row: Mapping[str, Any]) -> bool:
    """Whether nothing will happen to the order any more: it has one of its ends, and no saga holds it."""
    return row["active_saga_id"] is None and f"{row['order_status']} {row['payment_status']}" in run.fate.ends


def test_60_orders_with_mixed_fates_end_as_they_should_and_the_books_agree(stack: Stack) -> None:
    bootstrap = stack.run_json()["kafka"]["bootstrap"]
    with HostilePartners(bootstrap, MANNERS, seed=22) as partners, Campus(stack, partners) as campus:
        assert len(campus.runs) == 60
        campus.live(45)
        eventually(partners.rest, what="the last of the late replies")
        eventually(lambda: not campus.rows("SELECT * FROM campusg.outbox"), what="the end of publishing")
        orders = {str(row["order_id"]): row for row in campus.rows("SELECT * FROM campusg.orders")}
        ends = {
            run.order_id: (run.name, f"{row['order_status']} {row['payment_status']}")
            for run in campus.runs
            for row in [orders[run.order_id]]
        }
        assert [end for run in campus.runs if (end := ends[run.order_id])[1] not in run.fate.ends] == []
        assert {order_id: wrong for order_id, row in orders.items() if (wrong := partners.partners.disagreements(row))} == {}
        assert campus.rows("SELECT saga_id, name, status FROM campusg.sagas WHERE ended_at IS NULL") == []
        assert campus.rows("SELECT topic, type, error FROM campusg.dead_letters") == []
        assert campus.violations() == []
        check_events(on_topic(bootstrap, "order-events"), orders)
        check_hostility(partners.deeds)


def check_events(events: Sequence[Sent], orders: Mapping[str, Mapping[str, Any]]) -> None:
    """First copies of each order's events come in order, without gaps, from the first version to the one that stands."""
    seen: defaultdict[str, list[int]] = defaultdict(list)
    for event in events:
        sequences = seen[(event.key or b"").decode()]
        sequence = int(event.header("ce_sequence"))
        if sequence not in sequences:
            sequences.append(sequence)
    assert seen == {order_id: list(range(1, row["version"] + 1)) for order_id, row in orders.items()}


def check_hostility(deeds: Counter[str]) -> None:
    """The partners were as bad as they should have been."""
    replies = sum(deeds[deed] for deed in ("prompt", "late", "lost"))
    assert replies > 240
    shares = {deed: deeds[deed] / replies for deed in ("duplicated", "lost", "late")}
    assert all(low < shares[deed] < high for deed, low, high in (("duplicated", 0.1, 0.3), ("lost", 0.01, 0.11), ("late", 0.03, 0.18))), (
        shares
    )
    assert deeds["too late"] >= FATES["authorized too late"].number
