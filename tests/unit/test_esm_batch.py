"""What a batch takes, and what is left of one after a failure."""

import logging

import pytest

from infra.local.esm.batch import MAXIMUM_PAYLOAD_BYTES, Batch, OpenBatch
from infra.local.esm.event import EventFrame, encode_record
from infra.local.esm.mapping import EventSourceMapping
from infra.local.esm.retry import Backoff
from tests.support.esm import FakeRecord

FRAME = EventFrame.of(EventSourceMapping("f", ("orders",), "TRIM_HORIZON"), "b:9092")
MEGABYTE = b"x" * 1_000_000


def offsets(batch: Batch) -> list[tuple[int, int]]:
    return [(record.partition, record.offset) for record in batch.records]


def batch_of(*places: tuple[int, int]) -> Batch:
    gathered = OpenBatch(FRAME, 100)
    for partition, offset in places:
        assert gathered.add(FakeRecord(partition=partition, offset=offset))
    return gathered.close()


def test_a_batch_takes_as_many_records_as_its_size() -> None:
    gathered = OpenBatch(FRAME, 2)

    assert [gathered.add(FakeRecord(offset=offset)) for offset in range(3)] == [True, True, False]
    assert gathered.is_full
    assert gathered.close().ends == {0: 2}


def test_a_batch_stays_within_six_megabytes_of_event_and_is_full_then() -> None:
    gathered = OpenBatch(FRAME, 100)
    taken = [gathered.add(FakeRecord(offset=offset, value=MEGABYTE)) for offset in range(6)]

    assert taken == [True, True, True, True, False, False]
    assert gathered.is_full
    assert len(FRAME.event_text(gathered.close().records)) <= MAXIMUM_PAYLOAD_BYTES


def test_a_record_too_large_for_any_event_is_passed_over_with_its_place_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    gathered = OpenBatch(FRAME, 100)
    with caplog.at_level(logging.ERROR):
        assert gathered.add(FakeRecord(partition=2, offset=7, value=MEGABYTE * 5))
        assert gathered.add(FakeRecord(partition=0, offset=1))

    batch = gathered.close()
    assert offsets(batch) == [(0, 1)]
    assert batch.ends == {2: 8, 0: 2}
    assert "topic=orders partition=2 offset=7" in caplog.text


def test_the_end_of_a_partition_lies_behind_its_last_record_also_over_gaps() -> None:
    assert batch_of((0, 4), (0, 9), (1, 2)).ends == {0: 10, 1: 3}


def test_the_rest_of_a_batch_keeps_the_failing_partitions_from_their_failed_offset_on() -> None:
    rest = batch_of((0, 1), (1, 5), (0, 2), (1, 6), (2, 9)).rest_from({0: 2, 1: 5})

    assert offsets(rest) == [(1, 5), (0, 2), (1, 6)]
    assert rest.ends == {0: 3, 1: 7}
    assert rest.partitions == {0, 1}


def test_failures_are_counted_on_until_the_batch_gets_shorter() -> None:
    failed = batch_of((0, 1), (0, 2)).failed(now=10.0, wait=0.5).failed(now=20.0, wait=0.5)

    assert (failed.attempts, failed.due) == (2, 20.5)
    assert failed.rest_from({0: 1}).attempts == 2
    assert failed.rest_from({0: 2}).attempts == 0


def test_waits_double_up_to_the_longest() -> None:
    backoff = Backoff(first_seconds=1.0, longest_seconds=60.0)

    assert [backoff.wait(failures) for failures in (1, 2, 3, 6, 7, 8, 100_000)] == [1, 2, 4, 32, 60, 60, 60]


def test_an_encoded_record_names_its_place() -> None:
    assert encode_record(FakeRecord(partition=3, offset=4))[:2] == (3, 4)
