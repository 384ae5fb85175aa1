"""Notices that the broker went away, however soon it came back."""

import select
import socket
from collections.abc import Sequence

CONNECT_TIMEOUT_SECONDS = 2.0


class Tripwire:
    """An idle connection to the broker, whose end shows that the broker ended.

    kafka-python reconnects silently and reads on from its old position. A broker that lost records meanwhile has new ones there, and those
    before them would never be seen. A broker that closes idle connections trips it too, which costs no more than a fresh start.
    """

    def __init__(self, brokers: Sequence[str]) -> None:
        """Connect to the first of the brokers (`host:port`) that answers; raises OSError if none does."""
        self._socket = _connect(brokers)

    @property
    def tripped(self) -> bool:
        """Whether the broker closed the connection."""
        readable, _, _ = select.select([self._socket], [], [], 0)
        return bool(readable)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def _connect(brokers: Sequence[str]) -> socket.socket:
    failure: OSError = OSError("no broker is named")
    for broker in brokers:
        host, _, port = broker.rpartition(":")
        try:
            return socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT_SECONDS)
        except OSError as error:
            failure = error
    raise failure
