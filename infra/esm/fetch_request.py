"""Fetch requests to one broker.

By hand, for a broker that answers an empty fetch at once is asked every few milliseconds: a request and its empty answer take some fifty
microseconds, a tenth of what they take by way of kafka-python. Form: the Kafka protocol guide, Fetch version 10, which brokers have known
since Kafka 2.1.
"""

import math
import struct
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from kafka import TopicPartition
from kafka.protocol.consumer import FetchResponse

from .leaders import Connection, body, head, string

FETCH, VERSION = 1, 10
LONGEST_WAIT_SECONDS = 0.5
"""How long a broker is asked to hold an empty fetch at most."""
PATIENCE_SECONDS = 10.0
# Kafka's own defaults for `fetch.max.bytes` and `max.partition.fetch.bytes`; a larger batch comes all the same, alone.
MOST_BYTES, MOST_PARTITION_BYTES = 50 * 1024 * 1024, 1024 * 1024
_UNKNOWN = -1
# Not a replica.
_CONSUMER = struct.pack(">i", -1)
# As soon as there is a byte; uncommitted transactions too; without a fetch session.
_LIMITS = struct.pack(">iibii", 1, MOST_BYTES, 0, 0, -1)


class Answer(NamedTuple):
    """What a broker says of one partition that was asked for from `offset` on."""

    partition: TopicPartition
    offset: int
    error_code: int
    data: bytes


class FetchConnection(Connection):
    """A connection with one fetch under way at most."""

    def __init__(self, host: str, port: int, client_id: str) -> None:
        """Connect."""
        super().__init__(host, port, LONGEST_WAIT_SECONDS + PATIENCE_SECONDS)
        self._before_wait = head(FETCH, VERSION, client_id) + _CONSUMER
        self._behind_wait = b""
        self._offsets: Mapping[TopicPartition, int] = {}
        self._empty = b""
        self.is_asked = False
        """Whether an answer is awaited."""

    @property
    def is_overdue(self) -> bool:
        """Whether its answer should have come long ago."""
        return self.is_asked and time.monotonic() - self.used_at > LONGEST_WAIT_SECONDS + PATIENCE_SECONDS

    def ask(self, offsets: Mapping[TopicPartition, int], wait_seconds: float) -> None:
        """Ask for records of these partitions, each from its offset on; where there are none, the broker may hold the request so long."""
        if offsets is not self._offsets:
            self._offsets, self._behind_wait = offsets, _LIMITS + _topics(offsets)
        # An answer that came too early would have the rest of the time asked for once more.
        wait = math.ceil(min(wait_seconds, LONGEST_WAIT_SECONDS) * 1000).to_bytes(4, "big")
        self.send(self._before_wait + wait + self._behind_wait)
        self.is_asked = True

    def answers(self) -> Iterator[Answer]:
        """Wait for the answer, and give what it says of partitions with records or in trouble."""
        received = self.receive()
        self.is_asked = False
        if received == self._empty:
            return
        response = FetchResponse.decode(body(received), version=VERSION)
        told = [
            Answer(partition, self._offsets[partition], each.error_code, each.records or b"")
            for topic in response.responses
            for each in topic.partitions
            if each.error_code or each.records
            for partition in [TopicPartition(topic.topic, each.partition_index)]
        ]
        # While nothing happens, the next answer is the same byte by byte.
        self._empty = b"" if told else received
        yield from told


def _topics(offsets: Mapping[TopicPartition, int]) -> bytes:
    topics: dict[str, list[bytes]] = {}
    for partition, offset in offsets.items():
        wanted = struct.pack(">iiqqi", partition.partition, _UNKNOWN, offset, _UNKNOWN, MOST_PARTITION_BYTES)
        topics.setdefault(partition.topic, []).append(wanted)
    parts = [string(topic) + struct.pack(">i", len(wanted)) + b"".join(wanted) for topic, wanted in topics.items()]
    # No topics to forget, for there is no session.
    return struct.pack(">i", len(parts)) + b"".join(parts) + struct.pack(">i", 0)
