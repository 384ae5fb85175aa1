"""From the outbox to Kafka: by the invocation that wrote the rows, right after its commit, or by the relay."""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from threading import Lock
from uuid import UUID

import sqlalchemy as sa

from chalicelib.db.connection import Database
from chalicelib.db.states import name_of
from chalicelib.errors import Unavailable
from chalicelib.messages.envelope import log_fields
from chalicelib.messaging import outbox
from chalicelib.messaging.outbox import Row, Written
from chalicelib.messaging.producer import Producer, concerns_record
from chalicelib.observability import about, logger

BUCKETS_AT_ONCE = 8
# How long a writer looks whether what is ahead of its rows has gone out: mostly that is being settled just now.
FIRST_LOOK, LAST_LOOK = 0.001, 0.064


class Turn:
    """What one thread has to publish."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows
        self.done = False


@dataclass(frozen=True)
class Limits:
    """How long a publisher sends, and how long the relay has buckets and how much of them it takes at once: so long other relays wait."""

    send_seconds: float = 7.0
    lease: timedelta = outbox.LEASE
    rows_of_relay: int = 500


LIMITS = Limits()


class Publisher:
    """Publishes what the outbox holds; what is not acknowledged stays in it. Safe for several threads."""

    def __init__(self, database: Database, producer: Producer, new_id: Callable[[], UUID], limits: Limits = LIMITS) -> None:
        self._limits = limits
        self._database = database
        self._producer = producer
        self._new_id = new_id
        # Never replaced: a thread may be just adding to it.
        self._turns: deque[Turn] = deque()
        self._turn = Lock()

    def publish(self, written: Iterable[Written]) -> None:
        """Publish from memory what the caller's transactions have committed, and what other threads have at the same time.

        Rows behind somebody else's go out once those are gone, within a tenth of a second, or are left to the relay. Never raises because
        Kafka or PostgreSQL is away: the caller's work is committed, and the relay takes what is left.
        """
        free, waiting = [], []
        for each in written:
            ready, later = each.rows()
            free += ready
            waiting += later
        try:
            self._take_turn(free)
            self._follow(waiting)
        except (sa.exc.SQLAlchemyError, OSError) as error:
            logger.warning("Publishing is left to the relay", extra={"error": f"{name_of(error)}: {error}"})

    def _take_turn(self, rows: Sequence[Row]) -> None:
        """Publish these rows together with those of every thread that waits; one thread at a time does, the others find theirs done."""
        mine = Turn(rows)
        self._turns.append(mine)
        with self._turn:
            if mine.done:
                return
            turns = []
            while self._turns:
                turns.append(self._turns.popleft())
                turns[-1].done = True
            self._publish_own([row for turn in turns for row in turn.rows])

    def _publish_own(self, rows: Sequence[Row]) -> None:
        if not rows:
            return
        acknowledged, failed = ([], []) if self._producer.resting else self._send(rows)
        if acknowledged:
            with self._database.transaction() as session:
                outbox.settle_own(session, acknowledged)
        if failed:
            with self._database.transaction() as session:
                outbox.put_off(session, failed)
        self._leave([row for row in rows if row.id not in {*acknowledged, *failed}])

    def _follow(self, rows: Sequence[Row]) -> None:
        pause = FIRST_LOOK
        while rows and pause <= LAST_LOOK and not self._producer.resting:
            time.sleep(pause)
            pause *= 2
            with self._database.transaction() as session:
                behind = outbox.behind(session, rows)
            self._take_turn([row for row in rows if row.id not in behind])
            rows = [row for row in rows if row.id in behind]
        self._leave(rows)

    def _leave(self, rows: Sequence[Row]) -> None:
        if rows:
            with self._database.transaction() as session:
                outbox.release(session, rows)

    def relay(self) -> None:
        """Publish what was left, a few buckets at a time: the others stay free for another relay. Raises where the database is away."""
        with self._database.transaction() as session:
            buckets = outbox.waiting(session, range(outbox.BUCKETS))
        for begin in range(0, len(buckets), BUCKETS_AT_ONCE):
            self._drain(buckets[begin : begin + BUCKETS_AT_ONCE])

    def _drain(self, buckets: list[int]) -> None:
        while buckets and not self._producer.resting:
            holder = self._new_id()
            with self._database.transaction() as session:
                claimed = outbox.claim(session, buckets, holder, self._limits.lease)
                rows = self._read(session, claimed) if claimed else []
            if not claimed:
                return
            acknowledged, failed = self._send(rows)
            with self._database.transaction() as session:
                outbox.settle(session, acknowledged=acknowledged, failed=failed, buckets=claimed, holder=holder)
            if not rows:
                return
            with self._database.transaction() as session:
                buckets = outbox.waiting(session, claimed)

    def _read(self, session: sa.Connection, claimed: Sequence[int]) -> list[Row]:
        """The oldest rows, and those of the orders that were written to last: neither waits for all of the other.

        Of each order the union has no row without all earlier ones, as neither reading has.
        """
        most = self._limits.rows_of_relay
        rows = {row.id: row for row in (*outbox.read_newest(session, claimed, most), *outbox.read(session, claimed, most))}
        return [rows[number] for number in sorted(rows)]

    def _send(self, rows: Sequence[Row]) -> tuple[list[int], list[int]]:
        """Send in waves; return the ids of the rows that were acknowledged, and of those that the broker refused for good."""
        acknowledged: list[int] = []
        failed: list[int] = []
        stopped: set[UUID] = set()
        for wave in _waves(rows):
            going = [row for row in wave if row.ordering_key not in stopped]
            try:
                outcomes = self._producer.send([row.message for row in going], self._limits.send_seconds)
            except Unavailable:
                break
            for row, outcome in zip(going, outcomes, strict=True):
                if outcome is None:
                    acknowledged.append(row.id)
                    continue
                stopped.add(row.ordering_key)
                with about(log_fields(row.message.headers)):
                    logger.warning("A message was not acknowledged", extra={"order_id": str(row.ordering_key), "error": str(outcome)})
                if concerns_record(outcome):
                    failed.append(row.id)
            if self._producer.resting:
                break
        return acknowledged, failed


def _waves(rows: Sequence[Row]) -> Iterator[list[Row]]:
    """The k-th row of every order and topic together: none goes out before the one ahead of it was acknowledged."""
    positions: defaultdict[tuple[UUID, str], int] = defaultdict(int)
    waves: list[list[Row]] = []
    for row in rows:
        wave = positions[row.lane]
        positions[row.lane] += 1
        if wave == len(waves):
            waves.append([])
        waves[wave].append(row)
    yield from waves
