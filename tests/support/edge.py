"""Clients of the HTTP edge: over TCP through the real local gateway, or in this process."""

import json
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPMessage
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from chalice.app import Chalice
from chalice.test import Client as ChaliceClient

from chalicelib.db.connection import Database
from chalicelib.operations import rate
from infra.stack import devkeys
from tests.support import gateway
from tests.support.answers import Answer, header_lines
from tests.support.database import World
from tests.support.kafka_records import Record, Sent
from tests.support.partner_script import Partners
from tests.support.scene import consume

ORDERS = "/api/orders"
ENVIRONMENT = os.environ
DETAILS: Mapping[str, Any] = {
    "foodItems": [{"name": "Chicken rice", "price": "4.50", "quantity": 2}],
    "storeLocation": "Koufu",
    "deliveryLocation": "Hall 5, room 210",
}
NEW_ORDER: Mapping[str, Any] = {"orderDetails": DETAILS}


@dataclass(frozen=True)
class Caller:
    """Whoever sends a request; without roles still somebody with a token."""

    sub: str
    roles: tuple[str, ...] = ()

    @classmethod
    def customer(cls, sub: str) -> Self:
        return cls(sub, ("customer",))

    @classmethod
    def runner(cls, sub: str) -> Self:
        return cls(sub, ("runner",))


OWNER, OTHER_CUSTOMER = Caller.customer("cust_1"), Caller.customer("cust_2")
RUNNER, OTHER_RUNNER = Caller.runner("runner_1"), Caller.runner("runner_2")
ADMIN = Caller("adm_1", ("admin",))


class Client(ABC):
    """Requests to the application by whoever is named, with tokens of the local issuer in `keys`."""

    def __init__(self, keys: Path) -> None:
        self.keys = keys
        self._tokens: dict[Caller, str] = {}

    @abstractmethod
    def send(self, method: str, target: str, body: bytes | None, headers: HTTPMessage) -> Answer:
        """Send one request as it stands."""

    def token(self, caller: Caller) -> str:
        if caller not in self._tokens:
            self._tokens[caller] = devkeys.token(self.keys, caller.roles, caller.sub, datetime.now(UTC))
        return self._tokens[caller]

    def call(self, method: str, path: str, caller: Caller | None = None, body: Any = None, **headers: str | list[str]) -> Answer:
        """`body` is sent as it is where it is bytes, else as JSON; `_` in the names of headers stands for `-`.

        A header with a list of values is sent on as many lines.
        """
        lines = header_lines({name.replace("_", "-"): value for name, value in headers.items()})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None and "Content-Type" not in lines:
            lines["Content-Type"] = "application/json"
        if caller:
            lines["Authorization"] = f"Bearer {self.token(caller)}"
        return self.send(method, path, body, lines)

    def get(self, path: str, caller: Caller | None = None, query: Mapping[str, Any] | None = None, **headers: str | list[str]) -> Answer:
        return self.call("GET", f"{path}?{urlencode(query, doseq=True)}" if query else path, caller, **headers)

    def post(self, path: str, caller: Caller | None = None, body: Any = None, **headers: str | list[str]) -> Answer:
        return self.call("POST", path, caller, body, **headers)

    def place(self, caller: Caller = OWNER, **headers: str | list[str]) -> Answer:
        """Post one and the same order."""
        return self.post(ORDERS, caller, NEW_ORDER, **headers)


class Edge(Client):
    """A running gateway. Every call is a connection of its own, so that any number of threads may call."""

    def __init__(self, port: int, keys: Path) -> None:
        super().__init__(keys)
        self.port = port

    def send(self, method: str, target: str, body: bytes | None, headers: HTTPMessage) -> Answer:
        return gateway.call(self.port, method, target, body, headers)


class InProcess(Client):
    """The application called in the caller's own thread, through Chalice's gateway: 1 ms less than over TCP, and it can be watched."""

    def __init__(self, app: Chalice, keys: Path) -> None:
        super().__init__(keys)
        self._app = app

    def send(self, method: str, target: str, body: bytes | None, headers: HTTPMessage) -> Answer:
        try:
            with ChaliceClient(self._app) as client:
                named = {name.lower(): value for name, value in headers.items()}
                response = client.http.request(method, target, headers=named, body=body or b"")
        finally:
            # Chalice's client puts a plain dictionary in its place meanwhile, and of two threads one puts the other's back. What is set in
            # that reaches no library that reads the environment itself, such as OpenSSL.
            os.environ = ENVIRONMENT  # noqa: B003 - the object itself, not what stands in it
        return Answer(response.status_code, header_lines(response.headers), response.body)


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


def stop_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have requests be counted by a clock that stands half a minute before the end of this minute, at which they would be counted anew."""
    moment = datetime.now(UTC).replace(second=30, microsecond=0)
    monkeypatch.setattr(rate, "COUNT", sa.text(rate.COUNT.text.replace("clock_timestamp()", f"timestamptz '{moment.isoformat()}'")))


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
