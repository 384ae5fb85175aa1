"""Records of a fetch, with a marker in the place of each batch that can't be read.

kafka-python raises for such a batch, mostly without its place, and again at each poll: nothing behind it is read, and nothing of other
partitions either. Here it yields one record whose value is `Unreadable`, and everything else is read. Forms are those of the Kafka
documentation, "Message Format".
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Any

from kafka.consumer import fetcher
from kafka.record.default_records import DefaultRecord
from kafka.record.legacy_records import LegacyRecordBatch
from kafka.record.memory_records import MemoryRecords

from .codecs import CODECS
from .header_names import LenientBatch

NEWEST_FORMAT = 2
# Offset, length, four bytes that differ between the formats, and the number of the format.
_HEAD = struct.Struct(">qiib")


class Unreadable(bytes):
    """Stands as a record's value for a batch that can't be read, or for the rest of one. The record's own offset says nothing."""

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

    def start(self, position: int) -> int:
        """The first offset that can't be read, for a reader that got to `position`."""
        return max(position, self.base_offset)

    def behind(self, start: int, log_end: int) -> int:
        """Where to go on after `start` without the batch, at most at the end of the log: what a broken batch tells may be wrong."""
        return max(start + 1, min(self.next_offset or 0, log_end))


def split(records: Sequence[Any]) -> tuple[Sequence[Any], Unreadable | None]:
    """The records before the first batch that can't be read, and that one."""
    for number, record in enumerate(records):
        if isinstance(record.value, Unreadable):
            return records[:number], record.value
    return records, None


def read_leniently() -> None:
    """Have all consumers of this process read so from now on."""
    fetcher.MemoryRecords = FetchedRecords
    fetcher.Fetcher.PartitionRecords = PartitionRecords


class PartitionRecords(fetcher.Fetcher.PartitionRecords):  # type: ignore[misc]
    """Records from a position on, which keeps markers: their offsets may be before it."""

    def _maybe_skip_record(self, record: Any) -> bool:
        return not isinstance(record.value, Unreadable) and bool(super()._maybe_skip_record(record))


class FetchedRecords(MemoryRecords):  # type: ignore[misc]
    """The batches of one partition in the answer to a fetch. A last batch that is cut off counts only if it is the only one."""

    _next_slice: memoryview | None

    def __init__(self, data: bytes) -> None:
        """Nothing is read yet."""
        super().__init__(data)
        self._is_cut = bool(data) and not super().has_next()

    def has_next(self) -> bool:
        """Whether there is another batch, readable or not."""
        return self._is_cut or bool(super().has_next())

    def next_batch(self, *_: Any) -> "GuardedBatch | None":
        """The next batch; None after the last."""
        if self._is_cut:
            self._is_cut = False
            return GuardedBatch(None, Unreadable.because("the broker sent only part of it", may_be_cured=True))
        data, self._next_slice = self._next_slice, None
        if data is None:
            return None
        if len(data) < _HEAD.size:
            # Its length is wrong, so nobody knows where the next one begins.
            return GuardedBatch(None, Unreadable.because("it is shorter than any batch"))
        self._cache_next()
        return _open(data, self._next_base())

    def _next_base(self) -> int | None:
        if self._next_slice is None or len(self._next_slice) < _HEAD.size:
            return None
        base, _, _, magic = _HEAD.unpack_from(self._next_slice)
        # In the formats before, the offset of compressed records is that of the last one.
        return int(base) if magic == NEWEST_FORMAT else None


class GuardedBatch:
    """A batch that yields a marker instead of raising."""

    def __init__(self, batch: Any, fault: Unreadable | None = None) -> None:
        """`batch` is kafka-python's, `fault` what keeps it from being read."""
        self._batch = batch
        self._fault = fault
        self.magic = batch.magic if fault is None else None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[Any]:
        if self._fault is not None:
            yield _marker(self._fault)
            return
        try:
            for record in self._batch:
                if not record.validate_crc():
                    raise ValueError("the checksum of a record is wrong")
                yield record
        except Exception as error:  # noqa: BLE001 - each codec's library raises errors of its own, and all are told
            reason = f"its records ({_codec_name(self._batch)}) can't be read: {error!r}"
            yield _marker(Unreadable.because(reason, *_offsets(self._batch)))

    def __next__(self) -> Any:
        return next(self._batch)

    def validate_crc(self) -> bool:
        """Whether the consumer may go on: always, as a wrong checksum is told by a marker."""
        return True


def _open(data: memoryview, next_base: int | None) -> GuardedBatch:
    base, _, _, magic = _HEAD.unpack_from(data)
    if not 0 <= magic <= NEWEST_FORMAT:
        return GuardedBatch(None, Unreadable.because(f"unknown message format {magic}", base, next_base))
    try:
        batch = LenientBatch(data) if magic == NEWEST_FORMAT else LegacyRecordBatch(data, magic)
        is_sound = batch.validate_crc()
    except (struct.error, AssertionError) as error:
        return GuardedBatch(None, Unreadable.because(f"its head can't be read: {error!r}", base, next_base))
    start, end = _offsets(batch)
    if not is_sound:
        return GuardedBatch(batch, Unreadable.because("its checksum is wrong", start, next_base or end))
    codec = CODECS.get(batch.compression_type)
    if codec is None:
        return GuardedBatch(batch, Unreadable.because(f"unknown compression codec {batch.compression_type}", start, end))
    if not codec.is_installed():
        missing = f"it is compressed with {codec.name}, and the package {codec.package} is not installed"
        return GuardedBatch(batch, Unreadable.because(missing, start, end, may_be_cured=True))
    return GuardedBatch(batch)


def _offsets(batch: Any) -> tuple[int, int | None]:
    """Where a batch begins, as far as it tells, and where the next one does."""
    if batch.magic < NEWEST_FORMAT:
        return 0, batch.base_offset + 1
    return batch.base_offset, batch.next_offset if batch.last_offset_delta >= 0 else None


def _codec_name(batch: Any) -> str:
    codec = CODECS.get(batch.compression_type)
    return codec.name if codec else "unknown codec"


def _marker(value: Unreadable) -> Any:
    offset = value.base_offset if value.next_offset is None else value.next_offset - 1
    return DefaultRecord(0, offset, -1, 0, None, value, [])
