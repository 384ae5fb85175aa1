"""What a consumer makes of the bytes that a fetch brought, readable or not."""

import itertools
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka import TopicPartition, codec

from infra.esm.codecs import missing_codecs
from infra.esm.event import encode_record
from infra.esm.fetched import Fetched, Record, Unreadable
from tests.support.record_batches import (
    CODECS,
    IS_CONTROL,
    IS_TRANSACTIONAL,
    batch,
    legacy_batch,
    with_payload,
    with_wrong_checksum,
)

COMMIT_MARKER = struct.pack(">hi", 0, 0)


def fetched(*batches: bytes, position: int = 0) -> Fetched:
    return Fetched(TopicPartition("orders", 0), b"".join(batches), position)


def take_all(*batches: bytes, position: int = 0) -> list[Record]:
    return fetched(*batches, position=position).take(1000)


def read(*batches: bytes, position: int = 0, end: int = 1000) -> list[tuple[int, Any]]:
    """Offset and value of all that a reader from `position` on is handed; of what is unreadable, where to go on and the reason."""
    return [
        (
            record.offset,
            (record.value.behind(record.offset, end), record.value.reason) if isinstance(record.value, Unreadable) else record.value,
        )
        for record in take_all(*batches, position=position)
    ]


@pytest.mark.rule("codecs")
@pytest.mark.parametrize("name", CODECS)
def test_every_codec_of_kafka_s_clients_is_read_however_they_frame_it(name: str) -> None:
    values = (b"a" * 100_000, b"", b"c" * 70_000)

    assert read(batch(*values, codec=CODECS[name], offset=5)) == [(5, values[0]), (6, values[1]), (7, values[2])]


@pytest.mark.rule("old-formats")
@pytest.mark.parametrize(("magic", "codecs"), [(0, (0, 1, 2)), (1, (0, 1, 2, 3))])
def test_the_formats_of_old_clients_are_read(magic: int, codecs: tuple[int, ...]) -> None:
    for number in codecs:
        assert read(legacy_batch(b"a", b"b", magic=magic, codec=number)) == [(0, b"a"), (1, b"b")]


@pytest.mark.rule("old-formats")
def test_a_record_of_the_oldest_format_has_no_time() -> None:
    (record,) = take_all(legacy_batch(b"a", magic=0))

    encoded = encode_record(record)
    assert encoded.timestamp == -1
    assert '"timestamp":-1,"timestampType":"NO_TIMESTAMP_TYPE"' in encoded.text


@pytest.mark.rule("control-batches")
def test_markers_of_transactions_and_empty_batches_are_no_records() -> None:
    control = batch(b"", key=COMMIT_MARKER, attributes=IS_TRANSACTIONAL | IS_CONTROL, offset=1)

    assert read(batch(b"a", attributes=IS_TRANSACTIONAL), control, batch(offset=2), batch(b"d", offset=3)) == [(0, b"a"), (3, b"d")]


SOUND = batch(b"a", b"b", offset=5)
OF_EACH_CODEC = [(name.partition("-")[0], batch(b"a", b"b", codec=each, offset=5)) for name, each in CODECS.items()]


@pytest.mark.rule("unreadable-batch-told")
@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (with_wrong_checksum(SOUND), "its checksum is wrong"),
        (batch(b"a", b"b", attributes=5, offset=5), "unknown compression codec 5"),
        (batch(b"a", b"b", attributes=7, offset=5), "unknown compression codec 7"),
        (batch(b"a", b"b", magic=3, offset=5), "unknown message format 3"),
        (batch(b"a", b"b", magic=-1, offset=5), "unknown message format -1"),
        (with_wrong_checksum(batch(b"", key=COMMIT_MARKER, attributes=IS_CONTROL, offset=5)), "its checksum is wrong"),
        *(
            (with_payload(batch(b"a", b"b", codec=CODECS[name], offset=5), lambda data: data[:-3]), f"its records ({name.split('-')[0]})")
            for name in CODECS
        ),
        *(
            (with_payload(batch(b"a", b"b", codec=CODECS[name], offset=5), lambda data: b"junk" * 9), f"its records ({name.split('-')[0]})")
            for name in CODECS
        ),
        (with_payload(SOUND, lambda data: data + b"\0"), "its records (none)"),
    ],
    ids=itertools.count(),
)
def test_a_batch_that_can_not_be_read_is_told_with_its_place_and_reason_behind_the_records_before_it(broken: bytes, reason: str) -> None:
    (first, *part, (start, (behind, told))) = read(batch(b"before", offset=4), broken, batch(b"after", offset=7))

    assert first == (4, b"before")
    assert part == [(5, b"a"), (6, b"b")][: len(part)]
    assert start == 5 + len(part)
    assert behind == max(7, start + 1)
    assert reason in told


