"""What the clock brings about: commands sent again, silence drawn conclusions from."""

from collections.abc import Callable, Sequence
from uuid import UUID

import sqlalchemy as sa

from chalicelib.db.connection import Database, is_transient
from chalicelib.observability import count, logger
from chalicelib.sagas.due import Due, push_back, read_due
from chalicelib.sagas.engine import Batch, Rules, lock
from chalicelib.sagas.outcomes import Deferred, Fresh, TimedOut

MOST_AT_ONCE = 500


class Sweeper:
    """Looks for sagas that are due, in batches; `publish` is called with the outbox keys of each committed batch."""

    def __init__(self, database: Database, rules: Rules, publish: Callable[[set[UUID]], None], new_fresh: Callable[[], Fresh]) -> None:
        self._database = database
        self._rules = rules
        self._publish = publish
        self._new_fresh = new_fresh

    def sweep(self) -> None:
        """Handle all sagas that are due now; one that fails alone is pushed back and never stops the others."""
        while True:
            with self._database.transaction() as session:
                due = read_due(session, MOST_AT_ONCE)
            if not due:
                return
            self._time_out([(each, self._new_fresh()) for each in due])
            count({"SagasDue": len(due)})
            if len(due) < MOST_AT_ONCE:
                return

    def _time_out(self, due: Sequence[tuple[Due, Fresh]]) -> None:
        try:
            with self._database.transaction() as session:
                keys = time_out(session, self._rules, due)
        except Exception as error:
            if is_transient(error):
                raise
            logger.exception("A sweep failed", extra={"sagas": len(due)})
            self._split(due)
            return
        if keys:
            self._publish(keys)

    def _split(self, due: Sequence[tuple[Due, Fresh]]) -> None:
        if len(due) > 1:
            middle = len(due) // 2
            self._time_out(due[:middle])
            self._time_out(due[middle:])
            return
        saga_id = due[0][0].saga_id
        with self._database.transaction() as session:
            lock(session, self._rules, saga_ids=[saga_id])
            push_back(session, saga_id)


def time_out(session: sa.Connection, rules: Rules, due: Sequence[tuple[Due, Fresh]]) -> set[UUID]:
    """Let each deadline happen that, under the lock, is still for the awaited command and still past; return the outbox keys."""
    batch = lock(session, rules, saga_ids=[each.saga_id for each, _ in due])
    for each, fresh in due:
        if _still_due(batch, each):
            batch.apply(batch.sagas[each.saga_id], TimedOut() if each.published else Deferred(), "system", fresh, {"cause": "timeout"})
    return batch.write()


def _still_due(batch: Batch, due: Due) -> bool:
    saga = batch.sagas[due.saga_id]
    awaited = saga.pending is not None and saga.pending.command_id == due.command_id
    return awaited and saga.due_at is not None and saga.due_at <= batch.moment.now
