"""The one Kafka producer of a container: made on first use, thrown away after any trouble."""

import socket
import time
from collections.abc import Sequence
from threading import Lock
from typing import Any

from chalicelib.errors import Unavailable
from chalicelib.messages.envelope import Outgoing
from chalicelib.observability import logger

# A send that timed out may still be under way in the old producer's thread, so after trouble publishing is left to the relay.
REST_SECONDS = 5.0
MAX_BLOCK_MS = 3_000
REQUEST_TIMEOUT_MS = 4_000
DELIVERY_TIMEOUT_MS = 6_000


class Producer:
    """Sends records and waits for every acknowledgement. Safe for several threads."""

    def __init__(self, brokers: str) -> None:
        self._brokers = brokers.split(",")
        self._producer: Any = None
        self._lock = Lock()
        self._resting_until = 0.0

    @property
    def resting(self) -> bool:
        """Whether trouble was so recent that somebody else should publish."""
        return time.monotonic() < self._resting_until

    def send(self, messages: Sequence[Outgoing], timeout: float) -> list[Exception | None]:
        """Send all, wait at most `timeout` seconds, and say for each message None (acknowledged) or why not.

        Raises Unavailable where the broker can't be reached at all.
        """
        deadline = time.monotonic() + timeout
        futures = [self._begin(message, deadline) for message in messages]
        outcomes = [_outcome(future, deadline) for future in futures]
        if any(outcome is not None and not concerns_record(outcome) for outcome in outcomes):
            self.discard()
        return outcomes

    def check(self, seconds: float) -> None:
        """Ask the broker for its metadata over a connection of its own; raises Unavailable where it doesn't answer in time."""
        from kafka import KafkaProducer
        from kafka.errors import KafkaError

        try:
            KafkaProducer(bootstrap_servers=self._brokers, bootstrap_timeout_ms=int(seconds * 1000)).close(timeout=0)
        except KafkaError as error:
            raise Unavailable("the Kafka broker does not answer") from error

    def discard(self) -> None:
        """Throw the producer away with whatever it has not sent, and rest."""
        with self._lock:
            self._resting_until = time.monotonic() + REST_SECONDS
            producer, self._producer = self._producer, None
        if producer is not None:
            _drop(producer, timeout=0)

    def close(self) -> None:
        with self._lock:
            producer, self._producer = self._producer, None
        if producer is not None:
            _drop(producer, timeout=1)

    def _begin(self, message: Outgoing, deadline: float) -> Any:
        from kafka.errors import KafkaError, KafkaTimeoutError

        if time.monotonic() > deadline:
            return KafkaTimeoutError("not begun in time")
        try:
            return self._made().send(message.topic, value=message.value, key=message.key, headers=list(message.headers))
        except (KafkaError, ValueError, TypeError) as error:
            return error

    def _made(self) -> Any:
        with self._lock:
            if self._producer is None:
                # Somebody who waited for this lock need not find out once more that nobody answers.
                if self.resting:
                    raise Unavailable("the Kafka broker could not be reached just now")
                self._producer = self._connect()
            return self._producer

    def _connect(self) -> Any:
        from kafka import KafkaProducer
        from kafka.errors import KafkaError

        try:
            return KafkaProducer(
                bootstrap_servers=self._brokers,
                client_id="campusg-orders",
                acks="all",
                linger_ms=0,
                bootstrap_timeout_ms=MAX_BLOCK_MS,
                max_block_ms=MAX_BLOCK_MS,
                request_timeout_ms=REQUEST_TIMEOUT_MS,
                delivery_timeout_ms=DELIVERY_TIMEOUT_MS,
                socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)],
            )
        except KafkaError as error:
            self._resting_until = time.monotonic() + REST_SECONDS
            logger.warning("The Kafka broker can't be reached", extra={"error": str(error)})
            raise Unavailable("the Kafka broker can't be reached") from error


def _drop(producer: Any, timeout: float) -> None:
    """Close without kafka-python's flush, which raises where something is unsent and then leaves the producer at work."""
    producer.flush = lambda _timeout=None: None
    producer.close(timeout=timeout)


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
