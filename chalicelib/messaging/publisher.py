"""From the outbox to Kafka: by the invocation that wrote the rows, right after its commit, or by the relay."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias
from uuid import UUID

import sqlalchemy as sa

from chalicelib.db.connection import Database
from chalicelib.db.states import name_of
from chalicelib.errors import Unavailable
from chalicelib.messages.envelope import log_fields
from chalicelib.messaging import outbox
from chalicelib.messaging.outbox import Row
from chalicelib.messaging.producer import Producer, concerns_record
from chalicelib.observability import about, logger

BUCKETS_AT_ONCE = 8

Read: TypeAlias = Callable[[sa.Connection, Sequence[int]], list[Row]]
Waiting: TypeAlias = Callable[[sa.Connection, Sequence[int]], list[int]]


@dataclass(frozen=True)
class Limits:
    """How much a publisher takes at once, and for how long."""

    send_seconds: float = 7.0
    # Longer than a wave may take, and not much: so long the orders wait of a publisher that was killed, where its connection to the
    # database outlives it. Safety doesn't rest on it.
    lease: timedelta = timedelta(seconds=8)
    rows: int = 2_000
    # As long as such a round of the relay takes, who publishes an order of these buckets has to wait.
    rows_of_relay: int = 500


LIMITS = Limits()


class Publisher:
    """Publishes what the outbox holds; what is not acknowledged stays in it."""

    def __init__(self, database: Database, producer: Producer, new_id: Callable[[], UUID], limits: Limits = LIMITS) -> None:
        self._limits = limits
        self._database = database
        self._producer = producer
        self._new_id = new_id

    def publish(self, ordering_keys: Iterable[UUID]) -> None:
        """Publish what waits for these orders, unless somebody else is at it, who then looks once more.

        Whoever comes meanwhile and finds the buckets leased is served, too; what has waited for longer is left to the relay. Never raises
        because Kafka or PostgreSQL is away: the caller's work is committed, and the relay takes what is left.
        """
        keys = list(ordering_keys)

        def own(claimed: Sequence[int]) -> list[UUID]:
            return [key for key in keys if outbox.bucket_of(key) in claimed]

        def read(session: sa.Connection, claimed: Sequence[int]) -> list[Row]:
            return outbox.read_first(session, claimed, own(claimed), self._limits.rows)

        def waiting(session: sa.Connection, claimed: Sequence[int]) -> list[int]:
            return outbox.waiting_first(session, claimed, own(claimed))

        try:
            self._drain(sorted({outbox.bucket_of(key) for key in keys}), read, waiting)
        except (sa.exc.SQLAlchemyError, OSError) as error:
            logger.warning("Publishing is left to the relay", extra={"error": f"{name_of(error)}: {error}"})

    def relay(self) -> None:
        """Publish whatever waits, a few buckets at a time: the others stay free for those who publish their own. Raises where the
        database is away.
        """
        with self._database.transaction() as session:
            buckets = outbox.waiting(session, range(outbox.BUCKETS))
        for begin in range(0, len(buckets), BUCKETS_AT_ONCE):
            self._drain(buckets[begin : begin + BUCKETS_AT_ONCE], self._read_all, outbox.waiting)

    def _drain(self, buckets: list[int], read: Read, waiting: Waiting) -> None:
        while buckets and not self._producer.resting:
            holder = self._new_id()
            with self._database.transaction() as session:
                claimed = outbox.claim(session, buckets, holder, self._limits.lease)
                rows = read(session, claimed) if claimed else []
            if not claimed:
                return
            acknowledged, failed = self._send(rows)
            with self._database.transaction() as session:
                outbox.settle(session, acknowledged=acknowledged, failed=failed, buckets=claimed, holder=holder)
            if not rows:
                return
            with self._database.transaction() as session:
                buckets = waiting(session, claimed)

    def _read_all(self, session: sa.Connection, claimed: Sequence[int]) -> list[Row]:
        """The oldest rows, and those of the orders that were written to last: neither waits for all of the other.

        Of each order the union has no row without all earlier ones, as neither reading has.
        """
        most = self._limits.rows_of_relay
        rows = {row.id: row for row in (*outbox.read_first(session, claimed, (), most), *outbox.read(session, claimed, most))}
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
                    logger.warning("A message was not acknowledged", extra={"ordering_key": str(row.ordering_key), "error": str(outcome)})
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
        lane = (row.ordering_key, row.message.topic)
        wave = positions[lane]
        positions[lane] += 1
        if wave == len(waves):
            waves.append([])
        waves[wave].append(row)
    yield from waves
