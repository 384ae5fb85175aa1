"""Batches: gathered up to Lambda's limits, and what is left of one after a partial failure."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from infra.local.esm.event import EncodedRecord, EventFrame, KafkaRecord, encode_record

MAXIMUM_PAYLOAD_BYTES = 6 * 1024 * 1024

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batch:
    """What one invocation is given.

    `ends` names, for each partition, the offset to commit once all of the batch is done; it covers records that were passed over, too.
    `attempts` counts failed invocations, `due` is the monotonic time of the next one.
    """

    records: tuple[EncodedRecord, ...]
    ends: Mapping[int, int]
    attempts: int = 0
    due: float = 0.0

    @property
    def partitions(self) -> frozenset[int]:
        """The partitions that wait while this batch does."""
        return frozenset(self.ends)

    def failed(self, now: float, wait: float) -> "Batch":
        """The same batch, to be delivered again after `wait` seconds."""
        return replace(self, attempts=self.attempts + 1, due=now + wait)

    def rest_from(self, offsets: Mapping[int, int]) -> "Batch":
        """Of each partition in `offsets`, the records from that offset on; counted as a new batch if it is shorter."""
        records = tuple(record for record in self.records if record.partition in offsets and record.offset >= offsets[record.partition])
        ends = {partition: end for partition, end in self.ends.items() if partition in offsets}
        return Batch(records, ends, self.attempts if len(records) == len(self.records) else 0)


class OpenBatch:
    """A batch being gathered: it takes records until one does not fit."""

    def __init__(self, frame: EventFrame, batch_size: int) -> None:
        """An empty batch for at most `batch_size` records and 6 MB of event."""
        self._frame = frame
        self._batch_size = batch_size
        self._size = frame.size
        self._records: list[EncodedRecord] = []
        self._ends: dict[int, int] = {}
        self._opened: set[int] = set()
        self._refused = False

    def add(self, record: KafkaRecord) -> bool:
        """Take a record, unless it does not fit any more; a record too large for any event is passed over.

        Passing it over is how a mapping without an on-failure destination is taken to behave: the guide names only the destination.
        """
        encoded = encode_record(record)
        opens = None if record.partition in self._opened else record.partition
        added = self._frame.added_size(encoded.text, opens_partition=opens)
        alone = self._frame.size + self._frame.added_size(encoded.text, opens_partition=record.partition)
        if alone > MAXIMUM_PAYLOAD_BYTES:
            log.error(
                "record is too large for an event and is passed over: topic=%s partition=%d offset=%d",
                *(record.topic, record.partition, record.offset),
            )
            self._ends[record.partition] = record.offset + 1
            return True
        if self.is_full or self._size + added > MAXIMUM_PAYLOAD_BYTES:
            self._refused = True
            return False
        self._size += added
        self._opened.add(record.partition)
        self._records.append(encoded)
        self._ends[record.partition] = record.offset + 1
        return True

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to deliver or to commit."""
        return not self._ends

    @property
    def is_full(self) -> bool:
        """Whether it must be delivered now."""
        return self._refused or self.room == 0

    @property
    def room(self) -> int:
        """How many records it still takes at most."""
        return self._batch_size - len(self._records)

    def close(self) -> Batch:
        """What was gathered."""
        return Batch(tuple(self._records), dict(self._ends))
