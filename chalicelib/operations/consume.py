"""The batch consumer: one transaction for a batch; halves where it fails; nothing lost and nothing half done.

Where the database is away the error is raised, so that Lambda delivers the batch again. Any other failure is narrowed down to the records
that meet it. A record that meets a slow database, or a lock, is reported as failed and comes again for as long as that lasts; one that is
at fault itself is counted in a transaction of its own, reported as failed, and a dead letter after a few deliveries. Which error is which
says `chalicelib.db.states`.

A record of which the function dies (out of memory, killed at its time limit) can't be counted afterwards. So the first batch of a container
is counted before: whatever kills a function takes its container along, and the next try is a first one again. A container that has
finished one batch of a topic counts nothing more, so this costs a running service nothing.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import sqlalchemy as sa

from chalicelib.db.connection import Database
from chalicelib.db.states import DEADLOCK, Kind, kind_of, name_of, sql_state
from chalicelib.messages.envelope import Incoming
from chalicelib.messaging import failures
from chalicelib.messaging.dead_letters import DeadLetter
from chalicelib.observability import about, count, logger
from chalicelib.operations.parts import parts
from chalicelib.operations.take_replies import Delivery, Taken, bury, take_replies
from chalicelib.sagas.engine import Rules
from chalicelib.sagas.state import Saga

DELIVERIES = 5
# So often a batch may have been begun and never finished before its records are taken one at a time.
DEATHS = 2


class FunctionDied(Exception):
    """The function ended, again and again, while it took this record alone."""


@dataclass
class Consumed:
    """What became of a batch: `failed` are the records to be delivered again."""

    failed: list[Incoming] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


class Consumer:
    """Takes batches of replies. `publish` is called with the outbox keys of whatever was committed, also where the rest fails."""

    def __init__(self, database: Database, rules: Rules, publish: Callable[[set[UUID]], None]) -> None:
        self._database = database
        self._rules = rules
        self._publish = publish
        self._proven: set[str] = set()

    def consume(self, deliveries: Sequence[Delivery], deadline: float) -> Consumed:
        """Take all deliveries; `deadline` on the monotonic clock: what is not begun by then is reported as failed."""
        consumed = Consumed()
        keys: set[UUID] = set()
        try:
            if {delivery.record.topic for delivery in deliveries} <= self._proven:
                self._take(deliveries, deadline, consumed, keys)
            else:
                self._take_first(deliveries, deadline, consumed, keys)
        finally:
            if keys:
                self._publish(keys)
            count(consumed.counts)
        return consumed

    def keep(self, delivery: Delivery, error: Exception, deliveries: int) -> None:
        """Make a dead letter of a record that is not delivered any more, after so many deliveries."""
        consumed = Consumed()
        keys: set[UUID] = set()
        self._bury(delivery, error, deliveries, consumed, keys)
        self._publish(keys)
        count(consumed.counts)

    def _take_first(self, deliveries: Sequence[Delivery], deadline: float, consumed: Consumed, keys: set[UUID]) -> None:
        """Take this container's first batch: counted before, and one record at a time where others died of it."""
        heads = _heads(deliveries)
        with self._database.transaction() as session:
            deaths = failures.begin(session, heads)
        try:
            if deaths < DEATHS:
                self._take(deliveries, deadline, consumed, keys)
            else:
                logger.warning("A batch was begun and never finished; its records are taken one at a time", extra={"deaths": deaths})
                for delivery in deliveries:
                    self._take_alone(delivery, deadline, consumed, keys)
        finally:
            # Also after an error: it lived to tell.
            self._proven |= {head.topic for head in heads}
            with self._database.transaction() as session:
                failures.finish(session, heads)

    def _take_alone(self, delivery: Delivery, deadline: float, consumed: Consumed, keys: set[UUID]) -> None:
        """Take one record, counted as failed until it is clear that the function lives."""
        with self._database.transaction() as session:
            died = failures.add(session, delivery.record) - 1
        try:
            if died < DELIVERIES:
                self._take([delivery], deadline, consumed, keys)
            else:
                self._bury(delivery, FunctionDied(f"the function died {died} times while it took this record"), died, consumed, keys)
        finally:
            with self._database.transaction() as session:
                failures.take_back(session, delivery.record)

    def _take(self, deliveries: Sequence[Delivery], deadline: float, consumed: Consumed, keys: set[UUID]) -> None:
        blocked = {record.key for record in consumed.failed}
        going = []
        for delivery in deliveries:
            if delivery.record.key is not None and delivery.record.key in blocked:
                consumed.failed.append(delivery.record)
            else:
                going.append(delivery)
        if not going:
            return
        if time.monotonic() > deadline:
            consumed.failed += [delivery.record for delivery in going]
            return
        try:
            self._take_at_once(going, consumed, keys)
        except Exception as error:
            kind = kind_of(error)
            if kind is Kind.AWAY:
                raise
            logger.warning("A batch failed and is taken in parts", extra={"records": len(going), "error": f"{name_of(error)}: {error}"})
            if len(going) == 1:
                self._fail_alone(going[0], error, consumed, keys)
                return
            for part in parts(going, kind):
                self._take(part, deadline, consumed, keys)

    def _take_at_once(self, deliveries: Sequence[Delivery], consumed: Consumed, keys: set[UUID]) -> None:
        try:
            with self._database.transaction() as session:
                taken = take_replies(session, self._rules, deliveries)
        except sa.exc.DBAPIError as error:
            if sql_state(error) != DEADLOCK:
                raise
            with self._database.transaction() as session:
                taken = take_replies(session, self._rules, deliveries)
        self._note(taken, consumed, keys)
        consumed.failed += [delivery.record for delivery in taken.behind]
        for delivery, cause in taken.aside:
            self._set_aside(delivery, cause, consumed, keys)

    def _fail_alone(self, delivery: Delivery, error: Exception, consumed: Consumed, keys: set[UUID]) -> None:
        """Report the record as failed; its failure counts unless it only met a slow database or somebody else's lock."""
        if kind_of(error) is Kind.SLOW:
            consumed.failed.append(delivery.record)
            return
        self._set_aside(delivery, error, consumed, keys)

    def _set_aside(self, delivery: Delivery, error: Exception, consumed: Consumed, keys: set[UUID]) -> None:
        """Count the failure; report the record as failed, or bury it if it failed too often."""
        with self._database.transaction() as session:
            deliveries = failures.add(session, delivery.record)
        if deliveries < DELIVERIES:
            consumed.failed.append(delivery.record)
            return
        self._bury(delivery, error, deliveries, consumed, keys)

    def _bury(self, delivery: Delivery, error: Exception, deliveries: int, consumed: Consumed, keys: set[UUID]) -> None:
        with self._database.transaction() as session:
            buried = bury(session, self._rules, delivery, error, deliveries)
        self._note(buried, consumed, keys)

    @staticmethod
    def _note(taken: Taken, consumed: Consumed, keys: set[UUID]) -> None:
        """Count and tell what was committed."""
        keys |= taken.keys
        consumed.counts += taken.counts
        for saga in taken.ended:
            with about(saga.trail.fields):
                logger.info("A saga ended", extra=_saga_fields(saga))
        for letter in taken.letters:
            with about(letter.trace):
                logger.warning("A record became a dead letter", extra=_letter_fields(letter))


def _saga_fields(saga: Saga) -> dict[str, str]:
    fields = {"saga": saga.name, "saga_id": str(saga.saga_id), "order_id": str(saga.order_id), "status": str(saga.status)}
    return fields | ({"error": saga.error.code} if saga.error else {})


def _letter_fields(letter: DeadLetter) -> dict[str, str | int | None]:
    return {
        "dead_letter_id": str(letter.dead_letter_id),
        "topic": letter.record.topic,
        "partition": letter.record.partition,
        "offset": letter.record.offset,
        "order_id": str(letter.order_id) if letter.order_id else None,
        "saga_id": str(letter.saga_id) if letter.saga_id else None,
        "error_class": letter.error_class,
        "error": letter.error,
        "deliveries": letter.deliveries,
    }


def _heads(deliveries: Sequence[Delivery]) -> list[Incoming]:
    """The first record of each partition: wherever a batch is delivered again, it begins with these."""
    heads: dict[tuple[str, int], Incoming] = {}
    for delivery in deliveries:
        heads.setdefault((delivery.record.topic, delivery.record.partition), delivery.record)
    return list(heads.values())
