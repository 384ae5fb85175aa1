"""What a poller reads from: a consumer, and how one waits for its next records."""

import logging
import time
from collections.abc import Collection
from typing import Any

from kafka import TopicPartition

from infra.local.esm.probe import EndProbe, EndsUnknown

# How long a poll waits for records that are known to be there.
ARRIVAL_SECONDS = 0.05
# Between two looks: short after records, longer while nothing comes.
SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.001, 0.015
PAUSE_PER_IDLE_SECOND = 0.02

log = logging.getLogger(__name__)


class Feed:
    """The records of one topic. Where the broker holds fetches, waiting is the consumer's; else the feed looks at the ends of the log."""

    def __init__(self, consumer: Any, topic: str, bootstrap_servers: str) -> None:
        """`consumer` has its partitions and positions; it stays the caller's to close."""
        self._consumer = consumer
        self._topic = topic
        self._numbers = sorted(partition.partition for partition in consumer.assignment())
        self._held: frozenset[int] = frozenset()
        self._positions: dict[int, int] = {}
        self._read_positions()
        self._last_records = time.monotonic()
        self._probe = _probe(bootstrap_servers.split(",", maxsplit=1)[0].strip(), topic, self._numbers)

    def close(self) -> None:
        """End what the feed opened."""
        if self._probe is not None:
            self._probe.close()

    def poll(self, wait_seconds: float, max_records: int) -> dict[int, list[Any]]:
        """By partition, the next records in their order; none after `wait_seconds`, or a little more.

        Raises KafkaError, and EndsUnknown or OSError when the broker went away.
        """
        if self._probe is None:
            return self._fetch(wait_seconds, max_records)
        if not self._wait(self._probe, wait_seconds):
            return {}
        polled = self._fetch(ARRIVAL_SECONDS, max_records)
        if polled:
            self._last_records = time.monotonic()
        else:
            # Positions also move without records: over markers of transactions, and back where the log was cut.
            self._read_positions()
        return polled

    def go_back(self, partition: int, offset: int) -> None:
        """Read from this offset on again."""
        self._consumer.seek(TopicPartition(self._topic, partition), offset)
        self._positions[partition] = offset

    def hold(self, partitions: Collection[int]) -> None:
        """Give no records of these partitions until told otherwise; give those of all others."""
        held = frozenset(partitions)
        if held == self._held:
            return
        self._consumer.pause(*self._of(held - self._held))
        self._consumer.resume(*self._of(self._held - held))
        self._held = held

    def _fetch(self, wait_seconds: float, max_records: int) -> dict[int, list[Any]]:
        polled = self._consumer.poll(timeout_ms=max(0.0, wait_seconds) * 1000, max_records=max_records)
        records = {partition.partition: found for partition, found in polled.items()}
        self._positions.update({number: found[-1].offset + 1 for number, found in records.items()})
        return records

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

    def _read_positions(self) -> None:
        for partition in self._of(self._numbers):
            offset = self._consumer.position(partition, timeout_ms=1000)
            if offset is not None:
                self._positions[partition.partition] = offset

    def _of(self, numbers: Collection[int]) -> list[Any]:
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
