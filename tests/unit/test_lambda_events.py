"""Lambda's Kafka event, unwrapped: from AWS's own samples to the forms in which something may be absent."""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from chalicelib.entrypoints.lambda_events import partial_response, records
from chalicelib.messages.envelope import Incoming
from tests.support.examples import a_record

SAMPLES = Path(__file__).parents[1] / "data" / "lambda_events"


def sample(name: str) -> list[Incoming]:
    return records(json.loads((SAMPLES / f"{name}.json").read_text()))


def event(*raw: dict[str, Any]) -> dict[str, Any]:
    partitions: dict[str, list[dict[str, Any]]] = {}
    for record in raw:
        partitions.setdefault(f"{record['topic']}-{record['partition']}", []).append(record)
    return {"eventSource": "aws:kafka", "records": partitions}


def raw(topic: str = "t", partition: int = 0, offset: int = 0, **changes: Any) -> dict[str, Any]:
    return {"topic": topic, "partition": partition, "offset": offset, "timestamp": 1, "timestampType": "CREATE_TIME", **changes}


@pytest.mark.parametrize("name", ["msk", "self_managed"])
def test_a_sample_of_aws_is_read(name: str) -> None:
    assert sample(name) == [
        Incoming("mytopic", 0, 15, b"recordKey", b"Hello, this is a test.", (("headerKey", b"headerValue"),)),
    ]


def test_header_bytes_of_java_are_read_and_a_repeated_name_is_kept() -> None:
    assert sample("signed_header")[0].headers == (("name", "Zoë".encode()), ("name", b"1"))


def test_a_record_without_a_key_is_read() -> None:
    assert all(record.key is None for record in sample("no_key"))


@pytest.mark.parametrize("number", range(-128, 256))
def test_a_header_byte_may_be_signed_or_not(number: int) -> None:
    (record,) = records(event(raw(headers=[{"h": [number]}])))

    assert record.headers == (("h", bytes([number % 256])),)


@pytest.mark.parametrize("absent", [{}, {"key": None, "value": None}], ids=["no member", "null"])
def test_what_is_absent_is_none(absent: dict[str, None]) -> None:
    (record,) = records(event(raw(**absent)))

    assert (record.key, record.value, record.headers) == (None, None, ())


def test_an_empty_value_is_not_an_absent_one() -> None:
    (record,) = records(event(raw(key="", value="")))

    assert (record.key, record.value) == (None, b"")


@pytest.mark.parametrize("headers", [None, []])
def test_headers_may_be_absent(headers: Any) -> None:
    assert records(event(raw(headers=headers)))[0].headers == ()


def test_a_header_without_a_value_is_empty() -> None:
    assert records(event(raw(headers=[{"a": None}, {"b": []}])))[0].headers == (("a", b""), ("b", b""))


def test_records_come_by_partition_and_in_offset_order() -> None:
    given = [raw("b", 0, 1), raw("a", 1, 9), raw("a", 1, 3), raw("a", 0, 12), raw("a", 0, 5)]

    places = [(record.topic, record.partition, record.offset) for record in records(event(*given))]

    assert places == [("a", 0, 5), ("a", 0, 12), ("a", 1, 3), ("a", 1, 9), ("b", 0, 1)]


def test_a_value_is_what_was_sent_to_the_byte() -> None:
    value = bytes(range(256))

    assert records(event(raw(value=b64encode(value).decode())))[0].value == value


def test_failed_records_are_named_by_partition_and_offset_once_each() -> None:
    failed = [a_record(offset=7), a_record(offset=5), a_record(offset=7), a_record(partition=0, offset=9)]

    assert partial_response(failed) == {
        "batchItemFailures": [
            {"itemIdentifier": {"partition": "user-events-0", "offset": 9}},
            {"itemIdentifier": {"partition": "user-events-1", "offset": 5}},
            {"itemIdentifier": {"partition": "user-events-1", "offset": 7}},
        ]
    }


def test_a_batch_without_failures_is_taken_whole() -> None:
    assert partial_response([]) == {"batchItemFailures": []}
