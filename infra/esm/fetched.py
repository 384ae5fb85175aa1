"""Records of a fetch, with a marker in the place of each batch that can't be read.

kafka-python raises for such a batch, mostly without its place. Here it yields one record whose value is `Unreadable`, which says where to
go on. Forms are those of the Kafka documentation, "Message Format".
"""

import struct
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from kafka import TopicPartition
from kafka.record.legacy_records import LegacyRecordBatch

from .codecs import CODECS
from .header_names import LenientBatch

NEWEST_FORMAT = 2
# Offset, length, four bytes that differ between the formats, and the number of the format.
_HEAD = struct.Struct(">qiib")
_LENGTH = struct.Struct(">8xi")


class Record(NamedTuple):
    """A record as it was read; `timestamp` is in milliseconds, `timestamp_type` Kafka's 0 or 1, or both are None."""

    topic: str
    partition: int
    offset: int
    timestamp: int | None
    timestamp_type: int | None
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


class Unreadable(bytes):
    """Stands as a record's value for a batch that can't be read, or for the rest of one."""

    reason: str
    base_offset: int
    """The batch begins there, or later where it was read in part."""
    next_offset: int | None
    """Where what follows begins, if the batch tells."""
    may_be_cured: bool
    """Whether the fault is not in the batch: it may be read later, or with another installation."""

    @classmethod
    def because(cls, reason: str, base_offset: int = 0, next_offset: int | None = None, *, may_be_cured: bool = False) -> "Unreadable":
        """A marker with these attributes."""
        marker = cls()
        marker.reason, marker.base_offset, marker.next_offset, marker.may_be_cured = reason, base_offset, next_offset, may_be_cured
        return marker

    def behind(self, start: int, log_end: int) -> int:
        """Where to go on after `start` without the batch, at most at the end of the log: what a broken batch tells may be wrong."""
        return max(start + 1, min(self.next_offset or 0, log_end))


class Fetched:
    """What one fetch brought of a partition, read no sooner than it is taken."""

    def __init__(self, partition: TopicPartition, data: bytes, position: int) -> None:
        """`data` are batches, of which those from `position` on are wanted."""
        self._place = (partition.topic, partition.partition)
        self._records = self._read(data)
        self.position = position
        """Where what was not taken yet begins."""
        self.is_read = False
        """Whether there is nothing more to take."""

    def take(self, most: int) -> list[Record]:
        """The next records. One for a batch that can't be read is the last: its offset is the first one that is missing."""
        taken = list(islice(self._records, most))
        self.is_read = len(taken) < most or isinstance(taken[-1].value, Unreadable)
        return taken

    def _read(self, data: bytes) -> Iterator[Record]:
        for batch, fault in _batches(data):
            if fault is None and batch.magic == NEWEST_FORMAT and batch.is_control_batch:
                self.position = max(self.position, batch.next_offset)
                continue
            for record in _records(batch, fault):
                if isinstance(record, Unreadable):
                    self.position = max(self.position, record.base_offset)
                    yield Record(*self._place, self.position, None, None, None, record, ())
                    return
                if record.offset >= self.position:
                    self.position = record.offset + 1
                    yield Record(
                        *self._place, record.offset, record.timestamp, record.timestamp_type, record.key, record.value, record.headers
                    )
            if batch.magic == NEWEST_FORMAT:
                # Its last records may have been compacted away.
                self.position = max(self.position, batch.next_offset)


def _batches(data: bytes) -> Iterator[tuple[Any, Unreadable | None]]:
    """The batches, each with what keeps it from being read. A last one that is cut off counts only if it is the only one."""
    view, start = memoryview(data), 0
    while start < len(view):
        end = _end(view, start)
        if end is None:
            if start == 0:
                yield None, Unreadable.because("the broker sent only part of it", may_be_cured=True)
            return
        if end - start < _HEAD.size:
            # Its length is wrong, so nobody knows where the next one begins.
            yield None, Unreadable.because("it is shorter than any batch")
            return
        yield _open(view[start:end], _base(view, end))
        start = end


def _end(view: memoryview, start: int) -> int | None:
    if len(view) - start < _LENGTH.size:
        return None
    end = start + _LENGTH.size + int(_LENGTH.unpack_from(view, start)[0])
    return end if end <= len(view) else None


def _base(view: memoryview, start: int) -> int | None:
    """Where the batch that begins here begins in the log."""
    if _end(view, start) is None or len(view) - start < _HEAD.size:
        return None
    base, _, _, magic = _HEAD.unpack_from(view, start)
    # In the formats before, the offset of compressed records is that of the last one.
    return int(base) if magic == NEWEST_FORMAT else None


def _records(batch: Any, fault: Unreadable | None) -> Iterator[Any]:
    """The batch's records, and a marker where they end too soon."""
    if fault is not None:
        yield fault
        return
    try:
        for record in batch:
            if not record.validate_crc():
                raise ValueError("the checksum of a record is wrong")
            yield record
    except Exception as error:  # noqa: BLE001 - each codec's library raises errors of its own, and all are told
        reason = f"its records ({CODECS[batch.compression_type].name}) can't be read: {error!r}"
        yield Unreadable.because(reason, *_offsets(batch))


def _open(data: memoryview, next_base: int | None) -> tuple[Any, Unreadable | None]:
    base, _, _, magic = _HEAD.unpack_from(data)
    if not 0 <= magic <= NEWEST_FORMAT:
        return None, Unreadable.because(f"unknown message format {magic}", base, next_base)
    try:
        batch = LenientBatch(data) if magic == NEWEST_FORMAT else LegacyRecordBatch(data, magic)
        is_sound = batch.validate_crc()
    except (struct.error, AssertionError) as error:
        return None, Unreadable.because(f"its head can't be read: {error!r}", base, next_base)
    start, end = _offsets(batch)
    codec = CODECS.get(batch.compression_type)
    if not is_sound:
        fault = Unreadable.because("its checksum is wrong", start, next_base or end)
    elif codec is None:
        fault = Unreadable.because(f"unknown compression codec {batch.compression_type}", start, end)
    elif not codec.is_installed():
        missing = f"it is compressed with {codec.name}, and the package {codec.package} is not installed"
        fault = Unreadable.because(missing, start, end, may_be_cured=True)
    else:
        return batch, None
    return batch, fault


def _offsets(batch: Any) -> tuple[int, int | None]:
    """Where a batch begins, as far as it tells, and where the next one does."""
    if batch.magic < NEWEST_FORMAT:
        return 0, batch.base_offset + 1
    return batch.base_offset, batch.next_offset if batch.last_offset_delta >= 0 else None
