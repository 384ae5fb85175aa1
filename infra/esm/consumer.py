"""The Kafka side of one mapping: a consumer that knows all partitions of the topic, where to begin, and what to commit.

Partitions are taken by assignment, never by group membership: there is no rebalance to wait for after a crash, and the group id only
names whose offsets are committed.
"""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.errors import KafkaError

from . import metrics as names
from .connecting import connected
from .mapping import EventSourceMapping
from .metrics import Metrics

BROKER_PATIENCE_MS = 2000
# So old may be what is known of a topic's partitions.
METADATA_AGE_MS = 20_000
# After a commit that failed.
REPEAT_SECONDS = 0.2

log = logging.getLogger(__name__)


class TopicMissing(Exception):
    """The mapping's topic does not exist (yet)."""


def open_consumer(mapping: EventSourceMapping, bootstrap_servers: str) -> Any:
    """A consumer that has all partitions of the topic, each at the position where the mapping goes on. It is not for polling.

    Raises KafkaError if no broker answers within some seconds, TopicMissing.
    """
    consumer = connected(
        KafkaConsumer,
        bootstrap_servers=[server.strip() for server in bootstrap_servers.split(",")],
        client_id=f"esm-{mapping.function_name}",
        group_id=mapping.group_id,
        enable_auto_commit=False,
        # Where to begin otherwise is decided below.
        auto_offset_reset="earliest",
        allow_auto_create_topics=False,
        bootstrap_timeout_ms=BROKER_PATIENCE_MS,
        request_timeout_ms=5 * BROKER_PATIENCE_MS,
        reconnect_backoff_max_ms=500,
        metadata_max_age_ms=METADATA_AGE_MS,
        metrics_enabled=False,
    )
    try:
        take_partitions(consumer, mapping)
    except BaseException:
        consumer.close(autocommit=False, timeout_ms=0)
        raise
    return consumer


def take_partitions(consumer: Any, mapping: EventSourceMapping) -> bool:
    """Have the consumer hold all partitions that the topic has by now; whether there are new ones, which begin where the mapping says.

    What was read of the others goes on. Raises KafkaError, TopicMissing.
    """
    numbers = consumer.partitions_for_topic(mapping.topic)
    if not numbers:
        raise TopicMissing(mapping.topic)
    partitions = [TopicPartition(mapping.topic, number) for number in sorted(numbers)]
    new = [partition for partition in partitions if partition not in consumer.assignment()]
    if not new:
        return False
    consumer.assign(partitions)
    if mapping.starting_position != "TRIM_HORIZON":
        _begin_late(consumer, mapping, new)
    return True


def _begin_late(consumer: Any, mapping: EventSourceMapping, partitions: list[Any]) -> None:
    new = [partition for partition in partitions if consumer.committed(partition, timeout_ms=BROKER_PATIENCE_MS) is None]
    if not new:
        return
    starts: dict[Any, int] = consumer.end_offsets(new)
    if mapping.starting_position_timestamp is not None:
        found = consumer.offsets_for_times({partition: int(mapping.starting_position_timestamp * 1000) for partition in new})
        starts.update({partition: start.offset for partition, start in found.items() if start is not None})
    for partition, offset in starts.items():
        consumer.seek(partition, offset)
    # Without this a restart before the first batch would begin at another place and leave records out.
    consumer.commit({partition: OffsetAndMetadata(offset, "", -1) for partition, offset in starts.items()}, timeout_ms=BROKER_PATIENCE_MS)


class Commits:
    """Offsets committed behind what was done: at once, or at most once in an interval; a commit that fails is repeated."""

    def __init__(
        self, consumer: Any, topic: str, metrics: Metrics, interval_seconds: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Nothing is done yet. `clock` tells seconds."""
        self._consumer = consumer
        self._topic = topic
        self._metrics = metrics
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._rests_until = 0.0
        self._begins: dict[int, int] = {}
        self._done: dict[int, int] = {}
        self._committed: dict[int, int] = {}

    @property
    def done(self) -> dict[int, int]:
        """For each partition, the offset after the last record that is done."""
        return self._begins | self._done

    @property
    def committed(self) -> dict[int, int]:
        """For each partition that got on, what the broker has confirmed."""
        return dict(self._committed)

    def begin(self, positions: Mapping[int, int]) -> None:
        """Reckon from here on, for partitions that are new."""
        self._begins = {**positions, **self._begins}

    def commit(self, ends: Mapping[int, int]) -> None:
        """Have, for each partition, the offset after the last record that is done committed: now, or by a later `send`."""
        self._done.update(ends)
        self.send()

    def send(self) -> None:
        """Commit what is done and not confirmed yet, unless the last commit, or its failure, was just now."""
        if self._done == self._committed or self._clock() < self._rests_until:
            return
        try:
            self.settle(BROKER_PATIENCE_MS / 1000)
            self._rests_until = self._clock() + self._interval_seconds
        except KafkaError as error:
            log.warning("commit failed and is repeated: topic=%s error=%s", self._topic, type(error).__name__)
            self._metrics.add(names.COMMIT_ERROR)
            self._rests_until = self._clock() + REPEAT_SECONDS

    def settle(self, patience_seconds: float) -> None:
        """Wait until the broker has everything; raises KafkaError."""
        ends = {partition: end for partition, end in self._done.items() if self._committed.get(partition) != end}
        if not ends:
            return
        offsets = {TopicPartition(self._topic, partition): OffsetAndMetadata(end, "", -1) for partition, end in ends.items()}
        self._consumer.commit(offsets, timeout_ms=int(patience_seconds * 1000))
        before = self._begins | self._committed
        self._committed.update(ends)
        # The guide counts by offsets, so that gaps count as events.
        self._metrics.add(names.COMMITTED, sum(max(0, end - before.get(partition, end)) for partition, end in ends.items()))
