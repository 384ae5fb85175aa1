"""Event filtering: which values pass which patterns."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.esm.filters import MAXIMUM_PATTERN_LENGTH, Filters, InvalidFilter
from tests.support.ruler import ruler_matches

FIELD = "f"


def data(pattern: Any) -> str:
    """A filter pattern for the record's value."""
    return json.dumps({"value": pattern})


def passes(pattern: Any, value: Any) -> bool:
    """Whether a JSON value passes a single pattern for it."""
    return Filters([data(pattern)]).passes(json.dumps(value).encode())


@pytest.mark.rule("filter-operators")
@pytest.mark.parametrize(
    ("rule", "fitting", "unfitting"),
    [
        (None, [None], ["", "null", 0, False, {}]),
        ("", [""], [None, " ", "a"]),
        ("Alice", ["Alice"], ["alice", "Alice ", None, 1]),
        (300, [300], ["300", 301, True]),
        (True, [True], [1, "true", False]),
        ({"equals-ignore-case": "alice"}, ["Alice", "ALICE"], ["Alicia", None, 1]),
        ({"anything-but": ["Raining"]}, ["raining", "", None, 5, True], ["Raining"]),
        ({"anything-but": "Raining"}, ["Sunny"], ["Raining"]),
        ({"anything-but": [1, 2]}, [3, "1"], [1, 2]),
        ({"numeric": ["=", 100]}, [100, 100.0, 1e2], [101, "100", True, None]),
        ({"numeric": ["<", 10]}, [9.999, -5], [10, 11]),
        ({"numeric": [">=", 10]}, [10, 11], [9]),
        ({"numeric": [">", 10, "<=", 20]}, [10.01, 20], [10, 20.01, "15"]),
        ({"exists": True}, [None, "", 0, "a"], [{}, {"a": 1}, []]),
        ({"prefix": "us-"}, ["us-east-1", "us-"], ["eu-us-", "US-", None, 1]),
        ({"suffix": ".png"}, ["a.png"], ["a.PNG", "png", None]),
    ],
)
def test_each_operator_lets_its_values_pass_and_no_others(rule: Any, fitting: list[Any], unfitting: list[Any]) -> None:
    assert [value for value in fitting if not passes({FIELD: [rule]}, {FIELD: value})] == []
    assert [value for value in unfitting if passes({FIELD: [rule]}, {FIELD: value})] == []


@pytest.mark.rule("filter-operators")
@pytest.mark.parametrize("rule", [None, "", "a", 1, {"anything-but": ["a"]}, {"numeric": ["<", 5]}, {"exists": True}, {"prefix": ""}])
def test_no_operator_but_the_one_for_absence_lets_an_absent_field_pass(rule: Any) -> None:
    assert not passes({FIELD: [rule]}, {"other": 1})
    assert passes({FIELD: [rule, {"exists": False}]}, {"other": 1})


@pytest.mark.rule("filter-numbers-by-text")
@pytest.mark.parametrize("number", ["300", "300.0", "3.0e2"])
def test_numbers_are_equal_only_as_they_are_written(number: str) -> None:
    equal = Filters([f'{{"value":{{"f":[{number}]}}}}'])
    unwanted = Filters([f'{{"value":{{"f":[{{"anything-but":[{number}]}}]}}}}'])
    same = [text for text in ("300", "300.0", "3.0e2") if equal.passes(f'{{"f":{text}}}'.encode())]

    assert same == [number]
    assert unwanted.passes(b'{"f":3e2}')
    assert not unwanted.passes(f'{{"f":{number}}}'.encode())


@pytest.mark.rule("filter-numeric-range")
@pytest.mark.parametrize(("number", "fits"), [("5e9", True), ("5000000000.1", False), ("1e400", False), ("1e" + "9" * 30, False)])
def test_numbers_beyond_five_thousand_million_are_not_compared(number: str, fits: bool) -> None:
    assert Filters([data({FIELD: [{"numeric": [">", 0]}]})]).passes(f'{{"f":{number}}}'.encode()) is fits


@pytest.mark.rule("filter-and-or")
@pytest.mark.parametrize(("value", "fits"), [("NY", True), ("LA", False), (["LA", "NY"], True)])
def test_all_fields_of_a_pattern_must_fit_and_one_of_each_ones_values(value: Any, fits: bool) -> None:
    pattern = {"day": ["Monday"], "place": {"city": ["NY", {"prefix": "N"}]}}

    assert passes(pattern, {"day": "Monday", "place": {"city": value}}) is fits
    assert not passes(pattern, {"day": "Sunday", "place": {"city": value}})


@pytest.mark.rule("filter-and-or")
def test_of_an_or_one_pattern_must_fit_beside_all_other_fields() -> None:
    pattern = {"kind": ["a"], "$or": [{"city": ["NY"]}, {"day": ["Monday"], "$or": [{"x": [1]}, {"y": [1]}]}]}

    assert passes(pattern, {"kind": "a", "city": "NY"})
    assert passes(pattern, {"kind": "a", "day": "Monday", "y": 1})
    assert not passes(pattern, {"kind": "a", "day": "Monday"})
    assert not passes(pattern, {"kind": "b", "city": "NY"})


