"""What a poller reads from: all partitions of one topic, by their numbers."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from kafka import TopicPartition

from .fetched import Record
from .fetching import OFFSETS_PATIENCE_MS, Fetching


@dataclass(frozen=True)
class Cluster:
    """Where records come from. Offsets are committed after each batch, or at most once in `commit_seconds` and at the end."""

    bootstrap_servers: str
    commit_seconds: float = 0.0


class Feed:
    """The records of one topic."""

    def __init__(self, consumer: Any, topic: str) -> None:
        """`consumer` has its partitions; it stays the caller's to close. Raises KafkaError, OSError."""
        self._consumer = consumer
        self._topic = topic
        self._held: frozenset[TopicPartition] = frozenset()
        self._fetching = Fetching(consumer)
        self.take_partitions()

    def take_partitions(self) -> None:
        """Read all partitions that the consumer has by now; raises KafkaError, OSError."""
        self._fetching.begin(sorted(self._consumer.assignment() - self._fetching.positions.keys()))

    def close(self) -> None:
        """End what the feed opened."""
        self._fetching.close()

    def poll(self, wait_seconds: float, max_records: int) -> dict[int, list[Record]]:
        """By partition, the next records in their order; none after `wait_seconds`. Raises KafkaError, OSError.

        A batch that can't be read is the last record of its partition, with `Unreadable` as its value; the position is then where it
        begins, and the caller says where to go on.
        """
        polled = self._fetching.poll(wait_seconds, max_records, self._held)
        return {partition.partition: records for partition, records in polled.items()}

    @property
    def partitions(self) -> list[int]:
        """The numbers of all partitions, held ones included."""
        return sorted(self.positions)

    @property
    def positions(self) -> dict[int, int]:
        """For each partition, the offset of the next record that is read."""
        return {partition.partition: offset for partition, offset in self._fetching.positions.items()}

    def ends(self) -> dict[int, int]:
        """For each partition, the offset that its next record will have; raises KafkaError."""
        ends = self._consumer.end_offsets(list(self._fetching.positions), timeout_ms=OFFSETS_PATIENCE_MS)
        return {partition.partition: end for partition, end in ends.items()}

    def go_to(self, partition: int, offset: int) -> None:
        """Read from this offset on."""
        self._fetching.go_to(TopicPartition(self._topic, partition), offset)

    def hold(self, partitions: Collection[int]) -> None:
        """Give no records of these partitions until told otherwise; give those of all others."""
        self._held = frozenset(TopicPartition(self._topic, number) for number in partitions)