@pytest.mark.rule("unreadable-batch-told")
def test_of_a_batch_that_breaks_off_the_records_before_are_read() -> None:
    broken = with_payload(batch(b"a", b"bbbb"), lambda data: data[:-3])

    (first, (start, (behind, reason))) = read(broken, batch(b"c", offset=2))
    assert first == (0, b"a")
    assert (start, behind) == (1, 2)
    assert "malformed" in reason or "can't be read" in reason
    assert [place[0] for place in read(broken, position=1)] == [1]


@pytest.mark.rule("unreadable-batch-told")
def test_a_broken_message_of_an_old_format_is_told_too() -> None:
    for magic in (0, 1):
        for number in (0, 1):
            assert read(with_wrong_checksum(legacy_batch(b"a", magic=magic, codec=number))) == [(0, (1, "its checksum is wrong"))]


@pytest.mark.rule("unreadable-batch-told")
def test_where_a_broken_head_tells_nonsense_reading_goes_on_at_the_next_batch_or_the_end_or_one_further() -> None:
    def telling(last_offset_delta: int) -> bytes:
        return SOUND[:23] + struct.pack(">i", last_offset_delta) + SOUND[27:]

    for nonsense in (-7, 2_000_000):
        assert read(telling(nonsense), batch(b"c", offset=7))[0] == (5, (7, "its checksum is wrong"))
    assert read(telling(-7)) == [(5, (6, "its checksum is wrong"))]
    assert read(telling(2_000_000), end=9) == [(5, (9, "its checksum is wrong"))]
    # Read from within the batch on, too: a reader never goes back.
    assert read(telling(-7), position=6) == [(6, (7, "its checksum is wrong"))]


@pytest.mark.rule("unreadable-batch-told")
@pytest.mark.parametrize("length", [-12, -5, 0, 3])
def test_what_has_an_impossible_length_ends_the_answer(length: int) -> None:
    got = read(batch(b"a"), struct.pack(">qi", 1, length) + SOUND[12:])

    assert got == [(0, b"a"), (1, (2, "it is shorter than any batch"))]


@pytest.mark.rule("unreadable-batch-told")
def test_an_answer_with_a_part_of_a_batch_only_may_be_cured_and_behind_others_means_nothing() -> None:
    (record,) = take_all(SOUND[:-4], position=5)

    assert record.value.may_be_cured
    assert read(batch(b"a", offset=4), SOUND[:-4], position=4) == [(4, b"a")]
    assert read() == []


@pytest.mark.rule("unreadable-batch-told")
@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=4), st.sampled_from(sorted(CODECS)), st.integers(0, 3))
def test_whatever_bytes_are_wrong_reading_ends_without_an_error_and_goes_on_behind(
    changes: list[tuple[int, int]], codec_name: str, position: int
) -> None:
    data = bytearray(batch(b"a", b"b", codec=CODECS[codec_name]) + legacy_batch(b"c", magic=1) + batch(b"d", offset=2))
    for place, value in changes:
        data[place % len(data)] = value

    records = take_all(bytes(data), position=position)
    assert [record.offset for record in records] == sorted({record.offset for record in records})
    assert all(record.offset >= position for record in records)
    for record in records:
        if isinstance(record.value, Unreadable):
            assert record is records[-1]
            assert record.value.behind(record.offset, record.offset + 10) > record.offset


def test_records_are_taken_in_parts_and_the_position_is_behind_those_taken() -> None:
    unread = fetched(batch(b"a", b"b", b"c", offset=5), batch(offset=8), position=6)

    assert [record.offset for record in unread.take(1)] == [6]
    assert (unread.position, unread.is_read) == (7, False)
    assert [record.offset for record in unread.take(2)] == [7]
    # A batch may have lost its records; nobody asks for it again.
    assert (unread.position, unread.is_read) == (9, True)


@pytest.mark.rule("codec-missing")
@pytest.mark.parametrize(("attribute", "name", "package"), [("zstd", "zstd", "zstandard"), ("snappy", "snappy", "python-snappy")])
def test_a_codec_that_is_not_installed_is_named_with_its_package(
    monkeypatch: pytest.MonkeyPatch, attribute: str, name: str, package: str
) -> None:
    assert missing_codecs() == []
    monkeypatch.setattr(codec, attribute, None)

    ((_, (_, reason)),) = read(batch(b"a", codec=CODECS[name]))
    assert reason == f"it is compressed with {name}, and the package {package} is not installed"
    assert [(missing.name, missing.package) for missing in missing_codecs()] == [(name, package)]
