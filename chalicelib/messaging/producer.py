"""The one Kafka producer of a container: made on first use, thrown away after any trouble and after a long rest.

It sends in its caller's thread and returns with every acknowledgement, because Lambda freezes the process between two invocations, for
minutes, sockets and threads included. Two rules follow. Nothing is under way when a call returns: every record is acknowledged, refused, or
its connection reset, so that nothing is sent by the next thaw. And a connection that was left alone for long is not trusted: the broker, or
what lies between, may have dropped it without a word.
"""

import socket
import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from chalicelib.errors import Unavailable
from chalicelib.messages.envelope import Outgoing
from chalicelib.observability import logger

if TYPE_CHECKING:
    from chalicelib.messaging.brokers import Brokers

SOCKET_OPTIONS = [
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    # To close is to reset: what the kernel has not sent yet is dropped instead of being sent later.
    (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)),
]

Security: TypeAlias = Literal["PLAINTEXT", "TLS", "MSK_IAM"]
# MSK_IAM finds credentials and region as botocore does, and signs anew for each connection.
SECURITY: Mapping[Security, Mapping[str, str]] = {
    "PLAINTEXT": {"security_protocol": "PLAINTEXT"},
    "TLS": {"security_protocol": "SSL"},
    "MSK_IAM": {"security_protocol": "SASL_SSL", "sasl_mechanism": "AWS_MSK_IAM"},
}


@dataclass(frozen=True)
class Patience:
    """How long a producer waits for the broker, rests after trouble, and trusts a connection that is not used."""

    max_block_ms: int = 3_000
    request_timeout_ms: int = 4_000
    # A send that timed out may still be on its way to the broker, so after trouble publishing is left to the relay.
    rest_seconds: float = 5.0
    # Less than the 350 s of AWS's network load balancers and NAT gateways, the 9 minutes of kafka-python and the 10 minutes of a broker.
    idle_seconds: float = 240.0


PATIENCE = Patience()


class Producer:
    """Sends records and waits for every acknowledgement. Safe for several threads, one of which sends at a time.

    With MSK_IAM the cluster's policy must allow Connect, DescribeTopic and WriteData.
    """

    def __init__(self, brokers: str, security: Security = "PLAINTEXT", patience: Patience = PATIENCE) -> None:
        self._patience = patience
        self._settings: dict[str, Any] = {
            "bootstrap_servers": brokers.split(","),
            "client_id": "campusg-orders",
            "socket_options": SOCKET_OPTIONS,
            "request_timeout_ms": patience.request_timeout_ms,
            **SECURITY[security],
        }
        self._brokers: Brokers | None = None
        self._lock = Lock()
        self._resting_until = 0.0
        self._used_at = 0.0

    @property
    def resting(self) -> bool:
        """Whether trouble was so recent that somebody else should publish."""
        return time.monotonic() < self._resting_until

    def send(self, messages: Sequence[Outgoing], timeout: float) -> list[Exception | None]:
        """Send all, wait at most `timeout` seconds, and say for each message None (acknowledged) or why not.

        Raises Unavailable where the broker can't be reached at all, or where other threads send all that time.
        """
        deadline = time.monotonic() + timeout
        if not self._lock.acquire(timeout=timeout):
            raise Unavailable("the Kafka producer is busy")
        try:
            return self._send(messages, deadline)
        finally:
            self._lock.release()

    def check(self, seconds: float) -> None:
        """Ask the broker for its metadata over a connection of its own; raises Unavailable where it doesn't answer in time."""
        from kafka.errors import KafkaError

        try:
            self._reached(seconds).close()
        except KafkaError as error:
            raise Unavailable("the Kafka broker does not answer") from error

    def close(self) -> None:
        """Let go of the broker; nothing is under way, as `send` has waited for it."""
        with self._lock:
            self._drop()

    def _send(self, messages: Sequence[Outgoing], deadline: float) -> list[Exception | None]:
        brokers = self._made()
        try:
            outcomes = brokers.send(messages, deadline)
        except BaseException:
            self._discard()
            raise
        self._used_at = time.time()
        if any(outcome is not None and not concerns_record(outcome) for outcome in outcomes):
            self._discard()
        return outcomes

    def _discard(self) -> None:
        """Throw the connections away with whatever they have not sent, and rest."""
        self._resting_until = time.monotonic() + self._patience.rest_seconds
        self._drop()

    def _drop(self) -> None:
        brokers, self._brokers = self._brokers, None
        if brokers is not None:
            brokers.close()

    def _made(self) -> "Brokers":
        # By the wall clock: whether the monotonic one goes on while the process is frozen, nobody says.
        if time.time() - self._used_at > self._patience.idle_seconds:
            self._drop()
        if self._brokers is None:
            # Somebody who waited for the lock need not find out once more that nobody answers.
            if self.resting:
                raise Unavailable("the Kafka broker could not be reached just now")
            self._brokers = self._connect()
        return self._brokers

    def _connect(self) -> "Brokers":
        from kafka.errors import KafkaError

        try:
            return self._reached(self._patience.max_block_ms / 1000)
        except KafkaError as error:
            self._resting_until = time.monotonic() + self._patience.rest_seconds
            logger.warning("The Kafka broker can't be reached", extra={"error": str(error)})
            raise Unavailable("the Kafka broker can't be reached") from error

    def _reached(self, seconds: float) -> "Brokers":
        """Brokers that have answered. They are asked for their version: a round trip or two more than with a fixed one, for any broker."""
        from chalicelib.messaging.brokers import Brokers

        brokers = Brokers(self._settings)
        try:
            brokers.reach(seconds)
        except BaseException:
            brokers.close()
            raise
        return brokers


def concerns_record(error: Exception) -> bool:
    """Whether broker or client refused this very record (too large, not allowed, malformed), as opposed to trouble with the broker."""
    from chalicelib.messaging.brokers import REFUSALS

    return isinstance(error, (*REFUSALS, ValueError, TypeError))
