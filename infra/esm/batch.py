"""Batches: gathered up to Lambda's limits."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from .event import EncodedRecord, EventFrame

MAXIMUM_PAYLOAD_BYTES = 6 * 1024 * 1024


class Tries(NamedTuple):
    """How often the function was called with a batch, and how much of that counts."""

    invocations: int = 0
    """All calls so far."""
    attempts: int = 0
    """Those that count against the limit of retries."""
    setbacks: int = 0
    """Those in a row that brought no progress: so long is the next wait."""


UNTRIED = Tries()


@dataclass(frozen=True)
class Batch:
    """What one invocation is given.

    `ends` names, for each partition, the offset to commit once all of the batch is done; it covers records that were filtered out, too.
    `oversize` are records that fit in no event. `due` is the monotonic time of the next invocation.
    """

    records: tuple[EncodedRecord, ...]
    ends: Mapping[int, int]
    oversize: tuple[EncodedRecord, ...] = ()
    tries: Tries = UNTRIED
    due: float = 0.0

    @property
    def partitions(self) -> frozenset[int]:
        """The partitions that wait while this batch does."""
        return frozenset(self.ends)

    @property
    def starts(self) -> dict[int, int]:
        """For each partition with records, the offset of the first."""
        starts: dict[int, int] = {}
        for record in self.records:
            starts.setdefault(record.partition, record.offset)
        return starts

    def only(self, records: Iterable[EncodedRecord], tries: Tries, due: float) -> "Batch":
        """What is left when just these records are not done; of other partitions nothing is left."""
        left = tuple(records)
        partitions = {record.partition for record in left}
        return Batch(left, {number: end for number, end in self.ends.items() if number in partitions}, (), tries, due)


class OpenBatch:
    """A batch being gathered: it takes records until one does not fit."""

    def __init__(self, frame: EventFrame, batch_size: int) -> None:
        """An empty batch for at most `batch_size` records and 6 MB of event."""
        self._frame = frame
        self._batch_size = batch_size
        self._size = frame.size
        self._records: list[EncodedRecord] = []
        self._oversize: list[EncodedRecord] = []
        self._ends: dict[int, int] = {}
        self._opened: set[int] = set()
        self._refused = False

    def add(self, record: EncodedRecord) -> bool:
        """Take a record, unless it does not fit any more; one too large for any event is put aside."""
        opens = None if record.partition in self._opened else record.partition
        added = self._frame.added_size(record.text, opens_partition=opens)
        alone = self._frame.size + self._frame.added_size(record.text, opens_partition=record.partition)
        if alone > MAXIMUM_PAYLOAD_BYTES:
            self._oversize.append(record)
            self.skip(record.partition, record.offset)
            return True
        if self.is_full or self._size + added > MAXIMUM_PAYLOAD_BYTES:
            self._refused = True
            return False
        self._size += added
        self._opened.add(record.partition)
        self._records.append(record)
        self.skip(record.partition, record.offset)
        return True

    def skip(self, partition: int, offset: int) -> None:
        """Have the record at this offset committed with the batch, without its being in there."""
        self._ends[partition] = offset + 1

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to deliver or to commit."""
        return not self._ends

    @property
    def has_records(self) -> bool:
        """Whether there is anything to deliver or to give up."""
        return bool(self._records or self._oversize)

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
        return Batch(tuple(self._records), dict(self._ends), tuple(self._oversize))
