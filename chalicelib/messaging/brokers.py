"""Produce requests over kafka-python's connections, in the caller's thread.

kafka-python's event loop runs only while a method of `Brokers` does, and each of them waits for what it has asked. Metadata is asked for by
name and when it is needed: kafka-python's own refreshing would leave requests under way between two calls.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple

from kafka import errors
from kafka.errors import KafkaError
from kafka.net.manager import KafkaConnectionManager
from kafka.net.selector import NetworkSelector
from kafka.partitioner import DefaultPartitioner, murmur2
from kafka.protocol.metadata import MetadataRequest
from kafka.protocol.producer import ProduceRequest
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.structs import TopicPartition
from kafka.util import ensure_valid_topic_name

from chalicelib.messages.envelope import Outgoing

# Less than the `max.message.bytes` of our topics, which a batch counts against.
MOST_REQUEST_BYTES = 900_000
# The `max.request.size` of Kafka's producers. More would cost the connection: a broker closes it above its `socket.request.max.bytes`.
MOST_RECORD_BYTES = 1_048_576
# So long partitions that were added to a topic may go unnoticed.
METADATA_SECONDS = 300.0
# Message format 2 begins with version 3; version 9 is what Kafka 2.4 to 4 and kafka-python's own producer speak.
PRODUCE_VERSIONS = {"min_version": 3, "max_version": 9}

# What the broker may say of a batch because of one record in it.
REFUSALS = (
    errors.MessageSizeTooLargeError,
    errors.RecordListTooLargeError,
    errors.InvalidRecordError,
    errors.InvalidTopicError,
    errors.PolicyViolationError,
)


class Sized(NamedTuple):
    """A record, its place among those given to `send`, and how many bytes it takes at most."""

    number: int
    message: Outgoing
    size: int


@dataclass
class Batch:
    """Records of one partition, accepted or refused as a whole. `moved`: its leader was already asked for once more."""

    partition: TopicPartition
    records: list[Sized] = field(default_factory=list)
    moved: bool = False
    size: int = 0

    def add(self, record: Sized) -> None:
        self.records.append(record)
        self.size += record.size

    def halves(self) -> list["Batch"]:
        middle = len(self.records) // 2
        parts = self.records[:middle], self.records[middle:]
        return [Batch(self.partition, part, self.moved, sum(record.size for record in part)) for part in parts]


class Brokers:
    """A cluster's brokers; `settings` are kafka-python's. Not safe for several threads. After a KafkaError, close it."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._net = NetworkSelector(**settings)
        self._manager = KafkaConnectionManager(self._net, **settings)
        self._cluster = self._manager.cluster
        self._topics: set[str] = set()
        self._refused: dict[str, KafkaError] = {}
        self._asked_at = 0.0

    def reach(self, seconds: float) -> None:
        """Find out which brokers there are; raises KafkaError where none answers in time."""
        self._wait(self._manager.bootstrap_async(int(seconds * 1000)), time.monotonic() + seconds)
        # Ends kafka-python's own refreshing of metadata, nothing else.
        self._cluster.close()

    def close(self) -> None:
        """Close every connection. What is not sent yet never is."""
        for connection in list(self._manager._conns.values()):
            if connection.in_flight_requests:
                # With an error, kafka-python drops what it has buffered instead of trying to send it first.
                connection.close(errors.Cancelled())
        self._manager.close()
        self._net.close()

    def send(self, messages: Sequence[Outgoing], deadline: float) -> list[Exception | None]:
        """Send all, wait until `deadline` (monotonic) at most, and say for each message None (acknowledged) or why not.

        A batch refused because of one record is sent again in halves, until only that record is refused. Where a partition's leader has
        moved, its records are sent to the new one once. Any other trouble ends the sending.
        """
        # For what came due since the last call: connections that were closed meanwhile, authentication to be renewed.
        self._net.poll(timeout_ms=0)
        outcomes: list[Exception | None] = [errors.KafkaTimeoutError("not begun in time")] * len(messages)
        records: list[Sized] = []
        for number, message in enumerate(messages):
            try:
                records.append(Sized(number, message, _size(message)))
            except (KafkaError, ValueError, TypeError) as error:
                outcomes[number] = error
        waiting, failures = self._batches(records, deadline)
        for number, failure in failures.items():
            outcomes[number] = failure
        while waiting and time.monotonic() < deadline:
            going, waiting = next_round(waiting)
            again = self._round(going, outcomes, deadline)
            if again is None:
                break
            waiting = [*again, *waiting]
        return outcomes

    def _batches(self, records: Sequence[Sized], deadline: float) -> tuple[list[Batch], dict[int, Exception]]:
        """Batches by partition, and why records have none, by their numbers."""
        batches: dict[TopicPartition, list[Batch]] = {}
        failures: dict[int, Exception] = {}
        try:
            self._learn({record.message.topic for record in records}, deadline)
        except KafkaError as error:
            return [], dict.fromkeys((record.number for record in records), error)
        for record in records:
            try:
                partition = self._partition(record.message)
            except KafkaError as error:
                failures[record.number] = error
                continue
            parts = batches.setdefault(partition, [Batch(partition)])
            if parts[-1].records and parts[-1].size + record.size > MOST_REQUEST_BYTES:
                parts.append(Batch(partition))
            parts[-1].add(record)
        return [batch for parts in batches.values() for batch in parts], failures

    def _round(self, going: Sequence[Batch], outcomes: list[Exception | None], deadline: float) -> list[Batch] | None:
        """Send these batches, and return what is to be sent again; None after trouble with a broker."""
        answers = self._produce(going, deadline)
        again: list[Batch] = []
        moved = [batch for batch in going if _has_moved(answers[batch.partition]) and not batch.moved]
        if moved:
            try:
                self._ask(deadline)
            except KafkaError:
                moved = []
        trouble = False
        for batch in going:
            answer = answers[batch.partition]
            if batch in moved:
                again.append(replace(batch, moved=True))
            elif isinstance(answer, REFUSALS) and len(batch.records) > 1:
                again += batch.halves()
            else:
                trouble |= answer is not None and not isinstance(answer, REFUSALS)
                for record in batch.records:
                    outcomes[record.number] = answer
        return None if trouble else again

    def _produce(self, going: Sequence[Batch], deadline: float) -> dict[TopicPartition, Exception | None]:
        """The brokers' answers to these batches, one of a partition at most: one request a broker, all at once."""
        leaders: defaultdict[int, list[Batch]] = defaultdict(list)
        answers: dict[TopicPartition, Exception | None] = {}
        for batch in going:
            leaders[self._cluster.leader_for_partition(batch.partition)].append(batch)
        requested = []
        for leader, batches in leaders.items():
            try:
                requested.append((batches, self._request(leader, produce_request(batches, deadline), deadline)))
            except KafkaError as error:
                answers.update((batch.partition, error) for batch in batches)
        for batches, future in requested:
            answers.update((batch.partition, errors.KafkaTimeoutError("no answer")) for batch in batches)
            try:
                answers.update(_answers(self._wait(future, deadline)))
            except KafkaError as error:
                answers.update((batch.partition, error) for batch in batches)
        return answers

    def _request(self, node: int | None, request: Any, deadline: float) -> Any:
        """The future of the answer; raises KafkaError where that broker can't be asked now."""
        if node is None or node < 0:
            raise errors.LeaderNotAvailableError("no leader")
        connection = self._manager.get_connection(node, refresh_metadata_on_err=False)
        # A broker that was sent too much tells its clients to pause.
        while connection.connected and connection.paused and (left := deadline - time.monotonic()) > 0:
            self._net.poll(timeout_ms=left * 1000)
        return connection.send_request(request)

    def _wait(self, future: Any, deadline: float) -> Any:
        """What the future becomes; raises KafkaError where it becomes nothing in time."""
        self._net.poll(timeout_ms=max(0.0, deadline - time.monotonic()) * 1000, future=future)
        if not future.is_done:
            raise errors.KafkaTimeoutError("not acknowledged in time")
        if isinstance(future.exception, KafkaError):
            raise future.exception
        if future.exception is not None:
            raise errors.KafkaConnectionError(str(future.exception)) from future.exception
        return future.value

    def _learn(self, topics: set[str], deadline: float) -> None:
        """Know these topics' partitions."""
        self._topics |= topics
        known = all(self._cluster.partitions_for_topic(topic) for topic in topics)
        if not known or time.monotonic() - self._asked_at > METADATA_SECONDS:
            self._ask(deadline)

    def _ask(self, deadline: float) -> None:
        """Ask for metadata anew, which replaces all there was."""
        topics = [MetadataRequest.MetadataRequestTopic(name=topic) for topic in sorted(self._topics)]
        request = MetadataRequest(
            topics=topics,
            # A misspelt name should fail.
            allow_auto_topic_creation=False,
            include_cluster_authorized_operations=False,
            include_topic_authorized_operations=False,
        )
        response = self._wait(self._request(self._manager.least_loaded_node(), request, deadline), deadline)
        self._cluster.update_metadata(response)
        self._refused = {topic.name: errors.for_code(topic.error_code)(topic.name) for topic in response.topics if topic.error_code}
        self._asked_at = time.monotonic()

    def _partition(self, message: Outgoing) -> TopicPartition:
        """Where the record belongs, as the default partitioners of Kafka's clients have it; raises KafkaError for an unknown topic."""
        partitions = self._cluster.partitions_for_topic(message.topic)
        if not partitions:
            raise self._refused.get(message.topic) or errors.UnknownTopicOrPartitionError(message.topic)
        if message.key is None:
            return TopicPartition(message.topic, DefaultPartitioner().partition(message.topic, None, None, None, None, self._cluster))
        return TopicPartition(message.topic, sorted(partitions)[_hash(message.key) % len(partitions)])


