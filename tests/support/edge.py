"""The HTTP edge in this process: the real application behind the real local gateway, over TCP, called by whoever is named."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPMessage
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa
from chalice.app import Chalice

from chalicelib.db.connection import Database
from infra.stack import devkeys
from tests.support import gateway
from tests.support.database import World
from tests.support.kafka_records import Record, Sent
from tests.support.partner_script import Partners
from tests.support.scene import consume

ORDERS = "/api/orders"
NEW_ORDER: Mapping[str, Any] = {
    "orderDetails": {
        "foodItems": [{"name": "Chicken rice", "price": "4.50", "quantity": 2}],
        "storeLocation": "Koufu",
        "deliveryLocation": "Hall 5, room 210",
    }
}


@dataclass(frozen=True)
class Caller:
    """Whoever sends a request; without roles still somebody with a token."""

    sub: str
    roles: tuple[str, ...] = ()


OWNER, OTHER_CUSTOMER = Caller("cust_1", ("customer",)), Caller("cust_2", ("customer",))
RUNNER, OTHER_RUNNER = Caller("runner_1", ("runner",)), Caller("runner_2", ("runner",))
ADMIN = Caller("adm_1", ("admin",))


@dataclass(frozen=True)
class Answer:
    """One response, read whole."""

    status: int
    headers: HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def problem(self, status: int, name: str) -> Any:
        """The problem details that this answer must be."""
        assert (self.status, self.headers["Content-Type"]) == (status, "application/problem+json"), (self.status, self.body)
        problem = self.json()
        assert (problem["status"], problem["type"]) == (status, f"/problems/{name}"), problem
        assert problem["title"] and problem["detail"] and problem["instance"]
        assert problem["correlationId"]
        return problem

    @property
    def replayed(self) -> bool:
        """Whether it is the answer to an earlier request with the same Idempotency-Key."""
        return self.headers["Idempotency-Replayed"] == "true"

    def said(self) -> Any:
        """What a repeat with the same Idempotency-Key must say again."""
        return self.status, self.body, {name: self.headers[name] for name in ("Content-Type", "Location", "ETag", "Preference-Applied")}

    def reveals(self) -> Any:
        """All of it but what differs from request to request anyway: the two ids, the path, the date."""
        body = json.loads(self.body) if self.body else None
        if isinstance(body, dict):
            body = {name: value for name, value in body.items() if name not in ("instance", "correlationId")}
        varying = ("x-correlation-id", "date", "content-length")
        return self.status, sorted((name, value) for name, value in self.headers.items() if name.lower() not in varying), body


@dataclass
class Edge:
    """A running gateway. Every call is a connection of its own, so that any number of threads may call."""

    port: int
    keys: Path
    _tokens: dict[Caller, str] = field(default_factory=dict)

    def token(self, caller: Caller) -> str:
        if caller not in self._tokens:
            self._tokens[caller] = devkeys.token(self.keys, caller.roles, caller.sub, datetime.now(UTC))
        return self._tokens[caller]

    def call(self, method: str, path: str, caller: Caller | None = None, body: Any = None, **headers: str | list[str]) -> Answer:
        """`body` is sent as it is where it is bytes, else as JSON; `_` in the names of headers stands for `-`.

        A header with a list of values is sent on as many lines.
        """
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None:
            named = {"Content-Type": "application/json", **named}
        if caller:
            named["Authorization"] = f"Bearer {self.token(caller)}"
        lines = HTTPMessage()
        for name, value in named.items():
            for line in [value] if isinstance(value, str) else value:
                lines[name] = line
        answer = gateway.call(self.port, method, path, body, lines)
        return Answer(answer.status, answer.headers, answer.body)

    def get(self, path: str, caller: Caller | None = None, query: Mapping[str, Any] | None = None, **headers: str | list[str]) -> Answer:
        return self.call("GET", f"{path}?{urlencode(query, doseq=True)}" if query else path, caller, **headers)

    def post(self, path: str, caller: Caller | None = None, body: Any = None, **headers: str | list[str]) -> Answer:
        return self.call("POST", path, caller, body, **headers)

    def place(self, caller: Caller = OWNER, **headers: str | list[str]) -> Answer:
        """Post one and the same order."""
        return self.post(ORDERS, caller, NEW_ORDER, **headers)


@contextmanager
def serving(app: Chalice, keys: Path) -> Iterator[Edge]:
    """The application behind a gateway."""
    with gateway.serving(app) as server:
        yield Edge(server.server_port, keys)


class Undoing(Database):
    """A database whose transactions do all their work and leave nothing behind, so that each request meets the same rows."""

    def __init__(self, engine: sa.Engine) -> None:
        super().__init__(engine)
        self._engine = engine

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        with self._engine.connect() as session, session.begin() as running:
            yield session
            session.execute(sa.text("SET CONSTRAINTS ALL IMMEDIATE"))
            running.rollback()


Unwilling = Callable[[Sent], bool]


@contextmanager
def partners_at_work(world: World, unwilling: Unwilling = lambda _: False, silent: Unwilling = lambda _: False) -> Iterator[Partners]:
    """Scripted partners that work whatever waits in the outbox, as long as the block runs. `silent`: worked, never answered."""
    partners, stop = Partners(), threading.Event()

    def work(sent: Sent) -> Record | None:
        record = partners.work(sent, refuse=unwilling(sent))
        return None if silent(sent) else record

    def run() -> None:
        while not stop.wait(0.01):
            commands = [sent for sent in world.outbox() if sent.topic.endswith("-commands")]
            ids = [sent.id for sent in commands]
            world.rows("DELETE FROM campusg.outbox WHERE message_id = ANY(CAST(:ids AS text[]))", ids=ids)
            records = [record for record in map(work, commands) if record]
            if records:
                consume(world, records)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield partners
    finally:
        stop.set()
        thread.join(10)
