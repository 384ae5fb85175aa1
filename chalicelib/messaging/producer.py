"""The one Kafka producer of a container: made on first use, thrown away after any trouble and after a long rest.

Between two invocations Lambda freezes the process, for minutes, its sockets and the producer's own thread included. Two rules follow.
Nothing is under way when a call returns: every record is acknowledged, refused, or its producer thrown away with its connection, so that
nothing is sent by the next thaw. And a connection that was left alone for long is not trusted: the broker, or what lies between, may have
dropped it without a word.
"""

import socket
import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Literal, TypeAlias

from chalicelib.errors import Unavailable
from chalicelib.messages.envelope import Outgoing
from chalicelib.observability import logger

END_SECONDS = 1.0

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
    delivery_timeout_ms: int = 6_000
    # A send that timed out may still be on its way to the broker, so after trouble publishing is left to the relay.
    rest_seconds: float = 5.0
    # Less than the 350 s of AWS's network load balancers and NAT gateways, the 9 minutes of kafka-python and the 10 minutes of a broker.
    idle_seconds: float = 240.0


PATIENCE = Patience()


class Producer:
    """Sends records and waits for every acknowledgement. Safe for several threads.

    With MSK_IAM the cluster's policy must allow `kafka-cluster:WriteDataIdempotently`, besides Connect, DescribeTopic and WriteData.
    """

    def __init__(self, brokers: str, security: Security = "PLAINTEXT", patience: Patience = PATIENCE) -> None:
        self._patience = patience
        self._connection: dict[str, Any] = {
            "bootstrap_servers": brokers.split(","),
            "socket_options": SOCKET_OPTIONS,
            **SECURITY[security],
        }
        self._producer: Any = None
        self._lock = Lock()
        self._resting_until = 0.0
        self._used_at = 0.0

    @property
    def resting(self) -> bool:
        """Whether trouble was so recent that somebody else should publish."""
        return time.monotonic() < self._resting_until

    def send(self, messages: Sequence[Outgoing], timeout: float) -> list[Exception | None]:
        """Send all, wait at most `timeout` seconds, and say for each message None (acknowledged) or why not.

        Raises Unavailable where the broker can't be reached at all.
        """
        deadline = time.monotonic() + timeout
        producer = self._made()
        try:
            futures = [_begin(producer, message, deadline) for message in messages]
            outcomes = [_outcome(future, deadline) for future in futures]
        except BaseException:
            self._discard(producer)
            raise
        self._used_at = time.time()
        if any(outcome is not None and not concerns_record(outcome) for outcome in outcomes):
            self._discard(producer)
        return outcomes

    def check(self, seconds: float) -> None:
        """Ask the broker for its metadata over a connection of its own; raises Unavailable where it doesn't answer in time."""
        from kafka import KafkaProducer
        from kafka.errors import KafkaError

        try:
            # Not idempotent: the broker need not hand out a producer id for it.
            KafkaProducer(
                **self._connection, bootstrap_timeout_ms=int(seconds * 1000), enable_idempotence=False, metrics_enabled=False
            ).close(timeout=0)
        except KafkaError as error:
            raise Unavailable("the Kafka broker does not answer") from error

    def close(self) -> None:
        """Let go of the broker; nothing is under way, as `send` has waited for it."""
        with self._lock:
            producer, self._producer = self._producer, None
        if producer is not None:
            _drop(producer)

    def _discard(self, producer: Any) -> None:
        """Throw this producer away with whatever it has not sent, and rest."""
        with self._lock:
            self._resting_until = time.monotonic() + self._patience.rest_seconds
            if self._producer is producer:
                self._producer = None
        _drop(producer)

    def _made(self) -> Any:
        with self._lock:
            # By the wall clock: whether the monotonic one goes on while the process is frozen, nobody says.
            if self._producer is not None and time.time() - self._used_at > self._patience.idle_seconds:
                _drop(self._producer)
                self._producer = None
            if self._producer is None:
                # Somebody who waited for this lock need not find out once more that nobody answers.
                if self.resting:
                    raise Unavailable("the Kafka broker could not be reached just now")
                self._producer = self._connect()
            self._used_at = time.time()
            return self._producer

    def _connect(self) -> Any:
        """A producer that has reached a broker. It asks for the version: a round trip or two more than with a fixed one, for any broker."""
        from kafka import KafkaProducer
        from kafka.errors import KafkaError

        try:
            return KafkaProducer(
                **self._connection,
                client_id="campusg-orders",
                acks="all",
                enable_idempotence=True,
                linger_ms=0,
                bootstrap_timeout_ms=self._patience.max_block_ms,
                max_block_ms=self._patience.max_block_ms,
                request_timeout_ms=self._patience.request_timeout_ms,
                delivery_timeout_ms=self._patience.delivery_timeout_ms,
            )
        except KafkaError as error:
            self._resting_until = time.monotonic() + self._patience.rest_seconds
            logger.warning("The Kafka broker can't be reached", extra={"error": str(error)})
            raise Unavailable("the Kafka broker can't be reached") from error


def _begin(producer: Any, message: Outgoing, deadline: float) -> Any:
    """The future of a record handed over, or why it could not be."""
    from kafka.errors import KafkaError, KafkaTimeoutError

    if time.monotonic() > deadline:
        return KafkaTimeoutError("not begun in time")
    try:
        return producer.send(message.topic, value=message.value, key=message.key, headers=list(message.headers))
    except (KafkaError, ValueError, TypeError) as error:
        return error


def _drop(producer: Any) -> None:
    """End the producer's thread and its connections: whatever is unresolved fails, and nothing more is sent.

    kafka-python's own `close` first flushes, which raises where something is unsent and then leaves the producer at work; and it doesn't
    wait for the thread that closes the connections.
    """
    producer.flush = lambda _timeout=None: None
    producer.close(timeout=0)
    producer._sender.join(END_SECONDS)


def concerns_record(error: Exception) -> bool:
    """Whether broker or client refused this very record (too large, not allowed, malformed), as opposed to trouble with the broker."""
    from kafka.errors import InvalidRecordError, InvalidTopicError, MessageSizeTooLargeError, PolicyViolationError, RecordListTooLargeError

    refusals = (MessageSizeTooLargeError, RecordListTooLargeError, InvalidRecordError, InvalidTopicError, PolicyViolationError)
    return isinstance(error, (*refusals, ValueError, TypeError))


def _outcome(begun: Any, deadline: float) -> Exception | None:
    from kafka.errors import KafkaError

    if isinstance(begun, Exception):
        return begun
    try:
        begun.get(timeout=max(0.0, deadline - time.monotonic()))
    except KafkaError as error:
        failure: Exception = error
        return failure
    return None
