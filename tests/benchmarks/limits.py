"""Yardsticks for the engine: what one Python process, and pgbench, get through the same PostgreSQL with a saga's writes and nothing else.

A saga is six transactions, each of which writes a message's id, the saga, an entry of a journal and a row of an outbox; the first and the
last also write an order. Run in a worker; the environment has `LIMITS_URL` and `POSTGRES_PID`.
"""

import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from infra.stack.postgres import wheel_programs
from tests.benchmarks.machine import cpu_seconds

STEPS = 6
CLIENTS, THREADS = 4, 2
SEPARATOR = "\x1f"
TABLES = """
DROP TABLE IF EXISTS seen, sagas, orders, journal, outbox;
CREATE TABLE seen (message_id uuid PRIMARY KEY, saga_id uuid NOT NULL, at timestamptz NOT NULL DEFAULT now());
CREATE TABLE sagas (saga_id uuid PRIMARY KEY, customer uuid NOT NULL, status text NOT NULL, step int NOT NULL, version int NOT NULL,
    data jsonb NOT NULL, updated_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE orders (order_id uuid PRIMARY KEY, customer uuid NOT NULL, status text NOT NULL, cents bigint NOT NULL, items jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(), updated_at timestamptz);
CREATE TABLE journal (saga_id uuid, step int, event text NOT NULL, data jsonb NOT NULL, at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (saga_id, step));
CREATE TABLE outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, topic text NOT NULL, key text NOT NULL, data jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now());
CHECKPOINT"""
# Some 300 bytes of JSON.
DATA: Mapping[str, Any] = {
    "type": "payment.authorize",
    "amount": "25.99",
    "currency": "SGD",
    "customer": {"id": "0192f0c4-5a3e-7c11-9d20-3b1f6a0c2e11", "method": "card"},
    "items": [{"name": "Chicken rice", "quantity": 2, "price": "4.50"}, {"name": "Kopi", "quantity": 1, "price": "1.80"}],
    "deliveryLocation": "Hall 5, room 210",
    "note": "no chilli, please; call when downstairs",
}
TAIL = """, logged AS (INSERT INTO journal (saga_id, step, event, data) SELECT saga_id, CAST(:step AS int), 'step', data FROM given)
    INSERT INTO outbox (topic, key, data) SELECT 'commands', CAST(saga_id AS text), data FROM given"""
SAGA = "UPDATE sagas SET status = '{status}', step = :step, version = version + 1, data = given.data, updated_at = now() FROM given"


def _given(**columns: str) -> str:
    """Rows whose columns each come as one text."""
    values = ", ".join(f"CAST({name} AS {kind}) AS {name}" for name, kind in columns.items())
    texts = ", ".join(f"string_to_array(:{name}, chr(31))" for name in columns)
    return f"(SELECT {values} FROM unnest({texts}) AS texts ({', '.join(columns)}))"


SEEN = "INSERT INTO seen (message_id, saga_id) SELECT message_id, saga_id FROM given ON CONFLICT DO NOTHING"
FIRST = sa.text(f"""WITH given AS MATERIALIZED {_given(message_id="uuid", saga_id="uuid", data="jsonb")}, new AS ({SEEN}),
    begun AS (INSERT INTO sagas (saga_id, customer, status, step, version, data) SELECT saga_id, saga_id, 'RUNNING', 1, 1, data FROM given),
    placed AS (INSERT INTO orders (order_id, customer, status, cents, items) SELECT saga_id, saga_id, 'PENDING', 2599, data FROM given)
    {TAIL}""")
READ = sa.text(f"""WITH given AS {_given(message_id="uuid", saga_id="uuid")}, new AS ({SEEN} RETURNING saga_id)
    SELECT CAST(sagas.saga_id AS text), CAST(data AS text) FROM sagas JOIN new USING (saga_id) FOR UPDATE OF sagas""")
NEXT = sa.text(f"""WITH given AS MATERIALIZED {_given(saga_id="uuid", data="jsonb")},
    moved AS ({SAGA.format(status="RUNNING")} WHERE sagas.saga_id = given.saga_id){TAIL}""")
LAST = sa.text(f"""WITH given AS MATERIALIZED {_given(saga_id="uuid", data="jsonb")},
    moved AS ({SAGA.format(status="COMPLETED")} WHERE sagas.saga_id = given.saga_id),
    opened AS (UPDATE orders SET status = 'OPEN', updated_at = now() FROM given WHERE order_id = given.saga_id){TAIL}""")


@cache
def engine() -> sa.Engine:
    """Connections of pg8000 as SQLAlchemy makes them, but for Nagle's algorithm, which would hold large statements for 40 ms."""
    made = sa.create_engine(os.environ["LIMITS_URL"])

    @sa.event.listens_for(made, "connect")
    def hurry(connection: Any, _: object) -> None:
        connection._usock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    return made


