"""Connections of our own to the brokers that lead partitions, plaintext, for requests that go by hand."""

import socket
import struct
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from kafka import TopicPartition
from kafka.errors import LeaderNotAvailableError

CONNECT_SECONDS = 5.0
# Less than the ten minutes after which brokers close a connection that nothing comes by.
IDLE_SECONDS = 300.0
# Between two looks whether a leader is known.
LOOK_SECONDS = 0.02


class Connection:
    """A connection to one broker. Errors are OSError, and end it."""

    def __init__(self, host: str, port: int, patience_seconds: float) -> None:
        """Connect; an answer is waited for at most `patience_seconds`."""
        self._socket = socket.create_connection((host, port), CONNECT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(patience_seconds)
        self.used_at = time.monotonic()
        """When something was sent last."""

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    def send(self, request: bytes) -> None:
        """Send a request."""
        self._socket.sendall(len(request).to_bytes(4, "big") + request)
        self.used_at = time.monotonic()

    def receive(self) -> bytes:
        """Wait for the next answer."""
        received = bytearray()
        size = 4
        while len(received) < size:
            part = self._socket.recv(max(size - len(received), 65_536))
            if not part:
                raise ConnectionError("the broker closed the connection")
            received += part
            if len(received) >= 4:
                size = 4 + int.from_bytes(received[:4], "big")
        return bytes(received[4:])

    def close(self) -> None:
        """End the connection."""
        self._socket.close()


C = TypeVar("C", bound=Connection)


class Leaders(Generic[C]):
    """A connection to each broker that leads a partition that was asked for."""

    def __init__(self, consumer: Any, connect: Callable[[str, int], C]) -> None:
        """`consumer` is kafka-python's and keeps the topics' metadata; `connect` is given host and port."""
        self._cluster = consumer._cluster
        self._connect = connect
        self._connections: dict[int, C] = {}

    @property
    def connections(self) -> list[C]:
        """All that are open."""
        return list(self._connections.values())

    def of(self, partition: TopicPartition, patience_seconds: float = 0.0) -> C:
        """The connection to the partition's leader, waited for where nobody knows it yet; raises LeaderNotAvailableError, OSError."""
        deadline = time.monotonic() + patience_seconds
        while (broker := self._cluster.broker_metadata(self._cluster.leader_for_partition(partition))) is None:
            # Also where the topic is not known any more: metadata that was asked for before the topic was set may come after it.
            self.look_again()
            if time.monotonic() >= deadline:
                raise LeaderNotAvailableError(f"{partition.topic}-{partition.partition}")
            time.sleep(LOOK_SECONDS)
        if broker.node_id not in self._connections:
            self._connections[broker.node_id] = self._connect(broker.host, broker.port)
        return self._connections[broker.node_id]

    def look_again(self) -> None:
        """Ask for the topics' metadata anew; what comes is seen later."""
        self._cluster.request_update()

    def close_idle(self) -> bool:
        """Close connections that nothing was sent by for so long that the broker may have closed them; whether there were any."""
        oldest = time.monotonic() - IDLE_SECONDS
        idle = [node for node, connection in self._connections.items() if connection.used_at < oldest]
        for node in idle:
            self._connections.pop(node).close()
        return bool(idle)

    def close(self) -> None:
        """End all connections."""
        for connection in self._connections.values():
            connection.close()


def head(api: int, version: int, client_id: str) -> bytes:
    """How a request begins, where one is under way at a time, so that none needs a number."""
    return struct.pack(">hhi", api, version, 0) + string(client_id)


def string(text: str) -> bytes:
    """A text in a request."""
    encoded = text.encode()
    return struct.pack(">h", len(encoded)) + encoded


def body(answer: bytes) -> memoryview:
    """An answer behind the number of its request."""
    return memoryview(answer)[4:]
