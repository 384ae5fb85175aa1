"""The service's functions called in one process, on a real database and broker: runs in a worker.

The environment has what the service's settings need, `KEYS` (the folder of the local issuer) and `POSTGRES_PID`.
"""

import json
import logging
import os
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import UUID

import sqlalchemy as sa
from chalice.config import Config
from chalice.local import LocalChalice

import app
from chalicelib.messages.envelope import Outgoing
from chalicelib.messaging.producer import Producer
from chalicelib.runtime import runtime
from infra.gateway.api import Gateway
from infra.gateway.messages import Request, Response
from infra.partners.store import Store
from infra.stack.grow import multiply
from tests.benchmarks.machine import cpu_seconds
from tests.benchmarks.routes import READS
from tests.integration.conftest import Context, Service
from tests.support.database import Placed, World
from tests.support.edge import NEW_ORDER, OWNER, Caller, InProcess
from tests.support.fates import Fates
from tests.support.kafka_records import answer, lambda_event
from tests.support.statements import counted

STEPS = 3
HANDLERS = {"user-events": "on_user_events", "payment-events": "on_payment_events", "escrow-events": "on_escrow_events"}
WAL = "SELECT (pg_current_wal_insert_lsn() - CAST('0/0' AS pg_lsn))::bigint"
ROWS = """SELECT relname, n_tup_ins AS inserted, n_tup_upd AS updated, n_tup_hot_upd AS hot, n_tup_del AS deleted
    FROM pg_stat_user_tables WHERE schemaname = 'campusg'"""


@cache
def service() -> Service:
    """The functions, and the database to look into."""
    for handler in logging.getLogger("campusg-orders").handlers:
        handler.setLevel(logging.CRITICAL)
    made = runtime()
    return Service(World(made.database._engine, made.rules), made, app, os.environ["KAFKA_BROKERS"])


@cache
def gateway() -> Gateway:
    """The application behind the local gateway's checks, authorizer included."""
    built = service().app.app
    built.__class__ = type("ThreadedChalice", (LocalChalice, type(built)), {})
    return Gateway(built, Config.create(project_dir=".", app_name="campusg-orders"))


def grow(number: int) -> None:
    """Add so many finished orders, copies of four, without a word to the broker."""
    made = service()
    made.runtime.producer._resting_until = float("inf")
    store = Store.open(os.environ["DATABASE_URL"])
    fates = Fates(made, InProcess(made.app.app, _keys()), store)
    lives = [fates.completed(fates.delivered(fates.accepted()))]
    others = [fates.cancelled(fates.opened()), fates.cancelled(fates.accepted()), fates.opened("declined_1")]
    fates.settle()
    store.close()
    made.runtime.producer._resting_until = 0.0
    multiply(os.environ["DATABASE_URL"], lives, others, number)


def replies(batch: int, seconds: float) -> Mapping[str, float]:
    """The engine: sagas a second from a Lambda event with the replies of so many sagas to the last command acknowledged.

    Orders are placed and their commands read outside of the time that counts, which is that of three events a saga.
    """
    wall = python = postgres = 0.0
    sagas = 0
    begun = time.perf_counter()
    while time.perf_counter() - begun < seconds or not sagas:
        placed = service().world.place_many(batch)
        service().world.forget_outbox()
        for _ in range(STEPS):
            topic, event = _replies_to(service().world.pending_of(placed))
            server, started, cpu = _postgres_cpu(), time.perf_counter(), time.process_time()
            response = getattr(service().app, HANDLERS[topic])(json.loads(event), Context())
            wall += time.perf_counter() - started
            python += time.process_time() - cpu
            postgres += _postgres_cpu() - server
            assert response == {"batchItemFailures": []}, response
        sagas += batch
    return {"sagas_per_s": sagas / wall, "cpu_ms": python * 1000 / sagas, "postgres_cpu_ms": postgres * 1000 / sagas}


def counts(batch: int) -> Mapping[str, float]:
    """What the costliest of a saga's three events asks of the database, with the replies of so many sagas."""
    placed, most = service().world.place_many(batch), Counter[str]()
    service().world.forget_outbox()
    for _ in range(STEPS):
        topic, event = _replies_to(service().world.pending_of(placed))
        with counted(service().runtime.database._engine) as seen:
            getattr(service().app, HANDLERS[topic])(json.loads(event), Context())
        most |= Counter(statements=seen.number, transactions=seen.transactions, round_trips=seen.round_trips)
    return most


def posts(number: int) -> Mapping[str, float]:
    """Orders placed, published and answered 202, one after the other."""
    request = _request("POST", "/api/orders", OWNER, json.dumps(NEW_ORDER).encode())
    _answered(request, 202)
    return _timed(lambda: _answered(request, 202), number)