def python(batch: int, seconds: float) -> Mapping[str, float]:
    """Sagas a second of one process that takes so many a transaction: the ceiling of an engine in Python."""
    _empty()
    with engine().connect() as connection:
        _sagas(connection, batch)
        sagas, begun, cpu, server = 0, time.perf_counter(), time.process_time(), _postgres_cpu()
        while time.perf_counter() - begun < seconds:
            _sagas(connection, batch)
            sagas += batch
        taken, used, server = time.perf_counter() - begun, time.process_time() - cpu, _postgres_cpu() - server
    return {"sagas_per_s": sagas / taken, "cpu_ms": used * 1000 / sagas, "postgres_cpu_ms": server * 1000 / sagas}


def pgbench(seconds: int, folder: str) -> Mapping[str, float]:
    """Sagas a second of pgbench, whose four clients send each of the six transactions in one crossing, as prepared statements."""
    _empty()
    script, url = Path(folder) / "saga.sql", sa.make_url(os.environ["LIMITS_URL"])
    script.write_text(_script())
    server = _postgres_cpu()
    done = subprocess.run(
        [
            str(wheel_programs() / "pgbench"),
            "-n",
            "-M",
            "prepared",
            "-f",
            script,
            "-c",
            str(CLIENTS),
            "-j",
            str(THREADS),
            "-T",
            str(seconds),
        ],
        env={"PGHOST": str(url.host), "PGPORT": str(url.port), "PGUSER": str(url.username), "PGPASSWORD": str(url.password)}
        | {"PGDATABASE": str(url.database)},
        capture_output=True,
        text=True,
        check=True,
    )
    rate, number = re.search(r"tps = ([\d.]+)", done.stdout), re.search(r"actually processed: (\d+)", done.stdout)
    assert rate, done.stdout
    assert number, done.stdout
    # A connection that is just ending counts neither as a process nor as one that was waited for.
    time.sleep(0.3)
    return {"sagas_per_s": float(rate[1]), "postgres_cpu_ms": (_postgres_cpu() - server) * 1000 / int(number[1])}


def _sagas(connection: sa.Connection, number: int) -> None:
    """Take so many sagas through their six transactions."""
    saga_ids = [str(uuid4()) for _ in range(number)]
    for step in range(1, STEPS + 1):
        messages = {"message_id": _joined([str(uuid4()) for _ in saga_ids]), "saga_id": _joined(saga_ids)}
        with connection.begin():
            if step == 1:
                connection.execute(FIRST, {**messages, "data": _joined([json.dumps(DATA) for _ in saga_ids]), "step": step})
                continue
            rows = connection.execute(READ, messages).all()
            moved = [json.dumps(json.loads(data) | {"step": step}) for _, data in rows]
            values = {"saga_id": _joined([row[0] for row in rows]), "data": _joined(moved), "step": step}
            connection.execute(LAST if step == STEPS else NEXT, values)


def _script() -> str:
    """One saga in pgbench's words; `:a` and `:b` make its id."""
    saga = "(lpad(to_hex(:a::bigint), 16, '0') || lpad(to_hex(:b::bigint), 16, '0'))::uuid"
    data = f"'{json.dumps(DATA)}'::jsonb"
    lines = [r"\set a random(0, 4611686018427387904)", r"\set b random(0, 4611686018427387904)"]
    for step in range(1, STEPS + 1):
        status = "COMPLETED" if step == STEPS else "RUNNING"
        lines += [r"\startpipeline", "BEGIN;", f"INSERT INTO seen (message_id, saga_id) VALUES (md5(:a::text || '-{step}')::uuid, {saga});"]
        if step == 1:
            lines += [
                f"INSERT INTO sagas (saga_id, customer, status, step, version, data) VALUES ({saga}, {saga}, 'RUNNING', 1, 1, {data});",
                f"INSERT INTO orders (order_id, customer, status, cents, items) VALUES ({saga}, {saga}, 'PENDING', 2599, {data});",
            ]
        else:
            changes = f"status = '{status}', step = {step}, version = version + 1, updated_at = now()"
            lines.append(f"UPDATE sagas SET {changes} WHERE saga_id = {saga};")
        lines += [
            f"INSERT INTO journal (saga_id, step, event, data) VALUES ({saga}, {step}, 'step', {data});",
            f"INSERT INTO outbox (topic, key, data) VALUES ('commands.{step}', {saga}::text, {data});",
        ]
        if step == STEPS:
            lines.append(f"UPDATE orders SET status = 'OPEN', updated_at = now() WHERE order_id = {saga};")
        lines += ["COMMIT;", r"\endpipeline"]
    return "\n".join(lines) + "\n"


def _empty() -> None:
    with engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in TABLES.split(";"):
            connection.exec_driver_sql(statement)


def _joined(texts: Sequence[str]) -> str:
    return SEPARATOR.join(texts)


def _postgres_cpu() -> float:
    return cpu_seconds(int(os.environ["POSTGRES_PID"]))
