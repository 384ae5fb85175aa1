"""What the Kafka triggers call: a batch of records in, the records that failed out.

One transaction takes a batch; where that fails, its parts are taken apart. Nothing is lost and nothing half done. Where the database is
away the error is raised, so that Lambda delivers the batch again. Any other failure is narrowed down to the records that meet it. A record
that meets a slow database, or a lock, is reported as failed and comes again for as long as that lasts; one that is at fault itself is
counted in a transaction of its own, reported as failed, and dead-lettered after a few deliveries. `chalicelib.db.states` says which error
is which.
"""

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import sqlalchemy as sa

from chalicelib.db.connection import Database
from chalicelib.db.states import DEADLOCK, UNIQUE_VIOLATION, Kind, kind_of, name_of, sql_state
from chalicelib.entrypoints.lambda_events import partial_response, records
from chalicelib.errors import RecordsFailed
from chalicelib.ids import new_id, new_id_source
from chalicelib.messages.envelope import Incoming
from chalicelib.messages.topics import TRIGGERS
from chalicelib.messaging import failures
from chalicelib.messaging.dead_letters import DeadLetter
from chalicelib.messaging.decode import receive
from chalicelib.messaging.outbox import Written
from chalicelib.observability import about, count, logger
from chalicelib.operations.deaths import DELIVERIES
from chalicelib.operations.parts import parts
from chalicelib.operations.take_replies import Delivery, Taken, dead_letter, take_replies
from chalicelib.runtime import runtime
from chalicelib.sagas.engine import Rules

# Kept back from the function's time limit to publish and to report.
RESERVE_SECONDS = 12.0


def take_partner_events(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Take a batch of partner events. Raises where the database is away, so that the whole batch comes again.

    Records that failed are named in the response where the topic's mapping reads that; elsewhere a response would count as success, so
    RecordsFailed is raised. What was committed is published in any case.
    """
    deadline = time.monotonic() + context.get_remaining_time_in_millis() / 1000 - RESERVE_SECONDS
    deliveries = [Delivery(receive(record), new_id_source(), new_id()) for record in records(event)]
    batch = Batch(runtime().database, runtime().rules, deadline)
    try:
        with closing(runtime().deaths.portions(deliveries)) as portions:
            for portion in portions:
                if portion.death:
                    batch.give_up(portion.deliveries[0], portion.death, DELIVERIES)
                else:
                    batch.take(portion.deliveries)
    finally:
        _finish(batch)
    if batch.failed and not _responses_are_read(batch.failed):
        raise RecordsFailed(f"{len(batch.failed)} of {len(deliveries)} records failed and must come again")
    return partial_response(batch.failed)


def give_up(delivery: Delivery, error: Exception, deliveries: int) -> None:
    """Dead-letter a record that is not delivered any more, after so many deliveries; raises where the database is away."""
    batch = Batch(runtime().database, runtime().rules, math.inf)
    batch.give_up(delivery, error, deliveries)
    _finish(batch)


class Batch:
    """One batch and what became of it: `failed` are the records to be delivered again, `written` is committed and to be published."""

    def __init__(self, database: Database, rules: Rules, deadline: float) -> None:
        """What is not begun by `deadline`, on the monotonic clock, is reported as failed."""
        self._database = database
        self._rules = rules
        self._deadline = deadline
        self.failed: list[Incoming] = []
        self.written: list[Written] = []
        self.counts: Counter[str] = Counter()

    def take(self, deliveries: Sequence[Delivery]) -> None:
        """Take deliveries together, or else in parts; raises where the database is away.

        Those behind a failed one of their key fail with it, and so do all when the time is over.
        """
        blocked = {record.key for record in self.failed if record.key is not None}
        late = time.monotonic() > self._deadline
        ready = []
        for delivery in deliveries:
            if late or delivery.record.key in blocked:
                self.failed.append(delivery.record)
            else:
                ready.append(delivery)
        if not ready:
            return
        try:
            self._take_at_once(ready)
        except Exception as error:
            kind = kind_of(error)
            if kind is Kind.AWAY:
                raise
            logger.warning("A batch failed and is taken in parts", extra={"records": len(ready), "error": f"{name_of(error)}: {error}"})
            if len(ready) > 1:
                for part in parts(ready, kind):
                    self.take(part)
            elif kind is Kind.SLOW:
                self.failed.append(ready[0].record)
            else:
                self._count(ready[0], error)

    def give_up(self, delivery: Delivery, error: Exception, deliveries: int) -> None:
        """Dead-letter a record that failed `deliveries` times."""
        with self._database.transaction() as session:
            taken = dead_letter(session, self._rules, delivery, error, deliveries)
        self._note(taken)

    def _take_at_once(self, deliveries: Sequence[Delivery]) -> None:
        try:
            with self._database.transaction() as session:
                taken = take_replies(session, self._rules, deliveries)
        except sa.exc.DBAPIError as error:
            if sql_state(error) not in (DEADLOCK, UNIQUE_VIOLATION):
                raise
            # Of two transactions one had to give way, or another order has just got a partner's id.
            with self._database.transaction() as session:
                taken = take_replies(session, self._rules, deliveries)
        self._note(taken)
        self.failed += [delivery.record for delivery in taken.behind]
        for delivery, cause in taken.failed:
            self._count(delivery, cause)

    def _count(self, delivery: Delivery, error: Exception) -> None:
        """Count a failure of the record's own; report it as failed, or dead-letter it if it failed too often."""
        with self._database.transaction() as session:
            deliveries = failures.add(session, delivery.record)
        if deliveries < DELIVERIES:
            self.failed.append(delivery.record)
        else:
            self.give_up(delivery, error, deliveries)

    def _note(self, taken: Taken) -> None:
        """Add what was committed, and log it."""
        self.written += taken.written
        self.counts += taken.counts
        for letter in taken.letters:
            with about(letter.fields):
                logger.warning("A record became a dead letter", extra=_letter_fields(letter))


def _finish(batch: Batch) -> None:
    """Publish and count what was committed."""
    runtime().publisher.publish(batch.written)
    count(batch.counts)


def _responses_are_read(failed: Sequence[Incoming]) -> bool:
    reporting = {trigger.topic for trigger in TRIGGERS if trigger.report_item_failures}
    return {record.topic for record in failed} <= reporting


def _letter_fields(letter: DeadLetter) -> dict[str, str | int]:
    ids = {"order_id": letter.order_id, "saga_id": letter.saga_id}
    return {
        **{name: str(value) for name, value in ids.items() if value},
        "dead_letter_id": str(letter.dead_letter_id),
        "topic": letter.record.topic,
        "partition": letter.record.partition,
        "offset": letter.record.offset,
        "error_class": letter.error_class,
        "error": letter.error,
        "deliveries": letter.deliveries,
    }
