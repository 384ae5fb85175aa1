"""Partners on Kafka as bad as the contract allows: they duplicate, delay, reorder and lose their replies, and answer late.

What they do and refuse is decided by `partner_script`; a person's id says what befalls them.
"""

import heapq
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from random import Random
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Self
from uuid import uuid4

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from chalicelib.messages.topics import ESCROW_COMMANDS, NOTIFICATION_COMMANDS, PARTITIONS, PAYMENT_COMMANDS, USER_COMMANDS
from tests.support.kafka_records import Record, Sent
from tests.support.partner_script import Partners

TOPICS = (USER_COMMANDS, PAYMENT_COMMANDS, ESCROW_COMMANDS, NOTIFICATION_COMMANDS)
DUPLICATED, LOST, LATE = 0.20, 0.05, 0.10
# A reply that gets lost more often than this is a time-out, and a time-out is a fate of its own.
MOST_LOSSES = 2
REFUSALS = {
    "declined_": "payment.authorize",
    "rejected_": "user.validate_customer",
    "noescrow_": "escrow.hold",
    "unpayable_": "payment.capture",
    "closed_": "escrow.release",
}


@dataclass(frozen=True)
class Manners:
    """How long replies take, in seconds: the usual ones up to `prompt`, late ones from and to `late`.

    The authorization of a `mute_` customer is answered after it was undone.
    """

    prompt: float
    late: tuple[float, float]


@dataclass
class HostilePartners:
    """Runs in a thread between `with` and its end. `deeds` counts what was done to replies."""

    bootstrap: str
    manners: Manners
    seed: int
    partners: Partners = field(default_factory=Partners)
    deeds: Counter[str] = field(default_factory=Counter)
    _lock: Lock = field(default_factory=Lock)
    _ended: Event = field(default_factory=Event)
    _waiting: list[tuple[float, str, Record]] = field(default_factory=list)
    _held_back: dict[bytes | None, list[Record]] = field(default_factory=dict)
    _losses: Counter[str] = field(default_factory=Counter)
    _customers: dict[bytes | None, str] = field(default_factory=dict)
    _failure: BaseException | None = None

    def __enter__(self) -> Self:
        self._random = Random(self.seed)
        self._producer = KafkaProducer(bootstrap_servers=self.bootstrap, linger_ms=0)
        self._consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, enable_auto_commit=False, auto_offset_reset="earliest")
        self._consumer.assign([TopicPartition(topic, number) for topic in TOPICS for number in range(PARTITIONS[topic])])
        self._thread = Thread(target=self._run, name="hostile partners")
        self._thread.start()
        return self

    def __exit__(self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join(10)
        self._consumer.close()
        self._producer.close(timeout=2)
        if self._failure:
            raise self._failure

    def expire(self, order_id: str) -> None:
        """The bank no longer keeps the money for an order, and says so twice."""
        with self._lock:
            record = self.partners.expire(order_id)
            for delay in (0.0, 0.3):
                self._schedule(record, delay)

    def rest(self) -> bool:
        """Whether no reply is on its way."""
        with self._lock:
            return not self._waiting

    def _run(self) -> None:
        try:
            while not self._ended.is_set():
                polled = self._consumer.poll(timeout_ms=15)
                with self._lock:
                    for records in polled.values():
                        for record in records:
                            self._take(Sent(record.topic, record.key, record.value, tuple(record.headers)))
                    self._send_due()
        except BaseException as failure:
            self._failure = failure
            raise

    def _take(self, command: Sent) -> None:
        if command.type == "user.validate_customer":
            self._customers[command.key] = command.data["customerId"]
        record = self.partners.work(command, refuse=self._refuses(command))
        if record and command.type == "payment.authorize" and self._customers.get(command.key, "").startswith("mute_"):
            self._held_back.setdefault(command.key, []).append(record)
            return
        if command.type == "payment.release":
            for late in self._held_back.pop(command.key, []):
                self.deeds["too late"] += 1
                self._schedule(late, self._random.uniform(*self.manners.late))
        if record:
            self._answer(command, record)

    def _refuses(self, command: Sent) -> bool:
        runner = command.data.get("runnerId", "")
        if command.type == "user.validate_runner":
            return bool(runner.startswith("rejected_"))
        customer = self._customers.get(command.key, "")
        refused = any(customer.startswith(prefix) and command.type == type for prefix, type in REFUSALS.items())
        if refused and command.type == "escrow.release":
            # An account that is closed at the first try, and open from the second on.
            self._customers[command.key] = "was_closed"
        return refused

    def _answer(self, command: Sent, record: Record) -> None:
        if self._random.random() < LOST and self._losses[command.id] < MOST_LOSSES:
            self._losses[command.id] += 1
            self.deeds["lost"] += 1
            return
        late = self._random.random() < LATE
        self.deeds["late" if late else "prompt"] += 1
        self._schedule(record, self._random.uniform(*self.manners.late) if late else self._random.uniform(0, self.manners.prompt))
        if self._random.random() < DUPLICATED:
            self.deeds["duplicated"] += 1
            self._schedule(record, self._random.uniform(0, self.manners.late[1]))

    def _schedule(self, record: Record, delay: float) -> None:
        heapq.heappush(self._waiting, (time.monotonic() + delay, str(uuid4()), replace(record)))

    def _send_due(self) -> None:
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            _, _, record = heapq.heappop(self._waiting)
            self._producer.send(record.topic, key=record.key, value=record.value, headers=list(record.headers))
