"""A dead letter as HTTP shows it: whatever came, the answer fits into Lambda's 6 MB, and says what was left out."""

import base64
import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from chalicelib.entrypoints.http import answer
from chalicelib.messages.envelope import Incoming
from chalicelib.messaging.dead_letter_documents import TEXT_ROOM, WHOLE_DEAD_LETTER, full_document
from chalicelib.messaging.dead_letter_queries import KeptDeadLetter
from infra.documents.schemas import of_tables
from tests.support.examples import NOW, ORDER_ID, SAGA_ID

LAMBDA_LIMIT = 6_291_456
SCHEMA = of_tables([WHOLE_DEAD_LETTER])[WHOLE_DEAD_LETTER.name]
MEGABYTE = 1_000_000
LETTER = KeptDeadLetter(
    SAGA_ID,
    "user-events",
    0,
    7,
    "\x01" * 200,
    ORDER_ID,
    SAGA_ID,
    "Misfit",
    "\U0001f35c\x01" * 500,
    1,
    NOW,
    None,
    NOW,
    "admin:" + "x" * 64,
    "\x01" * 255,
)


def shown(key: bytes | None = b"k", value: bytes | None = b"{}", headers: tuple[tuple[str, bytes], ...] = ()) -> dict[str, Any]:
    """The document, which must be as described and fit into an answer."""
    document = full_document(LETTER, Incoming("user-events", 0, 7, key, value, headers))
    Draft202012Validator(SCHEMA).validate(document)
    sent = answer(200, document, {"X-Correlation-Id": "c" * 128}).to_dict()
    assert len(json.dumps(sent, ensure_ascii=False).encode()) < LAMBDA_LIMIT
    return document


@pytest.mark.parametrize("character", ["x", "é", "雞", "🍜", "\x01"])
@pytest.mark.parametrize("shift", range(4))
def test_the_text_of_a_value_is_cut_at_64_kib_between_two_characters(character: str, shift: int) -> None:
    value = ("y" * shift + character * 70_000).encode()

    document = shown(value=value)

    text = document["valueText"].encode()
    assert document["valueTextTruncated"] is True
    assert TEXT_ROOM - len(character.encode()) < len(text) <= TEXT_ROOM
    assert value.startswith(text)
    assert base64.b64decode(document["value"]) == value


def test_a_text_of_64_kib_is_whole_and_nothing_else_is_said() -> None:
    document = shown(value=b"x" * TEXT_ROOM)
    assert document["valueText"] == "x" * TEXT_ROOM
    assert not {name for name in document if name.endswith(("Truncated", "Omitted"))}


def test_a_large_value_that_is_utf_8_only_at_its_beginning_has_no_text() -> None:
    assert "valueText" not in shown(value=b"x" * 2 * TEXT_ROOM + b"\xff")


# What one event of Lambda's can bring, and what is in the table otherwise (a record redriven by hand, an emulator without limits).
@pytest.mark.parametrize(
    ("key", "value", "headers", "omitted"),
    [
        (b"k", b"x" * 4 * MEGABYTE, (), {}),
        (b"k", b"\x01" * (4 * MEGABYTE + 100_000), (), {}),
        (b"k", b"\x01" * 4_600_000, (), {"valueOmitted": 4_600_000}),
        (b"k", b"\x01" * 20 * MEGABYTE, (), {"valueOmitted": 20 * MEGABYTE}),
        (b"k" * 5 * MEGABYTE, b"v", (), {"keyOmitted": 5 * MEGABYTE}),
        (b"k", b"\xff", (("\x01" * 1000, b"x" * 1000),) * 700, {"headersOmitted": 1_400_000}),
        (b"k" * MEGABYTE, b"v" * 4 * MEGABYTE, (("h", b"x"),), {"valueOmitted": 4 * MEGABYTE}),
    ],
)
def test_what_does_not_fit_is_left_out_and_its_size_given(
    key: bytes, value: bytes, headers: tuple[tuple[str, bytes], ...], omitted: dict[str, int]
) -> None:
    document = shown(key, value, headers)

    assert {name: size for name, size in document.items() if name.endswith("Omitted")} == omitted
    assert {f"{name}Omitted" for name in ("value", "headers", "key") if document[name] is None} == set(omitted)


def test_an_absent_value_is_not_one_that_was_left_out() -> None:
    document = shown(value=None)
    assert (document["value"], "valueOmitted" in document, "valueText" in document) == (None, False, False)
