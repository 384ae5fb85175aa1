"""Orders of every fate without Kafka: requests to the application, commands worked by the simulated partners' own books."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from chalicelib.ids import new_id, new_id_source
from chalicelib.messages.envelope import Incoming
from chalicelib.messaging.decode import receive
from chalicelib.operations.take_replies import Delivery, take_replies
from infra.partners import requests
from infra.partners.store import Store
from tests.integration.conftest import Service
from tests.support.edge import ADMIN, NEW_ORDER, OWNER, Caller, InProcess
from tests.support.kafka_records import OFFSETS


@dataclass(frozen=True)
class Fates:
    """What clients, partners and the clock do, one after the other."""

    service: Service
    http: InProcess
    store: Store

    def place(self, customer: str = "cust_1") -> UUID:
        """Place an order and let nobody answer yet."""
        answer = self.http.post("/api/orders", Caller.customer(customer), NEW_ORDER)
        assert answer.status == 202, answer
        return UUID(answer.json()["order"]["orderId"])

    def opened(self, customer: str = "cust_1") -> UUID:
        order_id = self.place(customer)
        self.settle()
        return order_id

    def accepted(self, runner: str = "run_1") -> UUID:
        return self.accept(self.opened(), runner)

    def accept(self, order_id: UUID, runner: str) -> UUID:
        self._ask(order_id, "accept", Caller.runner(runner), {"runnerId": runner})
        return order_id

    def give_back(self, order_id: UUID, runner: str) -> UUID:
        self._ask(order_id, "cancel-acceptance", Caller.runner(runner))
        return order_id

    def cancelled(self, order_id: UUID, customer: str = "cust_1", *, answered: bool = True) -> UUID:
        self._ask(order_id, "cancel", Caller.customer(customer), answered=answered)
        return order_id

    def delivered(self, order_id: UUID, runner: str = "run_1") -> UUID:
        for status in ("COLLECTED", "ON_THE_WAY", "DELIVERED"):
            answer = self.http.call("PATCH", f"/api/orders/{order_id}/status", Caller.runner(runner), {"status": status})
            assert answer.status == 200, answer
        return order_id

    def completed(self, order_id: UUID, *, answered: bool = True) -> UUID:
        self._ask(order_id, "complete", OWNER, answered=answered)
        return order_id

    def timed_out(self) -> UUID:
        order_id = self.opened()
        self.service.world.rows(
            "UPDATE campusg.orders SET accept_by = clock_timestamp() - interval '1 second' WHERE order_id = :id", id=order_id
        )
        self.sweep()
        self.settle()
        return order_id

    def fall_silent(self) -> None:
        """Let all waits for what is pending pass without an answer."""
        self.service.world.rows("UPDATE campusg.sagas SET pending = jsonb_set(pending, '{attempts}', '5') WHERE pending IS NOT NULL")
        self.service.world.forget_outbox()
        self.sweep()

    def refused_payout(self, order_id: UUID) -> UUID:
        """Complete a delivered order whose runner the escrow service no longer pays, until an operator is needed."""
        self.service.world.rows("UPDATE partners.holds SET runner_id = 'run_9' WHERE order_id = :id", id=str(order_id))
        self.completed(order_id)
        for _ in range(self.service.world.rules.policy.attempts):
            self.sweep()
            self.settle()
        return order_id

    def sweep(self) -> None:
        """Have the clock come when every deadline has passed."""
        self.service.world.make_due()
        self.service.app.entrypoints.schedules.sweep_timeouts()

    def compensate(self, order_id: UUID) -> UUID:
        answer = self.http.post(f"/api/sagas/{self.saga_of(order_id)}/compensate", ADMIN, {})
        assert answer.status == 202, answer
        self.settle()
        return order_id

    def saga_of(self, order_id: UUID) -> UUID:
        """The newest saga of an order."""
        rows = self.service.world.rows("SELECT saga_id FROM campusg.sagas WHERE order_id = :id ORDER BY saga_id DESC LIMIT 1", id=order_id)
        return UUID(str(rows[0]["saga_id"]))

    def settle(self) -> None:
        """Let the partners work every command that waits, and take their answers, until none is left."""
        world = self.service.world
        while sent := world.outbox():
            world.forget_outbox()
            commands = [Incoming(each.topic, 0, 0, each.key, each.value, each.headers) for each in sent if each.topic.endswith("-commands")]
            worked = self.store.work([requests.read(record) for record in commands], datetime.now(UTC), lambda: str(uuid4()))
            replies = [Incoming(each.topic, 0, next(OFFSETS), each.key, each.value, each.headers) for each in worked.replies]
            with world.engine.begin() as session:
                taken = take_replies(session, world.rules, [Delivery(receive(record), new_id_source(), new_id()) for record in replies])
            assert not taken.failed

    def _ask(self, order_id: UUID, what: str, caller: Caller, body: Any = None, *, answered: bool = True) -> None:
        answer = self.http.post(f"/api/orders/{order_id}/{what}", caller, body or {})
        assert answer.status == 202, answer
        if answered:
            self.settle()


@contextmanager
def fates(service: Service, url: str, keys: Path) -> Iterator[Fates]:
    """Fates on the database of `service`, which has to leave what it writes in the outbox."""
    store = Store.open(url)
    try:
        yield Fates(service, InProcess(service.app.app, keys), store)
    finally:
        store.close()
