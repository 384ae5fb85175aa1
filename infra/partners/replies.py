"""Sending replies: in the caller's thread, by a request to each broker, every one acknowledged.

Form of the request: the Kafka protocol guide, Produce version 7.
"""

import struct
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from kafka import TopicPartition
from kafka.errors import for_code
from kafka.partitioner import murmur2
from kafka.protocol.producer import ProduceResponse
from kafka.record.default_records import DefaultRecordBatchBuilder

from chalicelib.messages.envelope import Outgoing
from infra.esm.leaders import Connection, Leaders, body, head, string

PRODUCE, VERSION = 0, 7
PATIENCE_SECONDS = 5.0
# Less than the `max.message.bytes` of our topics, which a batch counts against.
MOST_BATCH_BYTES = 900_000
ALL_IN_SYNC = -1


class Replies:
    """The way to the reply topics. After an error it can't be used any more."""

    def __init__(self, consumer: Any, partitions: Mapping[str, Sequence[int]]) -> None:
        """`partitions` are those of the reply topics, whose metadata `consumer` keeps. Nothing is connected yet."""
        self._partitions = partitions
        self._leaders = Leaders(consumer, lambda host, port: Connection(host, port, PATIENCE_SECONDS))
        self._head = head(PRODUCE, VERSION, consumer.config["client_id"])

    def close(self) -> None:
        """End the connections."""
        self._leaders.close()

    def send(self, replies: Sequence[Outgoing]) -> None:
        """Send all, those of a partition in their order, and wait for every acknowledgement; raises KafkaError, OSError."""
        self._leaders.close_idle()
        waiting = replies
        while waiting:
            batches, waiting = self._batches(waiting)
            leaders: defaultdict[Connection, dict[TopicPartition, bytes]] = defaultdict(dict)
            for partition, batch in batches.items():
                leaders[self._leaders.of(partition, PATIENCE_SECONDS)][partition] = batch
            for leader, those in leaders.items():
                leader.send(self._head + _produce(those))
            for leader in leaders:
                _check(leader.receive())

    def _batches(self, replies: Sequence[Outgoing]) -> tuple[Mapping[TopicPartition, bytes], list[Outgoing]]:
        """A batch for each partition, and what fits in none of them."""
        now = int(time.time() * 1000)
        builders: dict[TopicPartition, Any] = {}
        counts: defaultdict[TopicPartition, int] = defaultdict(int)
        left: list[Outgoing] = []
        full: set[TopicPartition] = set()
        for reply in replies:
            partition = self._partition(reply)
            builder = builders.setdefault(partition, _builder())
            if partition in full or builder.append(counts[partition], now, reply.key, reply.value, reply.headers) is None:
                full.add(partition)
                left.append(reply)
            counts[partition] += 1
        return {partition: bytes(builder.build()) for partition, builder in builders.items()}, left

    def _partition(self, reply: Outgoing) -> TopicPartition:
        numbers = self._partitions[reply.topic]
        return TopicPartition(reply.topic, numbers[_hash(reply.key or b"") % len(numbers)])


@lru_cache(maxsize=4096)
def _hash(key: bytes) -> int:
    # As Kafka's clients spread keys. An order's replies come one after the other, and murmur2 is written in Python.
    return int(murmur2(key)) & 0x7FFFFFFF


def _builder() -> Any:
    """A batch in message format 2: not compressed, without a producer id."""
    return DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=False,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=MOST_BATCH_BYTES,
    )


def _produce(batches: Mapping[TopicPartition, bytes]) -> bytes:
    topics: defaultdict[str, list[bytes]] = defaultdict(list)
    for partition, batch in batches.items():
        topics[partition.topic].append(struct.pack(">ii", partition.partition, len(batch)) + batch)
    parts = [string(topic) + struct.pack(">i", len(those)) + b"".join(those) for topic, those in topics.items()]
    no_transaction = -1
    return struct.pack(">hhii", no_transaction, ALL_IN_SYNC, int(PATIENCE_SECONDS * 1000), len(parts)) + b"".join(parts)


def _check(answer: bytes) -> None:
    for topic in ProduceResponse.decode(body(answer), version=VERSION).responses:
        for each in topic.partition_responses:
            if each.error_code:
                raise for_code(each.error_code)(f"{topic.name}-{each.index}")
