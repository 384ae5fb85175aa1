"""The partners at work: commands from Kafka, through the ledger, answers to Kafka, and only then the offsets."""

import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from threading import Event
from typing import Any, Self

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata
from pg8000.exceptions import Error as DatabaseError
from uuid_utils.compat import uuid7

from chalicelib.messages import topics
from chalicelib.messages.envelope import Incoming
from infra.esm.connecting import connected
from infra.esm.fetched import Record, Unreadable
from infra.esm.fetching import Fetching
from infra.partners import requests
from infra.partners.answers import SOURCES
from infra.partners.batch import Worked
from infra.partners.replies import Replies
from infra.partners.settings import Settings
from infra.partners.store import Store
from infra.stack.ready import announce

GROUP = "campusg-partners"
COMMAND_TOPICS = (topics.USER_COMMANDS, topics.PAYMENT_COMMANDS, topics.ESCROW_COMMANDS, topics.NOTIFICATION_COMMANDS)
MAX_BATCH = 1000
POLL_SECONDS = 0.2
# A commit costs as much as a small batch. What was worked and not committed comes again after a crash, and is answered from the ledger.
COMMIT_SECONDS = 0.2
RETRY_PAUSE_SECONDS = 0.3
FORGET_EVERY_SECONDS = 3600.0
CLIENT_SETTINGS: Mapping[str, Any] = {
    "client_id": GROUP,
    "bootstrap_timeout_ms": 2000,
    "request_timeout_ms": 5000,
    "reconnect_backoff_max_ms": 500,
    # A topic made by the way would have the broker's number of partitions, not the contract's.
    "allow_auto_create_topics": False,
    "metrics_enabled": False,
}

logger = logging.getLogger(__name__)


class BrokerNotReady(Exception):
    """The broker has no topics yet."""


def _worded(error: Exception) -> str:
    """What the log may have of it: of a database error the SQLSTATE alone, as the rest may show rows."""
    fields = error.args[0] if error.args else None
    text = f"SQLSTATE {fields.get('C')}" if isinstance(fields, dict) else str(error)
    return f"{type(error).__name__}: {text}"[:500]


def run(settings: Settings, stop: Event) -> None:
    """Work until `stop` is set. Where the database or the broker is away, begin again from what is committed, without end."""
    while not stop.is_set():
        try:
            with Worker(settings) as worker:
                announce()
                worker.serve(stop)
        except (DatabaseError, KafkaError, BrokerNotReady, OSError) as error:
            logger.warning("database or broker is away, starting over", extra={"error": _worded(error)})
            stop.wait(RETRY_PAUSE_SECONDS)


class Worker:
    """One life of the connections to database and broker; any error ends it."""

    def __init__(self, settings: Settings) -> None:
        """Make the tables where they are missing, and find the position in every partition; raises what `run` catches."""
        with contextlib.ExitStack() as stack:
            self._store = Store.open(settings.database_url)
            stack.callback(self._store.close)
            self._consumer = _consumer(settings)
            stack.callback(self._consumer.close, autocommit=False, timeout_ms=300)
            self._fetching = Fetching(self._consumer)
            stack.callback(self._fetching.close)
            partitions = _take_partitions(self._consumer)
            self._fetching.begin([TopicPartition(topic, number) for topic in COMMAND_TOPICS for number in partitions[topic]])
            self._done: dict[TopicPartition, int] = {}
            self._next_commit = 0.0
            self._replies = Replies(self._consumer, partitions)
            stack.callback(self._replies.close)
            self._next_forgetting = time.monotonic()
            self._closing = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # A connection that is broken already may fail once more here, and that says nothing new.
        with contextlib.suppress(DatabaseError, KafkaError, OSError):
            self._closing.close()

    def serve(self, stop: Event) -> None:
        """Take what comes, until `stop` is set."""
        while not stop.is_set():
            self._forget_old()
            self.handle(self._fetching.poll(POLL_SECONDS, MAX_BATCH))
            if time.monotonic() >= self._next_commit:
                self._commit()
        self._commit()

    def handle(self, polled: Mapping[TopicPartition, Sequence[Record]]) -> None:
        """Work one poll's records: the ledger's transaction, then the answers, acknowledged; the offsets are committed later.

        A batch that can't be read is left out: whoever sent its commands sends them again while nobody answers.
        """
        readable = [record for partition, records in polled.items() for record in self._readable(partition, records)]
        commands = [request for record in readable if (request := _read(record))]
        if commands:
            worked = self._store.work(commands, datetime.now(UTC), lambda: str(uuid7()))
            _log(worked)
            self._replies.send(worked.replies)
        self._done.update({partition: self._fetching.positions[partition] for partition in polled})

    def _readable(self, partition: TopicPartition, records: Sequence[Record]) -> Sequence[Record]:
        last = records[-1]
        if not isinstance(last.value, Unreadable):
            return records
        behind = last.value.behind(last.offset, self._consumer.end_offsets([partition])[partition])
        self._fetching.go_to(partition, behind)
        place = {"topic": partition.topic, "partition": partition.partition, "offset": last.offset}
        logger.error("batch can't be read, skipped", extra={**place, "until": behind - 1, "error": last.value.reason})
        return records[:-1]

    def _commit(self) -> None:
        if self._done:
            self._consumer.commit({partition: OffsetAndMetadata(end, "", -1) for partition, end in self._done.items()}, timeout_ms=5000)
            self._done = {}
            self._next_commit = time.monotonic() + COMMIT_SECONDS

    def _forget_old(self) -> None:
        if time.monotonic() >= self._next_forgetting:
            self._store.forget_old()
            self._next_forgetting = time.monotonic() + FORGET_EVERY_SECONDS


def _consumer(settings: Settings) -> KafkaConsumer:
    # Partitions by assign(), never by group membership: the successor of a killed member would wait for its session to run out.
    return connected(
        KafkaConsumer,
        bootstrap_servers=list(settings.kafka_brokers),
        group_id=GROUP,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        **CLIENT_SETTINGS,
    )


def _take_partitions(consumer: KafkaConsumer) -> dict[str, list[int]]:
    """Have the consumer know all partitions of commands and replies; their numbers by topic."""
    found = {topic: sorted(consumer.partitions_for_topic(topic) or ()) for topic in (*COMMAND_TOPICS, *SOURCES)}
    missing = [topic for topic, numbers in found.items() if not numbers]
    if missing:
        # Somebody else makes them; a consumer that waits for a topic would see it late.
        raise BrokerNotReady(f"the broker has no topic {missing[0]} yet")
    consumer.assign([TopicPartition(topic, number) for topic, numbers in found.items() for number in numbers])
    return found


def _read(record: Record) -> requests.Request | None:
    headers = tuple((name, value or b"") for name, value in record.headers)
    try:
        return requests.read(Incoming(record.topic, record.partition, record.offset, record.key, record.value, headers))
    except requests.UnreadableCommand as error:
        place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
        logger.warning("command can't be read, skipped", extra={**place, "error": str(error)[:500]})
        return None


def _log(worked: Worked) -> None:
    for command_id, notification in worked.notifications:
        fields = {"message_id": command_id, "order_id": notification.order_id, "recipient": notification.recipient_id}
        logger.info("notification sent", extra={**fields, "notification_type": notification.notification_type})
