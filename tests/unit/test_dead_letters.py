"""The copy of a dead letter on `orders-dlq`: as it came, as far as it fits, and why."""

import json
from base64 import b64encode
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from chalicelib.messages.envelope import Incoming, Outgoing
from chalicelib.messaging.dead_letters import LARGEST_COPY, DeadLetter, content_hash, copy_of
from tests.support.examples import a_record

OUTBOX_LIMIT = 262_144
LETTER = DeadLetter(UUID(int=1), a_record(b"\xff\x00", {"ce_id": "m-1"}), "Unintelligible", "the value is not JSON", 5)


def errors(message: Outgoing) -> dict[str, str]:
    prefix = "__dlq.errors."
    return {name.removeprefix(prefix): value.decode() for name, value in message.headers if name.startswith(prefix)}


def copied(**changes: Any) -> Outgoing:
    return copy_of(replace(LETTER, record=replace(LETTER.record, **changes)))


def room_in_outbox(message: Outgoing) -> int:
    headers = json.dumps([[name, b64encode(value).decode()] for name, value in message.headers])
    return len(message.value or b"") + len(headers)


def test_key_value_and_headers_are_those_that_came() -> None:
    message = copy_of(LETTER)

    assert (message.topic, message.key, message.value) == ("orders-dlq", LETTER.record.key, b"\xff\x00")
    assert message.headers[0] == ("ce_id", b"m-1")


def test_headers_say_where_the_record_stood_and_what_was_wrong() -> None:
    assert errors(copy_of(LETTER)) == {
        "topic": "user-events",
        "partition": "1",
        "offset": "42",
        "group": "campusg-on_user_events",
        "delivery.count": "5",
        "exception.class": "Unintelligible",
        "message": "the value is not JSON",
    }


@pytest.mark.parametrize(("key", "value"), [(b"k", None), (None, b"v"), (b"", b"")])
def test_what_is_absent_stays_absent_and_what_is_empty_stays_empty(key: bytes | None, value: bytes | None) -> None:
    message = copied(key=key, value=value)

    assert (message.key, message.value) == (key, value)
    assert "value.omitted" not in errors(message)


def test_a_record_with_neither_key_nor_value_gets_an_empty_value_because_none_can_be_sent() -> None:
    message = copied(key=None, value=None)

    assert (message.key, message.value) == (None, b"")
    assert "value.omitted" not in errors(message)


def test_a_value_that_does_not_fit_is_left_out_and_its_size_given() -> None:
    message = copied(value=b"x" * (LARGEST_COPY + 1))

    assert message.value is None
    assert errors(message)["value.omitted"] == str(LARGEST_COPY + 1)
    assert message.headers[0] == ("ce_id", b"m-1")


def test_a_value_that_just_fits_is_kept() -> None:
    value = b"x" * (LARGEST_COPY - 200)

    assert copied(value=value).value == value


@pytest.mark.parametrize(
    "headers",
    [
        (("big", b"x" * 900_000),),
        tuple(("h", b"x") for _ in range(90_000)),
        tuple(("\x01" * 20, b"") for _ in range(9_000)),
        (("\U0001f600" * 100_000, b""),),
    ],
    ids=["a big one", "very many", "names that grow when they are escaped", "a long name"],
)
@pytest.mark.parametrize("value", [b"{}", b"x" * 180_000], ids=["small", "large"])
def test_any_copy_fits_into_the_outbox(headers: tuple[tuple[str, bytes], ...], value: bytes) -> None:
    message = copied(headers=headers, value=value)

    assert room_in_outbox(message) <= OUTBOX_LIMIT
    assert int(errors(message)["headers.omitted"]) > LARGEST_COPY


def test_value_and_headers_that_fit_only_alone_are_not_kept_both() -> None:
    message = copied(headers=(("big", b"x" * 90_000),), value=b"x" * 100_000)

    assert room_in_outbox(message) <= OUTBOX_LIMIT
    assert message.value is None
    assert message.headers[0] == ("big", b"x" * 90_000)


def test_a_key_as_large_as_a_record_is_left_out_too() -> None:
    message = copied(key=b"k" * 900_000)

    assert (message.key, message.value) == (None, b"")
    assert errors(message)["value.omitted"] == "2"
    assert errors(message)["key.omitted"] == "900000"


def test_a_message_without_end_is_cut_and_one_that_can_not_be_written_is_mended() -> None:
    message = copy_of(replace(LETTER, error="\ud800" + "x" * 5_000))

    assert errors(message)["message"] == "?" + "x" * 999


def test_header_names_that_can_not_be_stored_are_mended() -> None:
    assert [name for name, _ in copied(headers=(("a\x00b", b"1"), ("a\ud800", b"2"))).headers[:2]] == ["a\ufffdb", "a?"]


@pytest.mark.parametrize(
    "other",
    [
        a_record(b"b", {"h": "1"}),
        a_record(b"a", {"h": "2"}),
        a_record(b"a", {"i": "1"}),
        a_record(None, {"h": "1"}),
        a_record(b"a", {"h": "1"}, key=None),
        a_record(b"a", {"h": "1"}, key=b""),
        a_record(b"a"),
        a_record(b"", {"ah": "1"}),
    ],
)
def test_two_records_at_the_same_place_are_told_apart_by_their_content(other: Incoming) -> None:
    record = a_record(b"a", {"h": "1"})

    assert content_hash(other) != content_hash(record)
    assert content_hash(replace(record, offset=7)) == content_hash(record)