@lru_cache(maxsize=4096)
def _hash(key: bytes) -> int:
    # An order's messages come again and again, and murmur2 is written in Python.
    return int(murmur2(key)) & 0x7FFFFFFF


def _size(message: Outgoing) -> int:
    """The most bytes that the record takes; raises ValueError, TypeError or KafkaError for what no broker takes."""
    ensure_valid_topic_name(message.topic)
    if message.key is None and message.value is None:
        raise ValueError("a record needs a key or a value")
    size = int(DefaultRecordBatchBuilder.estimate_size_in_bytes(message.key, message.value, message.headers))
    if size > MOST_RECORD_BYTES:
        raise errors.MessageSizeTooLargeError(f"the record takes {size} bytes, more than {MOST_RECORD_BYTES}")
    return size


def next_round(waiting: Iterable[Batch]) -> tuple[list[Batch], list[Batch]]:
    """What goes out next, and what stays: at most one batch of a partition, in its order, and MOST_REQUEST_BYTES or one record together."""
    going: list[Batch] = []
    staying: list[Batch] = []
    seen: set[TopicPartition] = set()
    size = 0
    for batch in waiting:
        if batch.partition in seen or (going and size + batch.size > MOST_REQUEST_BYTES):
            staying.append(batch)
        else:
            going.append(batch)
            size += batch.size
        seen.add(batch.partition)
    return going, staying