@pytest.mark.rule("filter-any-of-several")
def test_a_record_passes_that_fits_one_of_several_filters() -> None:
    filters = Filters([data({"a": [1]}), data({"b": [2]})])

    assert filters.passes(b'{"b": 2}')
    assert not filters.passes(b'{"a": 2, "b": 1}')
    joined = Filters([json.dumps({"$or": [{"value": {"a": [1]}}, {"value": {"b": [2]}}]})])
    assert (joined.passes(b'{"b": 2}'), joined.passes(b'{"a": 2}')) == (True, False)


@pytest.mark.rule("filter-exists-on-leaves")
def test_a_field_with_an_object_does_not_exist() -> None:
    person = {"person": {"address": {"street": "123 Main St"}}}

    assert not passes({"person": {"address": [{"exists": True}]}}, person)
    assert passes({"person": {"address": [{"exists": False}]}}, person)
    assert passes({"person": {"phone": {"mobile": [{"exists": False}]}}}, person)


@pytest.mark.rule("filter-arrays")
def test_of_an_array_any_element_may_fit_at_whatever_depth() -> None:
    people = {"people": [[{"first": "John", "last": "Doe"}, {"first": "Anna", "last": "Smith"}], {"first": "Peter", "last": "Jones"}]}

    assert passes({"tags": ["b"]}, {"tags": ["a", ["b"]]})
    assert passes({"tags": [{"anything-but": ["a"]}]}, {"tags": ["a", "b"]})
    assert not passes({"tags": [{"exists": True}]}, {"tags": []})
    assert passes({"people": {"first": ["Anna"], "last": ["Smith"]}}, people)
    assert passes({"first": ["Anna"]}, people["people"])


@pytest.mark.rule("filter-array-elements-apart")
def test_fields_are_not_put_together_from_different_elements_of_an_array() -> None:
    people = {"people": [{"first": "Anna", "last": "Smith"}, {"first": "Peter", "last": "Jones", "left": 1}]}

    assert not passes({"people": {"first": ["Anna"], "last": ["Jones"]}}, people)
    assert not passes({"people": {"first": ["Anna"], "left": [{"exists": False}]}}, people), "absence is absence from every element"


@pytest.mark.rule("filter-plain-text")
@pytest.mark.parametrize(
    ("rules", "fitting", "unfitting"),
    [
        ([{"anything-but": ["error"]}], ["fine", "error!", ""], ["error"]),
        (["a", {"prefix": "log:"}], ["a", "log: 1"], ["b"]),
        ([{"exists": True}], ["a"], []),
        ([None, {"numeric": ["=", 42]}], [], ["42", "null"]),
        (["42", '"a"'], ["42", '"a"'], ["43"]),
    ],
)
def test_a_pattern_for_plain_text_judges_what_is_no_json_object_or_array(
    rules: list[Any], fitting: list[str], unfitting: list[str]
) -> None:
    filters = Filters([data(rules)])

    assert [text for text in fitting if not filters.passes(text.encode())] == []
    assert [text for text in unfitting if filters.passes(text.encode())] == []


@pytest.mark.rule("filter-mismatch-passes")
@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        (data({"a": [1]}), b"plain text"),
        (data({"a": [1]}), b'{"a": 2'),
        (data({"a": [1]}), b"42"),
        (data({"a": [1]}), b""),
        (data(["a"]), b'{"a": 2}'),
        (data(["a"]), b"[2]"),
        ("{}", b'{"a": 2}'),
        ("{}", b"plain text"),
        (data({"a": [1]}), b'\xff{"a": 2}'),
        (data(["a"]), "á".encode("utf-16")),
        (data({"a": [1]}), b"[" * 100_000),
    ],
)
def test_what_is_not_of_the_pattern_s_kind_passes(pattern: str, value: bytes) -> None:
    assert Filters([pattern]).passes(value)


@pytest.mark.rule("filter-tombstone")
@pytest.mark.parametrize("pattern", [data({"a": [{"exists": False}]}), data(["a"])])
def test_a_tombstone_passes_or_is_dropped_as_it_is_read(pattern: str) -> None:
    assert Filters([pattern], tombstone="pass").passes(None)
    assert not Filters([pattern], tombstone="drop").passes(None)


@pytest.mark.rule("filter-none")
def test_without_a_filter_everything_passes() -> None:
    for value in (None, b"", b"{}", b"\xff"):
        assert Filters([], tombstone="drop").passes(value)
        assert Filters(["{}"], tombstone="drop").passes(value)


@pytest.mark.rule("filter-limits")
def test_ten_patterns_of_4096_characters_are_taken_and_no_more() -> None:
    longest = data({"a": ["x" * (MAXIMUM_PATTERN_LENGTH - len(data({"a": [""]})))]})

    assert Filters([longest] * 10).passes(b"text")
    with pytest.raises(InvalidFilter, match="at most 10 filters"):
        Filters([longest] * 11)
    with pytest.raises(InvalidFilter, match=r"Filters\[1\]\.Pattern: longer than 4096 characters"):
        Filters(["{}", longest + " "])


