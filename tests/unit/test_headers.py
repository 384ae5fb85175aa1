"""Header fields out of an event of API Gateway: several lines of one name, lists, media types, keys."""

import time
from typing import Any

import pytest

from chalicelib.entrypoints.headers import header_fields, media_type, members
from chalicelib.entrypoints.idempotency import idempotency_key
from chalicelib.entrypoints.refusals import BadHeader
from chalicelib.entrypoints.waiting import preferred_wait


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        ({"headers": {"Prefer": "b"}, "multiValueHeaders": {"Prefer": ["a", "b"]}}, {"prefer": "a, b"}),
        ({"headers": {}, "multiValueHeaders": {"Prefer": ["a"], "prefer": ["b", ""]}}, {"prefer": "a, b, "}),
        ({"headers": {"Prefer": "a"}, "multiValueHeaders": None}, {"prefer": "a"}),
        ({"headers": {"Prefer": "a"}}, {"prefer": "a"}),
        ({"headers": {"Prefer": "a"}, "multiValueHeaders": {"prefer": None, "Host": ["h"]}}, {"prefer": "a", "host": "h"}),
        ({"headers": None, "multiValueHeaders": {"A": [""]}}, {"a": ""}),
        ({"headers": None, "multiValueHeaders": None}, {}),
        ({}, {}),
    ],
)
def test_all_lines_of_a_header_are_one_list_whatever_the_case_of_its_name(event: dict[str, Any], fields: dict[str, str]) -> None:
    assert header_fields(event) == fields


def test_a_comma_in_quotes_separates_no_members() -> None:
    assert list(members('a, ,"b,\\",c" ;d="e,f",\tg, "h, i')) == ["a", '"b,\\",c" ;d="e,f"', "g", '"h, i']


@pytest.mark.parametrize(
    "text", ["application/json", "Application/JSON;charset=utf-8", "application/json ;", 'application/json; a="b, c" ; d=e']
)
def test_a_media_type_is_read_without_its_parameters(text: str) -> None:
    assert media_type(text) == "application/json"


@pytest.mark.parametrize(
    "text",
    ["", "json", "application/json, text/plain", "application/json; a=b, text/plain", "application/json;a", "application/json text/plain"],
)
def test_what_is_no_media_type_or_several_is_none(text: str) -> None:
    assert media_type(text) is None


KEYS = {
    "abc": "abc",
    ' "abc"\t': "abc",
    '"abc";a=1': "abc",
    '"abc"; a="x;y"; b': "abc",
    "abc;a=1": "abc",
    'abc; a="x, y"': "abc",
    "0192f0c1-aaaa-7bbb-8ccc-1234567890ab": "0192f0c1-aaaa-7bbb-8ccc-1234567890ab",
    "0192f0c1-aaaa-7bbb-8ccc-1234567890ab;v=2": "0192f0c1-aaaa-7bbb-8ccc-1234567890ab",
    "12.50;a": "12.50",
    ":YWJj:;a": ":YWJj:",
    "?1": "?1",
    '"a,b"': "a,b",
    '"a\\"b\\\\"': 'a"b\\',
    'a"b': 'a"b',
    "!#~;=": "!#~;=",
    "a;B": "a;B",
    "k" * 255 + ";a=1": "k" * 255,
    f'"{"k" * 255}"': "k" * 255,
}
NO_KEYS = [
    *("", '""', ";a", '"";a', "a,b", "a, b", "a,", ", a", ",", '"a","b"', '"a", b', "a;b=1, c", "a;B,c"),
    *(
        '"a',
        '"a"b',
        '"',
        '"a\\b"',
        '"a" ;b',
        '"a";',
        '"a";B',
        "a b",
        '"a b"',
        "a\tb",
        "\xe9",
        '"\xe9"',
        "a;\xe9",
        "k" * 256,
        f'"{"k" * 256}"',
    ),
]


@pytest.mark.parametrize(("field", "key"), KEYS.items())
def test_a_key_is_an_item_without_its_parameters_or_a_bare_text(field: str, key: str) -> None:
    assert idempotency_key({"idempotency-key": field}) == key


@pytest.mark.parametrize("field", NO_KEYS)
def test_several_keys_and_broken_items_are_none(field: str) -> None:
    with pytest.raises(BadHeader, match="one key"):
        idempotency_key({"idempotency-key": field})


@pytest.mark.parametrize("piece", ['"', '"\\', '\\"', ',"', '"a', ";", " ", "\t;", "a;", "a ", "wait= "])
def test_long_headers_take_no_long_time(piece: str) -> None:
    text = piece * (16_000 // len(piece))
    begun = time.process_time()
    list(members(text))
    media_type(text)
    preferred_wait({"prefer": "wait=" + text})
    with pytest.raises(BadHeader):
        idempotency_key({"idempotency-key": text})
    assert time.process_time() - begun < 0.2
