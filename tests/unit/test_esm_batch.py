"""What a batch takes, and how long a failed one waits."""

import pytest

from infra.esm.batch import MAXIMUM_PAYLOAD_BYTES, UNTRIED, Batch, OpenBatch
from infra.esm.event import EncodedRecord, EventFrame, encode_record
from infra.esm.mapping import EventSourceMapping
from infra.esm.retry import Backoff
from tests.support.esm import FakeRecord

FRAME = EventFrame.of(EventSourceMapping("f", ("orders",), "TRIM_HORIZON"), "b:9092")
MEGABYTE = b"x" * 1_000_000


def record(partition: int, offset: int, value: bytes = b"v") -> EncodedRecord:
    return encode_record(FakeRecord(partition=partition, offset=offset, value=value))


def places(batch: Batch) -> list[tuple[int, int]]:
    return [(record.partition, record.offset) for record in batch.records]


def batch_of(*records: tuple[int, int]) -> Batch:
    gathered = OpenBatch(FRAME, 100)
    for partition, offset in records:
        assert gathered.add(record(partition, offset))
    return gathered.close()


@pytest.mark.rule("batch-size")
def test_a_batch_takes_as_many_records_as_its_size() -> None:
    gathered = OpenBatch(FRAME, 2)

    assert [gathered.add(record(0, offset)) for offset in range(3)] == [True, True, False]
    assert gathered.is_full
    assert gathered.close().ends == {0: 2}


@pytest.mark.rule("batch-six-megabytes")
def test_a_batch_stays_within_six_megabytes_of_event_and_is_full_then() -> None:
    gathered = OpenBatch(FRAME, 100)
    taken = [gathered.add(record(0, offset, MEGABYTE)) for offset in range(6)]

    assert taken == [True, True, True, True, False, False]
    assert gathered.is_full
    assert len(FRAME.event_text(gathered.close().records)) <= MAXIMUM_PAYLOAD_BYTES


@pytest.mark.rule("batch-six-megabytes")
def test_an_event_may_have_six_megabytes_to_the_byte() -> None:
    def taken(length: int) -> bool:
        gathered = OpenBatch(FRAME, 100)
        gathered.add(EncodedRecord(0, 0, "x" * length, 0))
        return gathered.room == 99

    frame = len(FRAME.event_text([EncodedRecord(0, 0, "", 0)])) + len(",")
    assert taken(MAXIMUM_PAYLOAD_BYTES - frame)
    assert not taken(MAXIMUM_PAYLOAD_BYTES - frame + 2)


@pytest.mark.rule("oversize")
def test_a_record_too_large_for_any_event_is_put_aside_and_committed_with_the_batch() -> None:
    gathered = OpenBatch(FRAME, 100)
    assert gathered.add(record(2, 7, MEGABYTE * 5))
    assert gathered.has_records
    assert gathered.add(record(0, 1))

    batch = gathered.close()
    assert places(batch) == [(0, 1)]
    assert [(each.partition, each.offset) for each in batch.oversize] == [(2, 7)]
    assert batch.ends == {2: 8, 0: 2}


def test_a_record_that_is_skipped_is_committed_with_the_batch_and_takes_no_room() -> None:
    gathered = OpenBatch(FRAME, 1)
    gathered.skip(1, 6)
    assert (gathered.is_empty, gathered.has_records, gathered.room) == (False, False, 1)
    gathered.add(record(0, 1))

    assert gathered.close().ends == {0: 2, 1: 7}


def test_the_end_of_a_partition_lies_behind_its_last_record_also_over_gaps() -> None:
    assert batch_of((0, 4), (0, 9), (1, 2)).ends == {0: 10, 1: 3}


def test_a_batch_begins_in_each_partition_with_its_first_record() -> None:
    assert batch_of((0, 4), (1, 2), (0, 9)).starts == {0: 4, 1: 2}


def test_what_is_left_of_a_batch_holds_up_only_the_partitions_of_its_records() -> None:
    batch = batch_of((0, 1), (1, 5), (0, 2))
    left = batch.only([batch.records[2]], UNTRIED, 3.0)

    assert (places(left), left.ends, left.due) == ([(0, 2)], {0: 3}, 3.0)


@pytest.mark.rule("retry-backoff")
def test_waits_double_up_to_the_longest() -> None:
    backoff = Backoff(first_seconds=1.0, longest_seconds=60.0)

    assert [backoff.wait(failures) for failures in (1, 2, 3, 6, 7, 8, 100_000)] == [1, 2, 4, 32, 60, 60, 60]


def test_an_encoded_record_names_its_place_and_its_time() -> None:
    encoded = encode_record(FakeRecord(partition=3, offset=4, timestamp=5))

    assert (encoded.partition, encoded.offset, encoded.timestamp) == (3, 4, 5)
