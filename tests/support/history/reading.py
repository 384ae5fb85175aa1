"""Brings what the checker is given: the tables at the end, and `order-events` while the run goes on."""

import json
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy as sa
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from chalicelib.db.bulk import from_json
from chalicelib.messages.topics import ORDER_EVENTS, PARTITIONS
from chalicelib.orders.order import ORDER
from chalicelib.orders.queries import HISTORY_ENTRY
from chalicelib.orders.store import AS_JSON, order_of
from infra.stack.running import operator_session
from tests.support.history.model import Event, Hold, Key, Order, Payment, Saga

POLL_MILLISECONDS = 200
ORDERS = sa.text(f"SELECT CAST({AS_JSON} AS text) FROM campusg.orders o")
ENTRIES = sa.text("SELECT * FROM campusg.order_history ORDER BY order_id, version")
SAGAS = sa.text(
    "SELECT CAST(saga_id AS text), CAST(order_id AS text), name, status, correlation_id, facts ->> 'runner_id' FROM campusg.sagas"
)
KEYS = sa.text("SELECT sub, key, response FROM campusg.idempotency_keys")
PAYMENTS = sa.text("SELECT payment_id, order_id, amount, status FROM partners.payments")
HOLDS = sa.text("SELECT escrow_id, order_id, amount, status, runner_id FROM partners.holds")


def tables(url: str, *, books: bool = True) -> Mapping[str, Any]:
    """The fields of a `Run` that stand in a database, all of one state of it; without `books` the simulated partners' are left out."""
    with operator_session(url) as session:
        history = defaultdict(list)
        for row in session.execute(ENTRIES):
            history[row.order_id].append(HISTORY_ENTRY.document(row))
        orders = [order_of(from_json(row)) for row in session.scalars(ORDERS)]
        return {
            "orders": {str(each.order_id): Order(ORDER.document(each), history[each.order_id]) for each in orders},
            "sagas": {row[0]: Saga(*row) for row in session.execute(SAGAS)},
            "keys": [_key(*row) for row in session.execute(KEYS)],
            "payments": [Payment(*row) for row in session.execute(PAYMENTS)] if books else [],
            "holds": [Hold(*row) for row in session.execute(HOLDS)] if books else [],
            "books": books,
        }


def _key(client: str, key: str, response: Mapping[str, Any]) -> Key:
    return Key(client, key, response.get("status", 0), json.loads(response["body"]) if response.get("body") else None)


def has_events(bootstrap: str) -> bool:
    """Whether a broker has events of an earlier run."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap)
    try:
        partitions = [TopicPartition(ORDER_EVENTS, number) for number in consumer.partitions_for_topic(ORDER_EVENTS) or ()]
        return any(consumer.end_offsets(partitions).values()) if partitions else False
    finally:
        consumer.close()


class EventReader:
    """Reads `order-events` from its beginning in a thread of its own, however often the broker is away; `readings` is what it was given."""

    def __init__(self, bootstrap: str) -> None:
        self.readings: list[list[Event]] = []
        self._bootstrap = bootstrap
        self._ended, self._anew = threading.Event(), threading.Event()
        self._idle = threading.Event()
        self._thread = threading.Thread(target=self._run, name="order-events", daemon=True)

    def begin_anew(self) -> None:
        """Begin another reading: the broker has lost its end, so that what comes next may stand where something else was read."""
        self._anew.set()

    def read_on(self, seconds: float) -> None:
        """Wait until nothing more comes, at most so long; raises AssertionError."""
        self._idle.clear()
        assert self._idle.wait(seconds), f"order-events could not be read to its end within {seconds} s"

    def _run(self) -> None:
        while not self._ended.is_set():
            self._anew.clear()
            with suppress(KafkaError, OSError, ValueError):
                self._read()

    def _read(self) -> None:
        consumer = KafkaConsumer(bootstrap_servers=self._bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
        reading: list[Event] = []
        self.readings.append(reading)
        try:
            partitions = [TopicPartition(ORDER_EVENTS, number) for number in range(PARTITIONS[ORDER_EVENTS])]
            consumer.assign(partitions)
            while not self._ended.is_set() and not self._anew.is_set():
                polled = consumer.poll(POLL_MILLISECONDS)
                for records in polled.values():
                    reading.extend(event_of(record) for record in records)
                ends = {} if polled else consumer.end_offsets(partitions)
                if ends and all(consumer.position(each) >= end for each, end in ends.items()):
                    self._idle.set()
        finally:
            consumer.close()


@contextmanager
def reading_events(bootstrap: str) -> Iterator[EventReader]:
    """A reader at work while the block runs."""
    reader = EventReader(bootstrap)
    reader._thread.start()
    try:
        yield reader
    finally:
        reader._ended.set()
        reader._thread.join(10)


def event_of(record: Any) -> Event:
    """A record of `order-events` as the checker takes it."""
    headers = {name: value.decode() for name, value in record.headers}
    data = json.loads(record.value)
    return Event(headers["ce_subject"], int(headers["ce_sequence"]), headers["ce_type"], data, headers.get("ce_correlationid"))