def produce_request(batches: Iterable[Batch], deadline: float) -> Any:
    """One request for these batches, to be acknowledged by all replicas in sync."""
    topics: defaultdict[str, list[Any]] = defaultdict(list)
    topic_data = ProduceRequest.TopicProduceData
    for batch in batches:
        data = topic_data.PartitionProduceData(index=batch.partition.partition, records=encoded(batch))
        topics[batch.partition.topic].append(data)
    return ProduceRequest(
        transactional_id=None,
        acks=-1,
        timeout_ms=max(1, int((deadline - time.monotonic()) * 1000)),
        topic_data=[topic_data(name=topic, partition_data=partitions) for topic, partitions in topics.items()],
        **PRODUCE_VERSIONS,
    )


def encoded(batch: Batch) -> bytes:
    """The batch in message format 2: not compressed, without a producer id."""
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=0, is_transactional=False, producer_id=-1, producer_epoch=-1, base_sequence=-1, batch_size=2**31
    )
    now = int(time.time() * 1000)
    for offset, record in enumerate(batch.records):
        builder.append(offset, now, record.message.key, record.message.value, record.message.headers)
    return bytes(builder.build())


def _answers(response: Any) -> Iterable[tuple[TopicPartition, Exception | None]]:
    for topic in response.responses:
        for each in topic.partition_responses:
            error = errors.for_code(each.error_code)(each.error_message) if each.error_code else None
            yield TopicPartition(topic.name, each.index), error


def _has_moved(answer: Exception | None) -> bool:
    """Whether the broker says that it doesn't lead that partition."""
    return isinstance(answer, errors.InvalidMetadataError) and isinstance(answer, errors.BrokerResponseError)
