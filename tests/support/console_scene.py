"""What a console has to show: orders of every fate on a running stack, suspended sagas, dead letters, hostile names."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from kafka import KafkaProducer

from tests.support.api import Api
from tests.support.database import sent
from tests.support.edge import DETAILS, ORDERS
from tests.support.eventually import eventually
from tests.support.kafka_records import answer
from tests.support.stack import Stack

STATUSES = ("COLLECTED", "ON_THE_WAY", "DELIVERED")
# What browsers, pages and pictures might take for something else than text.
HOSTILE = (
    "<script>window.ran=1</script>",
    "<img src=x onerror=window.ran=2>",
    "\"'`${window.ran=3}{{7*7}}&lt;b&gt;",
    "\u202egnp.\u2066\u05d0\u05d1\u05d2\u0627\u0644",
    "\U0001f469\u200d\U0001f373\U0001f35c e\u0301\u0323",
    "n" * 120,
)
# Far from any test's end, and no longer than the audit lets anything be waited for.
A_LONG_TIME = "interval '5 minutes'"


@dataclass(frozen=True)
class Scene:
    """A stack and those who use it."""

    stack: Stack
    engine: sa.Engine

    def api(self, sub: str = "ops_1", role: str = "admin") -> Api:
        """Somebody's calls, an operator's if nobody is named."""
        return Api(self.stack.url, self.stack.data_dir, sub, role)

    def order(self, customer: str = "cust_1", *, wait: int = 20, **details: Any) -> str:
        """Place an order; its id."""
        placed = self.api(customer, "customer").call("POST", ORDERS, {"orderDetails": {**DETAILS, **details}}, wait=wait)
        assert placed.status in (201, 202, 402), placed
        return str(placed.json()["order"]["orderId"])

    def accept(self, order_id: str, runner: str = "run_1") -> None:
        taken = self.api(runner, "runner").call("POST", f"{ORDERS}/{order_id}/accept", {"runnerId": runner}, wait=20)
        assert taken.status == 200, taken

    def bring(self, order_id: str, statuses: Sequence[str] = STATUSES, runner: str = "run_1") -> None:
        """Have the runner set these statuses, one after the other."""
        for status in statuses:
            moved = self.api(runner, "runner").call("PATCH", f"{ORDERS}/{order_id}/status", {"status": status})
            assert moved.status == 200, moved

    def complete(self, order_id: str, customer: str = "cust_1", *, wait: int = 20) -> None:
        ended = self.api(customer, "customer").call("POST", f"{ORDERS}/{order_id}/complete", wait=wait)
        assert ended.status in (200, 202), ended

    def completed(self, **details: Any) -> str:
        """An order that has been through its whole life."""
        order_id = self.order(**details)
        self.accept(order_id)
        self.bring(order_id)
        self.complete(order_id)
        return order_id

    def suspended(self) -> tuple[str, str]:
        """An order whose runner can't be paid, as the escrow service has another one in its books: its id, and its suspended saga's."""
        order_id = self.order()
        self.accept(order_id)
        self.bring(order_id)
        self.assign(order_id, "run_9")
        self.complete(order_id, wait=0)
        saga_id = self.saga_of(order_id)
        eventually(lambda: self.saga(saga_id)["status"] == "FAILED", within=30, what="the suspension")
        return order_id, saga_id

    def assign(self, order_id: str, runner: str) -> None:
        """Whom the escrow service would pay."""
        self.rows("UPDATE partners.holds SET runner_id = :runner WHERE order_id = :id", id=order_id, runner=runner)

    def waiting(self) -> tuple[str, str]:
        """An order whose payment is not answered, with much time left: its id, and its saga's."""
        order_id = self.order("silent_1", wait=0)
        saga_id = self.saga_of(order_id)
        eventually(lambda: (self.saga(saga_id)["pending"] or {}).get("step") == "authorize_payment", what="the wait for the payment")
        self.rows(
            f"UPDATE campusg.sagas SET due_at = due_at + {A_LONG_TIME}, look_at = look_at + {A_LONG_TIME} WHERE saga_id = :id", id=saga_id
        )
        return order_id, saga_id

    def unknown_version(self) -> tuple[str, str, str]:
        """A reply that came while its saga's definition was not known; now it is. The order's id, the saga's and the dead letter's."""
        order_id, saga_id = self.waiting()
        self.rows("UPDATE campusg.sagas SET definition_version = 9 WHERE saga_id = :id", id=saga_id)
        reply = answer(sent(self.saga(saga_id)["pending"]["message"]))
        letter = self.dead_letter(reply.topic, reply.value or b"", reply.key, reply.headers)
        self.rows("UPDATE campusg.sagas SET definition_version = 1 WHERE saga_id = :id", id=saga_id)
        return order_id, saga_id, letter

    def dead_letter(self, topic: str, value: bytes, key: bytes | None = None, headers: Sequence[tuple[str, bytes]] = ()) -> str:
        """Send a record that can't be taken; the id of its dead letter."""
        before = self.letters()
        with closing(KafkaProducer(bootstrap_servers=self.stack.run_json()["kafka"]["bootstrap"])) as producer:
            producer.send(topic, value=value, key=key, headers=list(headers)).get(30)
        [letter] = eventually(lambda: self.letters() - before, what="the dead letter")
        return str(letter)

    def letters(self) -> set[UUID]:
        return {row["dead_letter_id"] for row in self.rows("SELECT dead_letter_id FROM campusg.dead_letters")}

    def saga_of(self, order_id: str) -> str:
        """The newest saga of an order."""
        rows = self.rows("SELECT saga_id FROM campusg.sagas WHERE order_id = :id ORDER BY saga_id DESC LIMIT 1", id=order_id)
        return str(rows[0]["saga_id"])

    def saga(self, saga_id: str) -> Mapping[str, Any]:
        return self.rows("SELECT * FROM campusg.sagas WHERE saga_id = :id", id=saga_id)[0]

    def history(self, order_id: str) -> list[Mapping[str, Any]]:
        """An order's history, as the API gives it."""
        items: list[Mapping[str, Any]] = self.api().call("GET", f"{ORDERS}/{order_id}/history").json()["items"]
        return items

    def rows(self, statement: str, **parameters: Any) -> list[Mapping[str, Any]]:
        """Run one statement in a transaction of its own."""
        with self.engine.begin() as session:
            result = session.execute(sa.text(statement), parameters)
            return [dict(row) for row in result.mappings()] if result.returns_rows else []


@contextmanager
def scene(stack: Stack) -> Iterator[Scene]:
    """A scene on a running stack."""
    engine = sa.create_engine(stack.run_json()["postgres"]["url"], poolclass=sa.NullPool)
    yield Scene(stack, engine)
    engine.dispose()
