"""The batch consumer: one transaction for a batch; halves where it fails; nothing lost and nothing half done.

A transient database error is raised, so that Lambda delivers the batch again. Any other failure is narrowed down to the records
that cause it; those are counted in a transaction of their own, reported as failed, and buried after a few deliveries.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import sqlalchemy as sa

from chalicelib.db.connection import DEADLOCK, Database, is_outwaited, is_transient, sql_state
from chalicelib.messages.envelope import Incoming
from chalicelib.messaging import failures
from chalicelib.observability import count, logger
from chalicelib.operations.take_replies import Delivery, bury, take_replies
from chalicelib.sagas.engine import Rules

DELIVERIES = 5


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

    def consume(self, deliveries: Sequence[Delivery], deadline: float) -> Consumed:
        """Take all deliveries; `deadline` on the monotonic clock: what is not begun by then is reported as failed."""
        consumed = Consumed()
        keys: set[UUID] = set()
        try:
            self._take(deliveries, deadline, consumed, keys)
        finally:
            if keys:
                self._publish(keys)
            count(consumed.counts)
        return consumed

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
            if is_transient(error):
                raise
            logger.warning(
                "A batch failed and is taken in halves", extra={"records": len(going), "error": str(getattr(error, "orig", error))}
            )
            if len(going) == 1:
                self._fail_alone(going[0], error, consumed, keys)
                return
            middle = len(going) // 2
            self._take(going[:middle], deadline, consumed, keys)
            self._take(going[middle:], deadline, consumed, keys)

    def _take_at_once(self, deliveries: Sequence[Delivery], consumed: Consumed, keys: set[UUID]) -> None:
        try:
            with self._database.transaction() as session:
                taken = take_replies(session, self._rules, deliveries)
        except sa.exc.DBAPIError as error:
            if sql_state(error) != DEADLOCK:
                raise
            with self._database.transaction() as session:
                taken = take_replies(session, self._rules, deliveries)
        keys |= taken.keys
        consumed.counts += taken.counts
        consumed.failed += [delivery.record for delivery in taken.behind]
        for delivery, cause in taken.aside:
            self._set_aside(delivery, cause, consumed, keys)

    def _fail_alone(self, delivery: Delivery, error: Exception, consumed: Consumed, keys: set[UUID]) -> None:
        """Report the record as failed; its failure counts unless it only waited too long for somebody else's lock."""
        if is_outwaited(error):
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
        with self._database.transaction() as session:
            keys |= bury(session, self._rules, delivery, error, deliveries)
        consumed.counts["DeadLetters"] += 1
