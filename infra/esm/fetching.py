"""Reading partitions from positions that are kept here: by fetches that wait at the broker or, where it does not hold them, between two."""

import logging
import select
import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from kafka import TopicPartition
from kafka.errors import (
    InvalidMetadataError,
    KafkaTimeoutError,
    LeaderNotAvailableError,
    OffsetOutOfRangeError,
    RetriableError,
    UnknownTopicOrPartitionError,
    for_code,
)

from .fetch_request import LONGEST_WAIT_SECONDS, Answer, FetchConnection
from .fetched import Fetched, Record
from .leaders import Leaders

# Between two fetches that were answered at once without a record: short after records, longer while nothing comes.
SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.001, 0.04
PAUSE_PER_IDLE_SECOND = 0.05
# After a partition's leader could not be asked.
TROUBLE_PAUSE_SECONDS = 0.1
OFFSETS_PATIENCE_MS = 2000

log = logging.getLogger(__name__)


class Fetching:
    """The records of some partitions. `consumer` is kafka-python's: it knows who leads them and where to begin, and is never polled."""

    def __init__(self, consumer: Any) -> None:
        """Nothing is read yet. The consumer stays the caller's to close."""
        self._consumer = consumer
        self._leaders = Leaders(consumer, lambda host, port: FetchConnection(host, port, consumer.config["client_id"]))
        self._positions: dict[TopicPartition, int] = {}
        self._fetched: dict[TopicPartition, Fetched] = {}
        self._held: Collection[TopicPartition] = ()
        self._wanted: dict[FetchConnection, dict[TopicPartition, int]] = {}
        self._last_records = time.monotonic()

    def begin(self, partitions: Collection[TopicPartition]) -> None:
        """Read these of the consumer's partitions, too, from its positions on; raises KafkaError, OSError.

        Their leaders are connected to before the positions are read: if one ends after that, its connection does, and whatever
        positions a new one has, nobody reads on from the old ones.
        """
        for partition in partitions:
            self._leaders.of(partition, OFFSETS_PATIENCE_MS / 1000)
        for partition in partitions:
            position = self._consumer.position(partition, timeout_ms=OFFSETS_PATIENCE_MS)
            if position is None:
                raise KafkaTimeoutError(f"no position for {partition.topic}-{partition.partition}")
            self._positions[partition] = position
        self._wanted.clear()

    def close(self) -> None:
        """End the connections."""
        self._leaders.close()

    @property
    def positions(self) -> Mapping[TopicPartition, int]:
        """For each partition, the offset of the next record that is handed out."""
        return self._positions

    def go_to(self, partition: TopicPartition, offset: int) -> None:
        """Read from this offset on."""
        self._positions[partition] = offset
        self._fetched.pop(partition, None)
        self._wanted.clear()

    def poll(self, wait_seconds: float, most: int, held: Collection[TopicPartition] = ()) -> dict[TopicPartition, list[Record]]:
        """By partition, the next records in their order, `most` together and none of those `held`; none after `wait_seconds`.

        A batch that can't be read is the last record of its partition, with `Unreadable` as its value; the position is then where it
        begins, and the caller says where to go on. Raises KafkaError, OSError.
        """
        deadline = time.monotonic() + wait_seconds
        while not (polled := self._take(most, held)):
            rest_seconds = self._fetch(max(0.0, min(LONGEST_WAIT_SECONDS, deadline - time.monotonic())), held)
            left = deadline - time.monotonic()
            if left <= 0:
                return self._take(most, held)
            time.sleep(min(left, rest_seconds))
        self._last_records = time.monotonic()
        return polled

    def _take(self, most: int, held: Collection[TopicPartition]) -> dict[TopicPartition, list[Record]]:
        taken: dict[TopicPartition, list[Record]] = {}
        for partition in [partition for partition in self._fetched if partition not in held]:
            if most <= 0:
                break
            # Whoever was served stands behind the others.
            fetched = self._fetched.pop(partition)
            self._wanted.clear()
            records = fetched.take(most)
            self._positions[partition] = fetched.position
            if not fetched.is_read:
                self._fetched[partition] = fetched
            if records:
                taken[partition] = records
                most -= len(records)
        return taken

    def _fetch(self, wait_seconds: float, held: Collection[TopicPartition]) -> float:
        """Fetch once, and say for how long to rest then."""
        begun = time.monotonic()
        is_troubled = self._ask(wait_seconds, held)
        is_empty = True
        for answer in self._answers(wait_seconds):
            self._wanted.clear()
            if self._positions[answer.partition] != answer.offset:
                continue
            if answer.error_code:
                self._meet(answer)
                is_troubled = True
            else:
                self._fetched[answer.partition] = Fetched(answer.partition, answer.data, answer.offset)
                is_empty = False
        now = time.monotonic()
        if is_troubled:
            return TROUBLE_PAUSE_SECONDS
        if not is_empty or now - begun > wait_seconds / 2:
            return 0.0
        return min(LONGEST_PAUSE_SECONDS, max(SHORTEST_PAUSE_SECONDS, (now - self._last_records) * PAUSE_PER_IDLE_SECOND))

    def _ask(self, wait_seconds: float, held: Collection[TopicPartition]) -> bool:
        """Ask every leader that owes no answer; whether there is a partition without one."""
        is_troubled = False
        if self._leaders.close_idle() or not self._wanted or held != self._held:
            self._held = held
            is_troubled = self._plan(held)
        for leader, offsets in self._wanted.items():
            if not leader.is_asked:
                leader.ask(offsets, wait_seconds)
        if is_troubled:
            self._wanted.clear()
        return is_troubled

    def _plan(self, held: Collection[TopicPartition]) -> bool:
        """Find out whom to ask for what, which stays so as long as no records come; whether there is a partition without a leader."""
        is_troubled = False
        self._wanted = {}
        for partition, offset in self._positions.items():
            if partition in held or partition in self._fetched:
                continue
            try:
                self._wanted.setdefault(self._leaders.of(partition), {})[partition] = offset
            except LeaderNotAvailableError:
                is_troubled = True
        return is_troubled

    def _answers(self, wait_seconds: float) -> Iterator[Answer]:
        connections = self._leaders.connections
        asked = [connection for connection in connections if connection.is_asked]
        if not asked:
            time.sleep(wait_seconds)
        elif len(connections) > 1:
            # One leader's records do not wait for the answers of the others.
            ready, _, _ = select.select(asked, [], [], wait_seconds)
            if any(connection.is_overdue for connection in asked if connection not in ready):
                raise TimeoutError("a broker does not answer")
            asked = ready
        for connection in asked:
            yield from connection.answers()

    def _meet(self, answer: Answer) -> None:
        """Do what an error asks for; raises KafkaError where it is not for this object to mend."""
        error, partition = for_code(answer.error_code), answer.partition
        if error is OffsetOutOfRangeError:
            start = self._consumer.beginning_offsets([partition], timeout_ms=OFFSETS_PATIENCE_MS)[partition]
            place = (partition.topic, partition.partition, answer.offset, start)
            log.warning("position is out of range: topic=%s partition=%d offset=%d, going on at offset=%d", *place)
            self.go_to(partition, start)
        elif error is UnknownTopicOrPartitionError or not issubclass(error, RetriableError):
            raise error(f"{partition.topic}-{partition.partition}")
        elif issubclass(error, InvalidMetadataError):
            self._leaders.look_again()