@pytest.mark.rule("filter-wrong-pattern")
@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("", r"Filters\[0\]\.Pattern: no JSON"),
        ('{"value": {"a": [NaN]}}', "no JSON: NaN"),
        ("[]", "Pattern: an object is needed"),
        (data(None), r"Pattern\.value: a list"),
        (data({}), r"Pattern\.value: an object with at least one field"),
        (data([]), r"Pattern\.value: a list with at least one"),
        (data({"a": {"b": 1}}), r"Pattern\.value\.a\.b: a list"),
        (data({"a": [["b"]]}), r"value\.a: a list inside a list"),
        (data({"a": [{}]}), r"value\.a: an operator is one of .* not nothing"),
        (data({"a": [{"prefix": "a", "suffix": "b"}]}), r"value\.a: an operator is one of"),
        (data({"a": [{"prefix": 1}]}), r"value\.a\.prefix: a text is needed"),
        (data({"a": [{"exists": "yes"}]}), r"value\.a\.exists: true or false"),
        (data({"a": [{"anything-but": []}]}), r"value\.a\.anything-but: a text or a number"),
        (data({"a": [{"anything-but": ["a", 1]}]}), r"value\.a\.anything-but: a text or a number"),
        (data({"a": [{"numeric": ["=", "1"]}]}), r"value\.a\.numeric: a comparison"),
        (data({"a": [{"numeric": ["!=", 1]}]}), r"value\.a\.numeric: a comparison"),
        (data({"a": [{"numeric": ["=", 5_000_000_001]}]}), r"value\.a\.numeric: a comparison"),
        (data({"a": [{"numeric": [">", 2, "<", 1]}]}), r"value\.a\.numeric: a comparison"),
        (data({"a": [{"numeric": ["<", 2, ">", 1]}]}), r"value\.a\.numeric: a comparison"),
        (data({"$or": [{"a": [1]}]}), r"value\.\$or: a list of at least two"),
        (data({"$or": [{"a": [1]}, {"b": 2}]}), r"value\.\$or\[1\]\.b: a list"),
        ('{"value":' + '{"a":' * 600 + "[1]" + "}" * 601, "nested too deeply"),
    ],
)
def test_a_wrong_pattern_is_refused_with_the_place_in_it(pattern: str, message: str) -> None:
    with pytest.raises(InvalidFilter, match=message):
        Filters([pattern])


@pytest.mark.rule("filter-value-only")
@pytest.mark.parametrize("key", ["topic", "key", "headers", "partition", "timestamp"])
def test_only_the_value_can_be_filtered_by(key: str) -> None:
    with pytest.raises(InvalidFilter, match=f"only the key value can be filtered by with Kafka, not {key}"):
        Filters([json.dumps({"value": {"a": [1]}, key: ["x"]})])


@pytest.mark.rule("filter-operators-not-listed")
@pytest.mark.parametrize(
    "rule", [{"wildcard": "a*"}, {"cidr": "10.0.0.0/8"}, {"anything-but": {"prefix": "a"}}, {"prefix": {"equals-ignore-case": "a"}}]
)
def test_operators_that_eventbridge_has_and_lambda_does_not_list_are_refused(rule: Any) -> None:
    with pytest.raises(InvalidFilter, match=r"Pattern\.value\.f"):
        Filters([data({FIELD: [rule]})])


names = st.sampled_from(["a", "b"])
scalars = st.sampled_from([None, True, "", "x", "xy", 1, 2])
documents = st.dictionaries(
    names, st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=2), max_leaves=6)
)
rules = st.sampled_from([None, True, "", "x", 1, {"prefix": "x"}, {"anything-but": ["x"]}, {"exists": True}, {"exists": False}])
field_patterns = st.lists(rules, min_size=1, max_size=2)
patterns = st.recursive(
    st.dictionaries(names, field_patterns, min_size=1),
    lambda inner: (
        st.dictionaries(names, field_patterns | inner, min_size=1) | st.tuples(inner, inner).map(lambda pair: {"$or": list(pair)})
    ),
    max_leaves=4,
)


@settings(max_examples=100, deadline=None)
@given(value=st.binary(max_size=40) | st.text(max_size=20).map(str.encode) | documents.map(lambda each: json.dumps(each).encode()))
@pytest.mark.rule("filter-never-raises")
def test_a_filter_never_raises_on_any_bytes(value: bytes) -> None:
    assert Filters([data({"a": {"b": [{"numeric": ["<", 5]}, {"exists": False}]}}), data([{"prefix": "a"}])]).passes(value) in (True, False)


@settings(max_examples=300, deadline=None)
@given(pattern=patterns, document=documents)
@pytest.mark.rule("filter-arrays")
def test_patterns_match_as_the_definition_of_eventbridge_s_matcher_says(pattern: Any, document: Any) -> None:
    assert passes(pattern, document) is ruler_matches(pattern, document)
