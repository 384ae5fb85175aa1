"""The Kafka side of one mapping: a consumer that holds all partitions of the topic, where to begin, and what to commit.

Partitions are taken by assignment, never by group membership: there is no rebalance to wait for after a crash, and the group id only
names whose offsets are committed.
"""

import logging
import socket
from collections.abc import Mapping
from typing import Any

from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError

from infra.local.esm.mapping import EventSourceMapping

BROKER_PATIENCE_MS = 2000
FETCH_WAIT_MS = 500

log = logging.getLogger(__name__)


class TopicMissing(Exception):
    """The mapping's topic does not exist (yet)."""


def open_consumer(mapping: EventSourceMapping, bootstrap_servers: str) -> Any:
    """A consumer at work on all partitions of the topic, each at the position where the mapping goes on.

    Raises KafkaError if no broker answers within some seconds, TopicMissing.
    """
    consumer = KafkaConsumer(
        bootstrap_servers=[server.strip() for server in bootstrap_servers.split(",")],
        client_id=f"esm-{mapping.function_name}",
        group_id=mapping.group_id,
        enable_auto_commit=False,
        # Only for positions that are out of range; where to begin is decided below.
        auto_offset_reset="earliest",
        allow_auto_create_topics=False,
        # One byte is enough for an answer: a broker wakes a parked fetch when a record arrives.
        fetch_min_bytes=1,
        fetch_max_wait_ms=FETCH_WAIT_MS,
        bootstrap_timeout_ms=BROKER_PATIENCE_MS,
        request_timeout_ms=5 * BROKER_PATIENCE_MS,
        reconnect_backoff_max_ms=500,
        metrics_enabled=False,
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)],
    )
    try:
        _take_partitions(consumer, mapping)
    except BaseException:
        consumer.close(autocommit=False, timeout_ms=0)
        raise
    return consumer


def _take_partitions(consumer: Any, mapping: EventSourceMapping) -> None:
    numbers = consumer.partitions_for_topic(mapping.topic)
    if not numbers:
        raise TopicMissing(mapping.topic)
    partitions = [TopicPartition(mapping.topic, number) for number in sorted(numbers)]
    consumer.assign(partitions)
    if mapping.starting_position != "TRIM_HORIZON":
        _begin_late(consumer, mapping, partitions)
    for partition in partitions:
        if consumer.position(partition, timeout_ms=BROKER_PATIENCE_MS) is None:
            raise KafkaTimeoutError(f"no position for {partition.topic}-{partition.partition}")


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
    """Offsets committed without waiting for the broker, always behind what was done; one that fails is sent again."""

    def __init__(self, consumer: Any, topic: str) -> None:
        """Nothing is done yet."""
        self._consumer = consumer
        self._topic = topic
        self._done: dict[Any, Any] = {}
        self._failed = False

    def commit(self, ends: Mapping[int, int]) -> None:
        """Commit, for each partition, the offset after the last record that is done."""
        offsets = {TopicPartition(self._topic, partition): OffsetAndMetadata(end, "", -1) for partition, end in ends.items()}
        self._done.update(offsets)
        if offsets:
            self._consumer.commit_async(offsets, callback=self._answered)

    def repeat_if_failed(self) -> None:
        """Send everything again if a commit failed since the last call."""
        if self._failed:
            self._failed = False
            self._consumer.commit_async(dict(self._done), callback=self._answered)

    def settle(self, patience_seconds: float) -> None:
        """Wait until the broker has everything; raises KafkaError."""
        if self._done:
            self._consumer.commit(dict(self._done), timeout_ms=int(patience_seconds * 1000))

    def _answered(self, _offsets: Any, answer: Any) -> None:
        if isinstance(answer, KafkaError):
            log.warning("commit failed and is repeated: topic=%s error=%s", self._topic, type(answer).__name__)
            self._failed = True
