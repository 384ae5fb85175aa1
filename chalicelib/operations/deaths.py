"""Records of which the function dies: out of memory, or killed at its time limit.

A death can't be counted afterwards. So the first batch of a container is counted before: whatever kills a function takes its container
along, and the next try is a first batch again. A container that has finished one batch of a topic counts nothing more, so this costs a
running service nothing.
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

from chalicelib.db.connection import Database
from chalicelib.messages.envelope import Incoming
from chalicelib.messaging import failures
from chalicelib.observability import logger
from chalicelib.operations.take_replies import Delivery

# After this many unfinished attempts at a batch its records are taken one at a time.
DEATHS = 2
# After this many failed deliveries a record is dead-lettered.
DELIVERIES = 5


class FunctionDied(Exception):
    """The function ended, again and again, while it took this record alone."""


@dataclass(frozen=True)
class Portion:
    """Deliveries to be taken together; with a `death`, the one that must not be tried again, and why."""

    deliveries: Sequence[Delivery]
    death: FunctionDied | None = None


class DeathWatch:
    """Counts, for a container, what it takes before it knows that it survives. One for all batches."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._proven: set[str] = set()

    def portions(self, deliveries: Sequence[Delivery]) -> Generator[Portion, None, None]:
        """The deliveries, all together; one at a time where others died of them.

        Take each portion before the next is asked for, and close the iterator: what it counted is settled then.
        """
        if {delivery.record.topic for delivery in deliveries} <= self._proven:
            yield Portion(deliveries)
            return
        heads = _heads(deliveries)
        with self._database.transaction() as session:
            deaths = failures.begin(session, heads)
        try:
            if deaths < DEATHS:
                yield Portion(deliveries)
            else:
                logger.warning("A batch was begun and never finished; its records are taken one at a time", extra={"deaths": deaths})
                for delivery in deliveries:
                    yield from self._alone(delivery)
        finally:
            # Also after an error: the function survived it.
            self._proven |= {head.topic for head in heads}
            with self._database.transaction() as session:
                failures.finish(session, heads)

    def _alone(self, delivery: Delivery) -> Iterator[Portion]:
        """One delivery, counted as failed until it is clear that the function lives."""
        with self._database.transaction() as session:
            died = failures.add(session, delivery.record) - 1
        try:
            death = FunctionDied(f"the function died {died} times while it took this record") if died >= DELIVERIES else None
            yield Portion([delivery], death)
        finally:
            with self._database.transaction() as session:
                failures.take_back(session, delivery.record)


def _heads(deliveries: Sequence[Delivery]) -> list[Incoming]:
    """The first record of each partition: wherever a batch is delivered again, it begins with these."""
    heads: dict[tuple[str, int], Incoming] = {}
    for delivery in deliveries:
        heads.setdefault((delivery.record.topic, delivery.record.partition), delivery.record)
    return list(heads.values())
