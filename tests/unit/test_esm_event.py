"""The event that a function is given, held against samples of AWS."""

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from infra.esm.event import EventFrame, encode_record
from infra.esm.mapping import EventSourceMapping
from infra.esm.readings import Readings
from tests.support.esm import FakeRecord

SAMPLES = Path(__file__).parents[1] / "data" / "lambda_events"


def frame(topic: str = "orders", arn: str | None = None) -> EventFrame:
    return EventFrame.of(EventSourceMapping("f", (topic,), "TRIM_HORIZON", event_source_arn=arn), "b-1:9092,b-2:9092")


def as_read_from_kafka(record: dict[str, Any]) -> FakeRecord:
    return FakeRecord(
        topic=record["topic"],
        partition=record["partition"],
        offset=record["offset"],
        timestamp=record["timestamp"],
        timestamp_type=["CREATE_TIME", "LOG_APPEND_TIME"].index(record["timestampType"]),
        key=b64decode(record["key"]) if "key" in record else None,
        value=b64decode(record["value"]),
        headers=tuple((name, bytes(byte % 256 for byte in value)) for header in record["headers"] for name, value in header.items()),
    )


@pytest.mark.rule("event-msk")
@pytest.mark.rule("event-self-managed")
@pytest.mark.rule("event-base64")
@pytest.mark.parametrize("name", ["msk", "self_managed", "no_key", "signed_header"])
def test_the_event_is_that_of_the_aws_sample(name: str) -> None:
    sample = json.loads((SAMPLES / f"{name}.json").read_text())
    records = [as_read_from_kafka(record) for records in sample["records"].values() for record in records]
    mapping = EventSourceMapping("f", (records[0].topic,), "TRIM_HORIZON", event_source_arn=sample.get("eventSourceArn"))

    event = EventFrame.of(mapping, sample["bootstrapServers"]).event_text(encode_record(record) for record in records)

    assert json.loads(event) == sample


@pytest.mark.rule("event-signed-headers")
def test_header_bytes_are_signed_and_headers_keep_order_and_repetition() -> None:
    record = FakeRecord(headers=(("name", b"Zo\xc3\xab"), ("empty", b""), ("name", b"\x80\x7f\xff")))

    headers = json.loads(encode_record(record).text)["headers"]

    assert headers == [{"name": [90, 111, -61, -85]}, {"empty": []}, {"name": [-128, 127, -1]}]


@pytest.mark.rule("event-null-key")
@pytest.mark.parametrize(("reading", "member"), [("omit", {}), ("null", {"key": None}), ("empty", {"key": ""})])
def test_a_record_without_key_is_told_as_it_is_read(reading: Any, member: dict[str, Any]) -> None:
    absent = json.loads(encode_record(FakeRecord(key=None), Readings(null_key=reading)).text)
    empty = json.loads(encode_record(FakeRecord(key=b""), Readings(null_key=reading)).text)

    assert {name: absent[name] for name in absent.keys() & {"key"}} == member
    assert empty["key"] == ""


@pytest.mark.rule("event-null-value")
@pytest.mark.parametrize(("reading", "member"), [("omit", {}), ("null", {"value": None})])
def test_a_record_without_value_is_told_as_it_is_read(reading: Any, member: dict[str, Any]) -> None:
    absent = json.loads(encode_record(FakeRecord(value=None), Readings(null_value=reading)).text)
    empty = json.loads(encode_record(FakeRecord(value=b""), Readings(null_value=reading)).text)

    assert {name: absent[name] for name in absent.keys() & {"value"}} == member
    assert empty["value"] == ""


@pytest.mark.rule("event-null-header")
@pytest.mark.parametrize(("reading", "value"), [("empty", []), ("null", None)])
def test_a_header_without_value_is_told_as_it_is_read(reading: Any, value: Any) -> None:
    record = FakeRecord(headers=(("absent", None), ("empty", b"")))

    assert json.loads(encode_record(record, Readings(null_header=reading)).text)["headers"] == [{"absent": value}, {"empty": []}]


@pytest.mark.rule("event-timestamp-type")
def test_a_timestamp_of_the_broker_is_called_so() -> None:
    assert json.loads(encode_record(FakeRecord(timestamp_type=1)).text)["timestampType"] == "LOG_APPEND_TIME"


@pytest.mark.rule("event-by-partition")
def test_records_are_grouped_by_topic_and_partition_in_their_order() -> None:
    records = [FakeRecord(topic="a-1", partition=number, offset=offset) for number, offset in ((2, 7), (0, 3), (2, 8), (0, 4))]

    event = json.loads(frame("a-1").event_text(encode_record(record) for record in records))

    assert {key: [record["offset"] for record in those] for key, those in event["records"].items()} == {"a-1-2": [7, 8], "a-1-0": [3, 4]}


def test_an_event_is_as_long_as_was_counted_record_by_record() -> None:
    counted = frame()
    records = [FakeRecord(partition=number % 3, offset=number, value=b"x" * number, headers=(("ë", b"\xff"),)) for number in range(10)]
    opened: set[int] = set()
    size = counted.size
    for record in records:
        opens = None if record.partition in opened else record.partition
        size += counted.added_size(encode_record(record).text, opens_partition=opens)
        opened.add(record.partition)

    # The last record of all has no comma behind it.
    assert len(counted.event_text(encode_record(record) for record in records).encode()) == size - 1