def reads(number: int) -> Mapping[str, Mapping[str, float]]:
    """Requests that read, one after the other, by their path."""
    order, saga = _an_order()
    found = {}
    for path, caller in READS.items():
        request = _request("GET", path.format(order=order, saga=saga), caller)
        with counted(service().runtime.database._engine) as seen:
            _answered(request, 200)
        found[path] = {**_timed(partial(_answered, request, 200), number), "statements": seen.number}
    return found


def jobs(number: int) -> Mapping[str, Mapping[str, float]]:
    """The scheduled functions with nothing to do."""
    schedules = service().app.entrypoints.schedules
    names = ("sweep_timeouts", "relay_outbox", "purge_expired", "audit_invariants")
    return {name: _timed(getattr(schedules, name), number) for name in names}


def sizes(sagas: int) -> Mapping[str, Mapping[str, float]]:
    """Counted for one saga, placed by a request and its replies taken one by one: bytes of its messages by type, rows, bytes of the log."""
    sent: dict[str, list[int]] = defaultdict(list)
    request = _request("POST", "/api/orders", OWNER, json.dumps(NEW_ORDER).encode())
    before = _written()
    with _listening(sent):
        placed = [_placed(json.loads(_answered(request, 202).body)) for _ in range(sagas)]
        for _ in range(STEPS):
            for command in service().world.pending_of(placed):
                topic, event = _replies_to([command])
                getattr(service().app, HANDLERS[topic])(json.loads(event), Context())
    after = _written()
    rows = {name: (after[name] - before[name]) / sagas for name in after if after[name] != before[name]}
    return {"messages": {kind: statistics.fmean(lengths) for kind, lengths in sent.items()}, "written": rows}


@contextmanager
def _listening(sent: Mapping[str, list[int]]) -> Iterator[None]:
    """Note the bytes of each message that is sent in the block, by type."""
    original = Producer.send

    def send(producer: Producer, messages: Sequence[Outgoing], timeout: float) -> list[Exception | None]:
        for message in messages:
            headers = sum(len(name) + len(value) for name, value in message.headers)
            sent[dict(message.headers)["ce_type"].decode()].append(len(message.value or b"") + headers)
        return original(producer, messages, timeout)

    with patch.object(Producer, "send", send):
        yield


def _written() -> Mapping[str, int]:
    with service().runtime.database._engine.begin() as session:
        session.execute(sa.text("SELECT pg_stat_force_next_flush()"))
    with service().runtime.database._engine.begin() as session:
        tables = session.execute(sa.text(ROWS)).mappings()
        counts = Counter({f"{row['relname']} {kind}": row[kind] for row in tables for kind in ("inserted", "updated", "hot", "deleted")})
        return {**counts, "wal_bytes": int(session.execute(sa.text(WAL)).scalar_one())}


def _replies_to(commands: Sequence[Any]) -> tuple[str, str]:
    records = [answer(command) for command in commands]
    return records[0].topic, json.dumps(lambda_event(*records))


def _request(method: str, target: str, caller: Caller, body: bytes = b"") -> Request:
    path, _, query = target.partition("?")
    token = InProcess(service().app.app, _keys()).token(caller)
    headers = {"authorization": [f"Bearer {token}"], "host": ["127.0.0.1"], **({"content-type": ["application/json"]} if body else {})}
    return Request(method, path, query, "HTTP/1.1", headers, body)


def _answered(request: Request, status: int) -> Response:
    response = gateway().answer(request)
    assert response.status == status, response
    return response


def _placed(answer: Mapping[str, Any]) -> Placed:
    return Placed(UUID(answer["order"]["orderId"]), UUID(answer["saga"]["sagaId"]))


def _timed(work: Callable[[], object], number: int) -> Mapping[str, float]:
    taken, cpu, server = [], time.process_time(), _postgres_cpu()
    for _ in range(number):
        begun = time.perf_counter()
        work()
        taken.append((time.perf_counter() - begun) * 1000)
    return {
        "p50_ms": statistics.median(taken),
        "cpu_ms": (time.process_time() - cpu) * 1000 / number,
        "postgres_cpu_ms": (_postgres_cpu() - server) * 1000 / number,
    }


def _an_order() -> tuple[UUID, UUID]:
    [row] = service().world.rows("SELECT order_id, saga_id FROM campusg.sagas WHERE name = 'create_order' ORDER BY saga_id DESC LIMIT 1")
    return row["order_id"], row["saga_id"]


def _postgres_cpu() -> float:
    return cpu_seconds(int(os.environ["POSTGRES_PID"]))


def _keys() -> Path:
    return Path(os.environ["KEYS"])
