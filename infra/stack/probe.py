"""A cheap look at the ends of a topic's partitions, for brokers that answer an empty fetch at once instead of holding it.

Against such a broker a consumer that waits for records asks without pause and takes a whole core. Asking for the end offsets over a
socket of one's own costs some 50 µs, so it can be done every few milliseconds. Message formats: the Kafka protocol guide, ListOffsets
version 1 and Fetch version 4, which Apache Kafka has kept up to 4.x.
"""

import socket
import struct
import time
from collections.abc import Sequence
from typing import Self

LIST_OFFSETS, LIST_OFFSETS_VERSION = 2, 1
FETCH, FETCH_VERSION = 1, 4
LATEST = -1
PATIENCE_SECONDS = 5.0
HOLD_SECONDS = 0.06

_ANSWERED_PARTITION = struct.Struct(">ihqq")


class EndsUnknown(OSError):
    """The broker does not tell the ends: it doesn't lead the partitions, or the topic is gone."""


class EndProbe:
    """A connection to one broker that reads the end offsets of one topic's partitions; errors of the connection are OSError."""

    def __init__(self, address: str, topic: str, partitions: Sequence[int]) -> None:
        """Connect to `address` (host:port)."""
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host.strip("[]"), int(port)), PATIENCE_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._topic = topic
        self._partitions = partitions
        self._request = self._list_offsets()
        self._answer = b""
        self._ends: dict[int, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def ends(self) -> dict[int, int]:
        """For each partition, the offset that its next record will have; raises EndsUnknown."""
        answer = self._ask(self._request)
        if answer != self._answer:
            self._ends = self._read(answer)
            self._answer = answer
        return self._ends

    def broker_holds_fetches(self) -> bool:
        """Whether an empty fetch waits at the broker as it should. A record that arrives meanwhile ends it early: so ask twice."""
        return any(self._fetch_is_held() for _ in range(2))

    def _fetch_is_held(self) -> bool:
        ends = self.ends()
        partition = self._partitions[0]
        wait = struct.pack(">iiiib", -1, int(HOLD_SECONDS * 1000), 1, 1, 0)
        asked = struct.pack(">i", 1) + _string(self._topic) + struct.pack(">iiqi", 1, partition, ends[partition], 1)
        start = time.monotonic()
        self._ask(_request(FETCH, FETCH_VERSION, wait + asked))
        return time.monotonic() - start > HOLD_SECONDS / 2

    def _list_offsets(self) -> bytes:
        partitions = b"".join(struct.pack(">iq", partition, LATEST) for partition in self._partitions)
        body = struct.pack(">ii", -1, 1) + _string(self._topic) + struct.pack(">i", len(self._partitions)) + partitions
        return _request(LIST_OFFSETS, LIST_OFFSETS_VERSION, body)

    def _read(self, answer: bytes) -> dict[int, int]:
        start = 4 + 4 + len(_string(self._topic)) + 4
        ends: dict[int, int] = {}
        for partition, error, _, offset in _ANSWERED_PARTITION.iter_unpack(answer[start:]):
            if error != 0:
                raise EndsUnknown(f"{self._topic}-{partition}: error {error}")
            ends[partition] = offset
        return ends

    def _ask(self, request: bytes) -> bytes:
        self._socket.sendall(request)
        (size,) = struct.unpack(">i", self._receive(4))
        return self._receive(size)

    def _receive(self, size: int) -> bytes:
        received = self._socket.recv(size, socket.MSG_WAITALL)
        if len(received) < size:
            raise ConnectionError("the broker closed the connection")
        return received


def _request(api: int, version: int, body: bytes) -> bytes:
    message = struct.pack(">hhi", api, version, 0) + _string("esm-probe") + body
    return struct.pack(">i", len(message)) + message


def _string(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack(">h", len(encoded)) + encoded
