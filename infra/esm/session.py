"""The life of one consumer of a mapping: gathers batches, calls the function, commits what is done."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from . import metrics as names
from .batch import Batch, OpenBatch
from .blocked import Blocked
from .consumer import Commits, open_consumer, take_partitions
from .discard import Discard
from .disposal import Disposal, Failed, NotDelivered, Outcome, Reported, Rules, commits
from .event import EventFrame, KafkaRecord, encode_record
from .feed import Cluster, Feed
from .fetched import Unreadable
from .filters import Filters
from .invoke import EventTooLarge, FunctionError, Invocable, NotInvoked
from .mapping import EventSourceMapping
from .monitor import Monitor
from .partial import MalformedResponse, failed_items
from .system_log import PartitionOffsets
from .waiting import Waiting
from .window import Window

CLOSE_PATIENCE_SECONDS = 0.5
POLL_SECONDS = 0.2
# Between two looks whether the topic got more partitions.
PARTITIONS_SECONDS = 20.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Workings:
    """What a mapping needs for its work, and keeps over any trouble with the broker."""

    mapping: EventSourceMapping
    cluster: Cluster
    function: Invocable
    rules: Rules
    filters: Filters
    discard: Discard
    monitor: Monitor


class Session:
    """What it holds in memory, attempts included, is lost with it, and polled again from the committed offsets."""

    def __init__(self, workings: Workings) -> None:
        """Begin at the positions where the mapping goes on; raises KafkaError, OSError, TopicMissing."""
        self._workings = workings
        self._mapping = mapping = workings.mapping
        self._metrics = workings.monitor.metrics
        self._frame = EventFrame.of(mapping, workings.cluster.bootstrap_servers)
        self._consumer = open_consumer(mapping, workings.cluster.bootstrap_servers)
        try:
            self._feed = Feed(self._consumer, mapping.topic)
        except BaseException:
            self._consumer.close(autocommit=False, timeout_ms=0)
            raise
        self._commits = Commits(self._consumer, mapping.topic, self._metrics, workings.cluster.commit_seconds)
        self._commits.begin(self._feed.positions)
        self._open = OpenBatch(self._frame, mapping.batch_size)
        self._window = Window(mapping.window_seconds, is_provisioned=mapping.provisioned is not None)
        self._waiting = Waiting()
        self._blocked = Blocked(workings.rules.backoff)
        self._next_look = time.monotonic() + PARTITIONS_SECONDS
        workings.monitor.system_log.poller_status(self._feed.partitions)
        log.info("mapping is at work: function=%s topic=%s group=%s", mapping.function_name, mapping.topic, mapping.group_id)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._commits.settle(CLOSE_PATIENCE_SECONDS)
                self._workings.monitor.tell(self._offsets())
        finally:
            self._feed.close()
            self._consumer.close(autocommit=False, timeout_ms=int(CLOSE_PATIENCE_SECONDS * 1000))

    def turn(self) -> None:
        """Deliver the batch that is due, then poll for a short while and deliver what was gathered if it is time."""
        self._commits.send()
        self._look_for_partitions()
        self._workings.monitor.tick(self._offsets)
        waiting = self._waiting.due(time.monotonic())
        if waiting is not None:
            self._deliver(waiting)
        self._gather()
        if self._open.is_full or (self._open.has_records and time.monotonic() >= self._window.ends):
            batch = self._close_batch()
            self._window.batch_completed(time.monotonic())
            self._deliver(batch)
            self._window.invocation_completed(time.monotonic())
        elif not self._open.has_records and not self._open.is_empty:
            # Nothing matched the filters, so there is no invocation to wait for.
            self._commits.commit(self._close_batch().ends)

    def _gather(self) -> None:
        self._feed.hold(self._waiting.partitions | self._blocked.waiting(time.monotonic()))
        polled = self._feed.poll(self._poll_seconds(), self._open.room)
        had_records = self._open.has_records
        for partition, records in polled.items():
            for record in records:
                if isinstance(record.value, Unreadable):
                    self._meet(partition, record.value)
                elif not self._take(record):
                    # What does not fit is fetched again for the next batch.
                    self._feed.go_to(partition, record.offset)
                    break
        if self._open.has_records and not had_records:
            self._window.begin(time.monotonic())

    def _meet(self, partition: int, unreadable: Unreadable) -> None:
        """Block the partition at a batch that can't be read, or leave the batch out."""
        offset = self._feed.positions[partition]
        self._metrics.add(names.POLLING_ERROR)
        if unreadable.may_be_cured or self._workings.rules.readings.unreadable == "block":
            self._feed.go_to(partition, offset)
            times = self._blocked.block(partition, offset, time.monotonic())
            if times.bit_count() == 1:
                self._note_unreadable(f"its partition waits (times={times})", partition, offset, unreadable.reason)
            return
        behind = unreadable.behind(offset, self._feed.ends()[partition])
        self._feed.go_to(partition, behind)
        self._open.skip(partition, behind - 1)
        self._metrics.add(names.DROPPED, behind - offset)
        self._note_unreadable(f"it is dropped up to offset {behind - 1}", partition, offset, unreadable.reason)

    def _note_unreadable(self, what: str, partition: int, offset: int, reason: str) -> None:
        message = f"batch can't be read, {what}: topic={self._mapping.topic} partition={partition} offset={offset} reason={reason}"
        self._workings.monitor.system_log.processing(message, "UnreadableBatch")
        log.error("%s function=%s", message, self._mapping.function_name)

    def _take(self, record: KafkaRecord) -> bool:
        if self._blocked.free(record.partition):
            place = (self._mapping.topic, record.partition, record.offset)
            log.info("partition is read again: topic=%s partition=%d offset=%d", *place)
        if not self._workings.filters.passes(record.value):
            self._open.skip(record.partition, record.offset)
            self._metrics.add(names.POLLED)
            self._metrics.add(names.FILTERED_OUT)
            return True
        taken = self._open.add(encode_record(record, self._workings.rules.readings))
        self._metrics.add(names.POLLED, int(taken))
        return taken

    def _close_batch(self) -> Batch:
        batch, self._open = self._open.close(), OpenBatch(self._frame, self._mapping.batch_size)
        return batch

    def _poll_seconds(self) -> float:
        until = [] if self._waiting.next_due is None else [self._waiting.next_due]
        if self._open.has_records:
            until.append(self._window.ends)
        return max(0.0, min([POLL_SECONDS, *(moment - time.monotonic() for moment in until)]))

    def _deliver(self, batch: Batch) -> None:
        rules = self._workings.rules
        delivered, given_up = rules.before(batch, time.time() * 1000)
        disposal = Disposal()
        if delivered.records:
            outcome = self._invoke(delivered)
            disposal = rules.after(delivered, outcome, time.monotonic())
        for records in (*given_up, *disposal.given_up):
            self._workings.discard.take(records)
        if disposal.again:
            self._note_retry(disposal.again)
        self._commits.commit(commits(batch, disposal.again))
        self._waiting.replace(batch, disposal.again)

    def _invoke(self, batch: Batch) -> Outcome:
        number = len(batch.records)
        try:
            response = self._workings.function.invoke(self._frame.event_text(batch.records))
            is_read = self._mapping.reports_item_failures
            failed = failed_items(response, self._mapping.topic, batch.records) if is_read else frozenset()
        except NotInvoked as error:
            self._note_failure(number, error)
            return NotDelivered(is_too_large=isinstance(error, EventTooLarge))
        except (FunctionError, MalformedResponse) as error:
            self._metrics.add(names.INVOKED, number)
            self._note_failure(number, error)
            return Failed(error.kind if isinstance(error, FunctionError) else None)
        self._metrics.add(names.INVOKED, number)
        self._metrics.add(names.FAILED_INVOKE, len(failed))
        return Reported(failed)

    def _note_failure(self, number: int, error: Exception) -> None:
        self._metrics.add(names.INVOKE_ERROR)
        self._metrics.add(names.FAILED_INVOKE, number)
        self._workings.monitor.system_log.processing(str(error), type(error).__name__)
        if isinstance(error, NotInvoked):
            log.warning("function was not called: function=%s reason=%s", self._workings.function.name, error)
        else:
            log.warning("invocation failed: function=%s", self._workings.function.name, exc_info=error)

    def _note_retry(self, again: Sequence[Batch]) -> None:
        first, sizes = again[0], "+".join(str(len(batch.records)) for batch in again)
        partitions = sorted({partition for batch in again for partition in batch.partitions})
        log.warning(
            "batch is delivered again: function=%s topic=%s records=%s partitions=%s invocations=%d wait=%.1fs",
            *(self._workings.function.name, self._mapping.topic, sizes, partitions, first.tries.invocations, first.due - time.monotonic()),
        )

    def _look_for_partitions(self) -> None:
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + PARTITIONS_SECONDS
        if not take_partitions(self._consumer, self._mapping):
            return
        self._feed.take_partitions()
        self._commits.begin(self._feed.positions)
        self._workings.monitor.system_log.poller_status(self._feed.partitions)

    def _offsets(self) -> dict[int, PartitionOffsets]:
        done, committed, positions = self._commits.done, self._commits.committed, self._feed.positions
        return {
            number: PartitionOffsets(end, positions[number] - 1, done[number] - 1, committed.get(number))
            for number, end in self._feed.ends().items()
        }
