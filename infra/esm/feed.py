"""What a poller reads from: a consumer, and how one waits for its next records."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from kafka import TopicPartition

from .fetched import split

# How long a poll waits for records that are known to be there.
ARRIVAL_SECONDS = 0.05
# How long one waits for the answer to a commit.
ANSWER_SECONDS = 0.005
ENDS_PATIENCE_MS = 2000


class Watch(Protocol):
    """Waits for a topic's records in place of a fetch, for a broker that does not hold one that is empty. All raise OSError."""

    def wait(self, positions: Mapping[int, int], wait_seconds: float) -> bool:
        """Whether the log of one of these partitions ends elsewhere than at its position, after `wait_seconds` at most."""
        ...

    def ends(self) -> dict[int, int]:
        """For each partition, the offset that its next record will have."""
        ...

    def close(self) -> None:
        """End connections."""
        ...


OpenWatch: TypeAlias = Callable[[str, str, Sequence[int]], Watch | None]
"""Opens a watch, of bootstrap servers, topic and partitions; None where fetches do the waiting."""


def long_polling(bootstrap_servers: str, topic: str, partitions: Sequence[int]) -> None:
    """No watch: an empty fetch waits at the broker, as Apache Kafka has it."""


@dataclass(frozen=True)
class Cluster:
    """Where records come from. `open_watch` is for a cluster that does not hold an empty fetch."""

    bootstrap_servers: str
    open_watch: OpenWatch = long_polling


class Feed:
    """The records of one topic."""

    def __init__(self, consumer: Any, topic: str, cluster: Cluster) -> None:
        """`consumer` has its partitions and positions; it stays the caller's to close. Raises KafkaError, OSError."""
        self._consumer = consumer
        self._topic = topic
        self._cluster = cluster
        self._numbers: list[int] = []
        self._held: frozenset[int] = frozenset()
        self._positions: dict[int, int] = {}
        self._watch: Watch | None = None
        self.take_partitions()

    def take_partitions(self) -> None:
        """Read all partitions that the consumer has by now; raises KafkaError, OSError."""
        self._numbers = sorted(partition.partition for partition in self._consumer.assignment())
        self._read_positions(number for number in self._numbers if number not in self._positions)
        self.close()
        self._watch = self._cluster.open_watch(self._cluster.bootstrap_servers, self._topic, self._numbers)

    def close(self) -> None:
        """End what the feed opened."""
        if self._watch is not None:
            self._watch.close()

    def poll(self, wait_seconds: float, max_records: int, *, awaits_answer: bool = False) -> dict[int, list[Any]]:
        """By partition, the next records in their order; none after `wait_seconds`, or a little more.

        A batch that can't be read is the last record of its partition, with `Unreadable` as its value; the position is then where it
        begins, and the caller says where to go on. The consumer hands over the answer to a commit only when it polls: where one is
        awaited it does so soon, records or not. Raises KafkaError, OSError.
        """
        if awaits_answer:
            return self._fetch(min(wait_seconds, ANSWER_SECONDS), max_records)
        if self._watch is None:
            return self._fetch(wait_seconds, max_records)
        if not self._watch.wait({number: self._positions[number] for number in self._numbers if number not in self._held}, wait_seconds):
            return {}
        polled = self._fetch(ARRIVAL_SECONDS, max_records)
        if not polled:
            # Positions also move without records: over markers of transactions, and back where the log was cut.
            self._read_positions(number for number in self._numbers if number not in self._held)
        return polled

    @property
    def partitions(self) -> list[int]:
        """The numbers of all partitions, held ones included."""
        return self._numbers

    @property
    def positions(self) -> dict[int, int]:
        """For each partition, the offset of the next record that is read."""
        return dict(self._positions)

    def ends(self) -> dict[int, int]:
        """For each partition, the offset that its next record will have; raises KafkaError, OSError."""
        if self._watch is not None:
            return self._watch.ends()
        ends = self._consumer.end_offsets(self._of(self._numbers), timeout_ms=ENDS_PATIENCE_MS)
        return {partition.partition: end for partition, end in ends.items()}

    def go_to(self, partition: int, offset: int) -> None:
        """Read from this offset on."""
        self._seek(partition, offset)
        self._positions[partition] = offset

    def hold(self, partitions: Collection[int]) -> None:
        """Give no records of these partitions until told otherwise; give those of all others.

        Held partitions are read from their ends, and what comes is left aside: kafka-python 3.0.12 may forget records for ever that it had
        fetched when a partition was paused. Raises KafkaError, OSError.
        """
        held = frozenset(partitions)
        newly_held, released = held - self._held, self._held - held
        ends = self.ends() if newly_held else {}
        self._held = held
        for number in newly_held:
            self._seek(number, ends[number])
        for number in released:
            self._seek(number, self._positions[number])

    def _fetch(self, wait_seconds: float, max_records: int) -> dict[int, list[Any]]:
        polled = self._consumer.poll(timeout_ms=max(0.0, wait_seconds) * 1000, max_records=max_records)
        records = {partition.partition: found for partition, found in polled.items() if partition.partition not in self._held}
        return {number: self._advance(number, found) for number, found in records.items()}

    def _advance(self, number: int, found: list[Any]) -> list[Any]:
        sound, unreadable = split(found)
        if sound:
            self._positions[number] = sound[-1].offset + 1
        if unreadable is None:
            return found
        self._positions[number] = unreadable.start(self._positions[number])
        return found[: len(sound) + 1]

    def _seek(self, partition: int, offset: int) -> None:
        self._consumer.seek(TopicPartition(self._topic, partition), offset)

    def _read_positions(self, numbers: Iterable[int]) -> None:
        for partition in self._of(numbers):
            offset = self._consumer.position(partition, timeout_ms=1000)
            if offset is not None:
                self._positions[partition.partition] = offset

    def _of(self, numbers: Iterable[int]) -> list[Any]:
        return [TopicPartition(self._topic, number) for number in numbers]
