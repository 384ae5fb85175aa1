"""Fetch requests over a connection of their own to one broker.

By hand, for a broker that answers an empty fetch at once is asked every few milliseconds: a request and its empty answer take some fifty
microseconds, a tenth of what they take by way of kafka-python. Form: the Kafka protocol guide, Fetch version 10, which brokers have known
since Kafka 2.1.
"""

import math
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from kafka import TopicPartition
from kafka.protocol.consumer import FetchResponse

FETCH, VERSION = 1, 10
LONGEST_WAIT_SECONDS = 0.5
"""How long a broker is asked to hold an empty fetch at most."""
PATIENCE_SECONDS = 10.0
CONNECT_SECONDS = 5.0
# Less than the ten minutes after which brokers close a connection that nothing comes by.
IDLE_SECONDS = 300.0
# Kafka's own defaults for `fetch.max.bytes` and `max.partition.fetch.bytes`; a larger batch comes all the same, alone.
MOST_BYTES, MOST_PARTITION_BYTES = 50 * 1024 * 1024, 1024 * 1024
_UNKNOWN = -1
# Not a replica.
_CONSUMER = struct.pack(">i", -1)
# As soon as there is a byte; uncommitted transactions too; without a fetch session.
_LIMITS = struct.pack(">iibii", 1, MOST_BYTES, 0, 0, -1)
_CORRELATION_BYTES = 4


class Answer(NamedTuple):
    """What a broker says of one partition that was asked for from `offset` on."""

    partition: TopicPartition
    offset: int
    error_code: int
    data: bytes


class Connection:
    """A connection to one broker, with one request under way at most. Errors are OSError, and end it."""

    def __init__(self, host: str, port: int, client_id: str) -> None:
        """Connect."""
        self._socket = socket.create_connection((host, port), CONNECT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(LONGEST_WAIT_SECONDS + PATIENCE_SECONDS)
        self._before_wait = struct.pack(">hhi", FETCH, VERSION, 0) + _string(client_id) + _CONSUMER
        self._behind_wait = b""
        self._offsets: Mapping[TopicPartition, int] = {}
        self._empty = b""
        self._asked_at = time.monotonic()
        self.is_asked = False
        """Whether an answer is awaited."""

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    @property
    def rests(self) -> bool:
        """Whether it was not used for so long that the broker may have closed it."""
        return time.monotonic() - self._asked_at > IDLE_SECONDS

    @property
    def is_overdue(self) -> bool:
        """Whether its answer should have come long ago."""
        return self.is_asked and time.monotonic() - self._asked_at > LONGEST_WAIT_SECONDS + PATIENCE_SECONDS

    def ask(self, offsets: Mapping[TopicPartition, int], wait_seconds: float) -> None:
        """Ask for records of these partitions, each from its offset on; where there are none, the broker may hold the request so long."""
        if offsets is not self._offsets:
            self._offsets, self._behind_wait = offsets, _LIMITS + _topics(offsets)
        # An answer that came too early would have the rest of the time asked for once more.
        wait = math.ceil(min(wait_seconds, LONGEST_WAIT_SECONDS) * 1000).to_bytes(4, "big")
        size = len(self._before_wait) + len(wait) + len(self._behind_wait)
        self._socket.sendall(size.to_bytes(4, "big") + self._before_wait + wait + self._behind_wait)
        self._asked_at = time.monotonic()
        self.is_asked = True

    def answers(self) -> Iterator[Answer]:
        """Wait for the answer, and give what it says of partitions with records or in trouble."""
        received = self._receive()
        self.is_asked = False
        if received == self._empty:
            return
        response = FetchResponse.decode(memoryview(received)[_CORRELATION_BYTES:], version=VERSION)
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

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def _receive(self) -> bytes:
        received = bytearray()
        missing = 4
        while missing > 0:
            part = self._socket.recv(max(missing, 65_536))
            if not part:
                raise ConnectionError("the broker closed the connection")
            received += part
            if len(received) >= 4:
                missing = 4 + int.from_bytes(received[:4], "big") - len(received)
        return bytes(received[4:])


def _topics(offsets: Mapping[TopicPartition, int]) -> bytes:
    topics: dict[str, list[bytes]] = {}
    for partition, offset in offsets.items():
        wanted = struct.pack(">iiqqi", partition.partition, _UNKNOWN, offset, _UNKNOWN, MOST_PARTITION_BYTES)
        topics.setdefault(partition.topic, []).append(wanted)
    parts = [_string(topic) + struct.pack(">i", len(wanted)) + b"".join(wanted) for topic, wanted in topics.items()]
    # No topics to forget, for there is no session.
    return struct.pack(">i", len(parts)) + b"".join(parts) + struct.pack(">i", 0)


def _string(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack(">h", len(encoded)) + encoded
