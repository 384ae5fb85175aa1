"""One event source mapping at work: polls its topic, gathers batches, calls the function, commits what succeeded."""

import logging
import threading
import time

from kafka.errors import KafkaError

from infra.local.esm.batch import Batch, OpenBatch
from infra.local.esm.consumer import Commits, TopicMissing, open_consumer
from infra.local.esm.event import EventFrame
from infra.local.esm.feed import Feed
from infra.local.esm.invoke import Function, FunctionError, invoke
from infra.local.esm.mapping import EventSourceMapping
from infra.local.esm.partial import MalformedResponse, checkpoint, failed_items
from infra.local.esm.probe import EndsUnknown
from infra.local.esm.retry import Backoff

RECONNECT = Backoff(first_seconds=0.1, longest_seconds=1.0)
CLOSE_PATIENCE_SECONDS = 0.5
POLL_SECONDS = 0.2

log = logging.getLogger(__name__)


class Poller:
    """Runs one mapping in the thread that calls `run`, until `stop`; one invocation at a time, as one Lambda poller has it.

    After any trouble with the broker it begins anew from the committed offsets. A broker that forgets records in a crash may then hold
    other records at the same offsets: restart the poller together with it.
    """

    def __init__(self, mapping: EventSourceMapping, function: Function, bootstrap_servers: str, backoff: Backoff) -> None:
        """Nothing is opened yet. `backoff` is how long a failed batch waits."""
        self._mapping = mapping
        self._function = function
        self._bootstrap_servers = bootstrap_servers
        self._backoff = backoff
        self._stopping = threading.Event()
        self._troubles = 0
        self.positioned = threading.Event()
        """Set once every partition has its position: records written from now on are seen."""

    def stop(self) -> None:
        """Have `run` return after the invocation that is under way, or soon."""
        self._stopping.set()

    def run(self) -> None:
        """Poll until stopped, whatever happens to the broker."""
        while not self._stopping.is_set():
            try:
                self._serve()
            except (KafkaError, EndsUnknown, OSError, TopicMissing) as error:
                self._note_trouble("broker or topic is away", error)
            except Exception as error:
                # A mapping is never given up, as on Lambda: it begins anew from what is committed.
                log.exception("polling failed")
                self._note_trouble("polling failed", error)

    def _serve(self) -> None:
        with _Session(self._mapping, self._function, self._bootstrap_servers, self._backoff) as session:
            self.positioned.set()
            while not self._stopping.is_set():
                session.turn()
                self._troubles = 0

    def _note_trouble(self, what: str, error: Exception) -> None:
        """Say so, ever more rarely, and wait before beginning anew."""
        self._troubles += 1
        if self._troubles.bit_count() == 1:
            place = (self._mapping.function_name, self._mapping.topic)
            log.warning("%s, beginning anew: function=%s topic=%s times=%d error=%r", what, *place, self._troubles, error)
        self._stopping.wait(RECONNECT.wait(self._troubles))


class _Session:
    """The life of one consumer: what it holds in memory is lost with it, and polled again from the committed offsets."""

    def __init__(self, mapping: EventSourceMapping, function: Function, bootstrap_servers: str, backoff: Backoff) -> None:
        self._mapping = mapping
        self._function = function
        self._backoff = backoff
        self._frame = EventFrame.of(mapping, bootstrap_servers)
        self._consumer = open_consumer(mapping, bootstrap_servers)
        try:
            self._feed = Feed(self._consumer, mapping.topic, bootstrap_servers)
        except BaseException:
            self._consumer.close(autocommit=False, timeout_ms=0)
            raise
        self._commits = Commits(self._consumer, mapping.topic)
        self._open = OpenBatch(self._frame, mapping.batch_size)
        self._window_ends = 0.0
        self._waiting: list[Batch] = []
        log.info("mapping is at work: function=%s topic=%s group=%s", mapping.function_name, mapping.topic, mapping.group_id)

    def __enter__(self) -> "_Session":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._commits.settle(CLOSE_PATIENCE_SECONDS)
        finally:
            self._feed.close()
            self._consumer.close(autocommit=False, timeout_ms=int(CLOSE_PATIENCE_SECONDS * 1000))

    def turn(self) -> None:
        """Deliver the batch that is due, else poll for a short while."""
        self._commits.repeat_if_failed()
        waiting = next((batch for batch in self._waiting if batch.due <= time.monotonic()), None)
        if waiting is not None:
            self._waiting.remove(waiting)
            self._deliver(waiting)
            return
        self._gather()
        if self._open.is_full or (not self._open.is_empty and time.monotonic() >= self._window_ends):
            batch, self._open = self._open.close(), OpenBatch(self._frame, self._mapping.batch_size)
            self._deliver(batch)

    def _gather(self) -> None:
        polled = self._feed.poll(self._poll_seconds(), self._open.room)
        if polled and self._open.is_empty:
            self._window_ends = time.monotonic() + self._mapping.window_seconds
        for partition, records in polled.items():
            for record in records:
                if not self._open.add(record):
                    # What does not fit is fetched again for the next batch.
                    self._feed.go_back(partition, record.offset)
                    break

    def _poll_seconds(self) -> float:
        until = [batch.due for batch in self._waiting]
        if not self._open.is_empty:
            until.append(self._window_ends)
        return max(0.0, min([POLL_SECONDS, *(moment - time.monotonic() for moment in until)]))

    def _deliver(self, batch: Batch) -> None:
        rest = self._invoke(batch)
        done = {partition: end for partition, end in batch.ends.items() if rest is None or partition not in rest.ends}
        if rest is not None:
            done |= _starts(rest) if len(rest.records) < len(batch.records) else {}
            self._waiting.append(rest)
        self._commits.commit(done)
        self._feed.hold({number for batch in self._waiting for number in batch.partitions})

    def _invoke(self, batch: Batch) -> Batch | None:
        """Call the function; what must be delivered again, or None."""
        if not batch.records:
            return None
        try:
            response = invoke(self._function, self._frame.event_text(batch.records))
            if not self._mapping.reports_item_failures:
                return None
            failed = failed_items(response, self._mapping.topic, batch.records)
        except (FunctionError, MalformedResponse) as error:
            log.warning("invocation failed: function=%s", self._function.name, exc_info=error)
            return self._again(batch)
        return self._again(batch.rest_from(checkpoint(failed))) if failed else None

    def _again(self, batch: Batch) -> Batch:
        wait = self._backoff.wait(batch.attempts + 1)
        log.warning(
            "batch is delivered again: function=%s topic=%s records=%d partitions=%s failures=%d wait=%.1fs",
            *(self._function.name, self._mapping.topic, len(batch.records), sorted(batch.partitions), batch.attempts + 1, wait),
        )
        return batch.failed(time.monotonic(), wait)


def _starts(batch: Batch) -> dict[int, int]:
    starts: dict[int, int] = {}
    for record in batch.records:
        starts.setdefault(record.partition, record.offset)
    return starts
