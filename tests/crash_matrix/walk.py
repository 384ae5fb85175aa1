"""One walk of a path: what people ask, what the clock brings, and how long everything takes to come to rest, crash or not."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from infra.esm.invoke import FunctionError
from tests.crash_matrix.kafka_client import Waiting
from tests.crash_matrix.lane import Lane
from tests.crash_matrix.requests import request_event
from tests.support.edge import NEW_ORDER, ORDERS
from tests.support.history.model import SUCCESSES, Request

# How long all may take to come to rest.
REST_SECONDS = 15.0
LOOK_SECONDS = 0.005
BUSY_SECONDS = 0.5
# How often a client repeats a request that nobody answered.
REPEATS = 5
WAIT_SECONDS = 20
ADMIN, CUSTOMER, RUNNER = "admin", "customer", "runner"

# The walker plays the time that passes: of one order alone.
OVERDUE = """
    UPDATE campusg.sagas SET due_at = clock_timestamp() - interval '1 second', look_at = '-infinity'
    WHERE order_id = :id AND due_at IS NOT NULL"""
UNACCEPTED = "UPDATE campusg.orders SET accept_by = clock_timestamp() - interval '1 second' WHERE order_id = :id"
IN_FLIGHT = "UPDATE campusg.idempotency_keys SET in_flight_until = clock_timestamp() WHERE key = :key"
UNCOMPLETED = "UPDATE campusg.orders SET updated_at = updated_at - interval '2 days' WHERE order_id = :id"


class Wrong(AssertionError):
    """Somebody was answered otherwise than they should have been, or something did not come to rest."""


@dataclass
class Walk:
    """An order on its path; the beginning of the customer's name says how the partners meet them."""

    lane: Lane
    customer: str
    order_id: str = ""
    requests: list[Request] = field(default_factory=list)
    _is_over: bool = False

    # People

    def create(self, wait: int | None = None) -> None:
        """The customer places the order, and with `wait` waits so many seconds for what becomes of it."""
        answered = self._granted(self.ask("POST", ORDERS, CUSTOMER, self.customer, NEW_ORDER, wait))
        self.order_id = answered.answer["order"]["orderId"]

    def create_and_wait(self) -> None:
        """The customer waits for what becomes of the order."""
        with ThreadPoolExecutor(1) as client:
            answered = client.submit(self.create, WAIT_SECONDS)
            while not answered.done():
                self.settle()
            answered.result()

    def act(self, action: str, role: str, sub: str, body: Mapping[str, Any] | None = None, *, granted: bool = True) -> None:
        """Somebody posts to the order's `action`, which is granted, or refused."""
        self._granted(self.ask("POST", f"{ORDERS}/{self.order_id}/{action}", role, sub, body), granted=granted)

    def move(self, runner: str, status: str) -> None:
        """The runner says how far they are. It has no key: once it was not answered, a refusal of its repeat says nothing."""
        before = len(self.requests)
        answered = self.ask("PATCH", f"{ORDERS}/{self.order_id}/status", RUNNER, runner, {"status": status})
        if len(self.requests) == before + 1:
            self._granted(answered)

    def operate(self, action: str) -> None:
        """An operator retries or compensates the saga that holds the order."""
        [row] = self.lane.rows("SELECT active_saga_id FROM campusg.orders WHERE order_id = :id", id=self.order_id)
        self._granted(self.ask("POST", f"/api/sagas/{row['active_saga_id']}/{action}", ADMIN, "adm_1"))

    def operate_on_letter(self, letter: str, action: str, body: Mapping[str, Any]) -> None:
        """An operator redrives or dismisses a dead letter."""
        self._granted(self.ask("POST", f"/api/dead-letters/{letter}/{action}", ADMIN, "adm_1", body))

    def ask(self, method: str, path: str, role: str, sub: str, body: Mapping[str, Any] | None = None, wait: int | None = None) -> Request:
        """Send a request until somebody answers, as a client does that was given no answer; a POST with one and the same key."""
        key = str(uuid4()) if method == "POST" else None
        for _ in range(REPEATS):
            asked = Request(sub, role, method, path, str(uuid4()), time.monotonic(), 0.0, None, body, key)
            try:
                status, answer, headers = self.lane.request(request_event(asked, wait))
            except FunctionError:
                self.requests.append(replace(asked, end=time.monotonic()))
                continue
            replayed = headers.get("Idempotency-Replayed") == "true"
            self.requests.append(replace(asked, end=time.monotonic(), status=status, answer=answer, replayed=replayed))
            if status != 409 or not answer["type"].endswith("/in-flight"):
                return self.requests[-1]
            # Of the request before, which nobody serves any more.
            self.lane.rows(IN_FLIGHT, key=key)
        raise Wrong(f"{method} {path} was not answered in {REPEATS} attempts")

    def _granted(self, request: Request, *, granted: bool = True) -> Request:
        if (request.status in SUCCESSES) is not granted:
            raise Wrong(f"{request} was answered by {request.status}: {request.answer}")
        return request

    # The clock

    def sweep(self) -> None:
        """The clock calls the sweep, once more where it ended before its time."""
        self.schedule("sweep_timeouts")

    def relay(self) -> None:
        """The clock calls the relay, once more where it ended before its time."""
        self.schedule("relay_outbox")

    def schedule(self, name: str) -> None:
        """The clock calls a scheduled function until it has come to its end."""
        for _ in range(REPEATS):
            try:
                self.lane.call_schedule(name)
            except FunctionError:
                continue
            return
        raise Wrong(f"{name} did not come to its end in {REPEATS} calls")

    def time_passes(self, statement: str) -> None:
        """What waits for the clock has waited for long enough."""
        self.lane.rows(statement, id=self.order_id)

    # Rest

    def settle(self, rounds: int = 100) -> None:
        """Let replies be taken and commands be worked, in turns, until nothing waits, or for so many rounds of the partners."""
        deadline = time.monotonic() + REST_SECONDS
        while self._replies_taken(deadline).commands and rounds:
            rounds -= 1
            self._partners_work(deadline)

    def rest(self) -> None:
        """Let all come to rest, and the clock call the relay as long as anything waits for it."""
        self._is_over = True
        self.settle()

    def _replies_taken(self, deadline: float) -> Waiting:
        """Wait until every reply is taken; what else waits then. Once somebody was killed, the clock calls the relay besides."""
        while True:
            waiting = self._look()
            if waiting.replies:
                self._wait(deadline, "replies are not taken")
            elif (self._is_over or self.lane.board.killed) and self.lane.rows("SELECT 1 FROM campusg.outbox LIMIT 1"):
                self.relay()
                self._wait(deadline, "the outbox is not published")
            else:
                return waiting

    def _partners_work(self, deadline: float) -> None:
        self.lane.board.let_partners_work(allowed=True)
        try:
            while self._look().commands:
                self._wait(deadline, "commands are not worked")
        finally:
            self.lane.board.let_partners_work(allowed=False)

    def _look(self) -> Waiting:
        """What waits, once nobody is at work, as asking costs more than most of what is waited for."""
        self.lane.supervise()
        deadline = time.monotonic() + BUSY_SECONDS
        time.sleep(LOOK_SECONDS)
        while self.lane.board.at_work and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
        waiting = self.lane.kafka.waiting()
        # Asked afterwards: of a batch in hand the offsets may have been committed before.
        return Waiting(replies=True, commands=True) if self.lane.board.delivering else waiting

    def _wait(self, deadline: float, what: str) -> None:
        if time.monotonic() > deadline:
            raise Wrong(f"{what} within {REST_SECONDS:g} s")
        time.sleep(LOOK_SECONDS)
