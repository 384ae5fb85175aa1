"""What a poller reads from: a consumer, and how one waits for its next records."""

import logging
import time
from collections.abc import Collection, Iterable
from typing import Any

from kafka import TopicPartition

from .fetched import split
from .probe import EndProbe, EndsUnknown

# How long a poll waits for records that are known to be there.
ARRIVAL_SECONDS = 0.05
# How long one waits for the answer to a commit.
ANSWER_SECONDS = 0.005
# Between two looks: short after records, longer while nothing comes.
SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.001, 0.015
PAUSE_PER_IDLE_SECOND = 0.02
ENDS_PATIENCE_MS = 2000

log = logging.getLogger(__name__)


class Feed:
    """The records of one topic. Where the broker holds fetches, waiting is the consumer's; else the feed looks at the ends of the log."""

    def __init__(self, consumer: Any, topic: str, bootstrap_servers: str) -> None:
        """`consumer` has its partitions and positions; it stays the caller's to close."""
        self._consumer = consumer
        self._topic = topic
        self._broker = bootstrap_servers.split(",", maxsplit=1)[0].strip()
        self._numbers: list[int] = []
        self._held: frozenset[int] = frozenset()
        self._positions: dict[int, int] = {}
        self._last_records = time.monotonic()
        self._probe: EndProbe | None = None
        self.take_partitions()

    def take_partitions(self) -> None:
        """Read all partitions that the consumer has by now; raises KafkaError."""
        self._numbers = sorted(partition.partition for partition in self._consumer.assignment())
        self._read_positions(number for number in self._numbers if number not in self._positions)
        self.close()
        self._probe = _probe(self._broker, self._topic, self._numbers)

    def close(self) -> None:
        """End what the feed opened."""
        if self._probe is not None:
            self._probe.close()

    def poll(self, wait_seconds: float, max_records: int, *, awaits_answer: bool = False) -> dict[int, list[Any]]:
        """By partition, the next records in their order; none after `wait_seconds`, or a little more.

        A batch that can't be read is the last record of its partition, with `Unreadable` as its value; the position is then where it
        begins, and the caller says where to go on. The consumer hands over the answer to a commit only when it polls: where one is
        awaited it does so soon, records or not. Raises KafkaError, and EndsUnknown or OSError when the broker went away.
        """
        if awaits_answer:
            return self._fetch(min(wait_seconds, ANSWER_SECONDS), max_records)
        if self._probe is None:
            return self._fetch(wait_seconds, max_records)
        if not self._wait(self._probe, wait_seconds):
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
        """For each partition, the offset that its next record will have; raises KafkaError, EndsUnknown, OSError."""
        if self._probe is not None:
            return self._probe.ends()
        ends = self._consumer.end_offsets(self._of(self._numbers), timeout_ms=ENDS_PATIENCE_MS)
        return {partition.partition: end for partition, end in ends.items()}

    def go_to(self, partition: int, offset: int) -> None:
        """Read from this offset on."""
        self._seek(partition, offset)
        self._positions[partition] = offset

    def hold(self, partitions: Collection[int]) -> None:
        """Give no records of these partitions until told otherwise; give those of all others.

        Held partitions are read from their ends, and what comes is left aside: kafka-python 3.0.12 may forget records for ever that it had
        fetched when a partition was paused. Raises KafkaError, and EndsUnknown or OSError when the broker went away.
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
        if records:
            self._last_records = time.monotonic()
        return {number: self._advance(number, found) for number, found in records.items()}

    def _advance(self, number: int, found: list[Any]) -> list[Any]:
        sound, unreadable = split(found)
        if sound:
            self._positions[number] = sound[-1].offset + 1
        if unreadable is None:
            return found
        self._positions[number] = unreadable.start(self._positions[number])
        return found[: len(sound) + 1]

    def _wait(self, probe: EndProbe, wait_seconds: float) -> bool:
        deadline = time.monotonic() + wait_seconds
        while True:
            ends = probe.ends()
            if any(ends[number] != self._positions[number] for number in self._numbers if number not in self._held):
                return True
            now = time.monotonic()
            if now >= deadline:
                return False
            idle = (now - self._last_records) * PAUSE_PER_IDLE_SECOND
            time.sleep(min(deadline - now, max(SHORTEST_PAUSE_SECONDS, min(LONGEST_PAUSE_SECONDS, idle))))

    def _seek(self, partition: int, offset: int) -> None:
        self._consumer.seek(TopicPartition(self._topic, partition), offset)

    def _read_positions(self, numbers: Iterable[int]) -> None:
        for partition in self._of(numbers):
            offset = self._consumer.position(partition, timeout_ms=1000)
            if offset is not None:
                self._positions[partition.partition] = offset

    def _of(self, numbers: Iterable[int]) -> list[Any]:
        return [TopicPartition(self._topic, number) for number in numbers]


def _probe(address: str, topic: str, partitions: list[int]) -> EndProbe | None:
    probe = EndProbe(address, topic, partitions)
    try:
        if not probe.broker_holds_fetches():
            log.info("broker answers empty fetches at once; looking at the ends of the log instead: topic=%s", topic)
            return probe
    except (EndsUnknown, OSError) as error:
        # A cluster of several brokers, or one that wants TLS: such ones hold fetches.
        log.info("no look at the ends of the log: topic=%s reason=%s", topic, error)
    probe.close()
    return None
