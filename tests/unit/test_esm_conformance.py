"""The conformance table and the tests that it names agree, rule by rule."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from infra.esm.readings import Readings
from tests.support.conformance import DOCUMENT, HEADING, TESTS, Found, MarkedTest, Rule, fill_in, find_markers, read_table, violations

SWITCHES: Mapping[str, Sequence[str]] = {field.name: get_args(get_type_hints(Readings)[field.name]) for field in fields(Readings)}

RULE = Rule("batch-size", "At most so many.", "API", "documented", "", ("test_a::test_it",))
OPEN = Rule("null", "None or null.", "nobody", "open", "null_key", ("test_a::test_it",))
VALUES = {"null_key": ("omit", "null")}


def marked(rule_id: str, *texts: str, name: str = "test_a::test_it") -> Found:
    return Found({rule_id: [MarkedTest(name, frozenset(texts))]})


def test_every_rule_of_the_table_is_proved_by_the_tests_that_it_names() -> None:
    assert violations(read_table(DOCUMENT.read_text()), find_markers(TESTS), SWITCHES) == []


def test_the_table_has_rules_of_each_status() -> None:
    rules = read_table(DOCUMENT.read_text())

    assert {rule.status for rule in rules} == {"documented", "inferred", "open"}
    assert len(rules) > 60


def test_the_document_lists_every_switch_with_its_values_the_default_first() -> None:
    rows = re.findall(r"^\| \*\*(\w+)\*\* \| ([^|]+) \|", DOCUMENT.read_text(), re.MULTILINE)
    listed = {name: re.findall(r"`(\w+)`", values) for name, values in rows}

    assert {name: sorted(values) for name, values in listed.items()} == {name: sorted(values) for name, values in SWITCHES.items()}
    assert {name: values[0] for name, values in listed.items()} == asdict(Readings())


@pytest.mark.parametrize(
    ("rule", "found", "violation"),
    [
        (RULE, Found({}), "batch-size: no test"),
        (RULE, marked("batch-size", name="test_a::test_other"), "batch-size: other tests than the table says"),
        (replace(RULE, status="surmised"), marked("batch-size"), "batch-size: no such status: surmised"),
        (replace(RULE, source=""), marked("batch-size"), "batch-size: no text, or no source"),
        (replace(RULE, status="open"), marked("batch-size"), "batch-size: an open rule, and no other, names its switch"),
        (replace(OPEN, status="documented"), marked("null", "omit", "null"), "null: an open rule, and no other, names its switch"),
        (replace(OPEN, switch="null_day"), marked("null"), "null: no such switch: null_day"),
        (OPEN, marked("null", "omit", "other"), "null: no test of null_key=null"),
        (
            RULE,
            Found({**marked("batch-size").tests, **marked("unheard-of").tests}),
            "unheard-of: not in the table, but a marker of test_a::test_it",
        ),
        (RULE, replace(marked("batch-size"), astray=["test_a.py:7"]), "marker not on a test: test_a.py:7"),
    ],
)
def test_a_table_that_does_not_agree_with_the_tests_is_found_out(rule: Rule, found: Found, violation: str) -> None:
    assert violation in violations([rule], found, VALUES)


def test_a_rule_told_twice_and_a_switch_without_a_rule_are_found_out() -> None:
    assert violations([RULE, RULE], marked("batch-size"), VALUES) == ["batch-size: in the table more than once", "null_key: no open rule"]


def test_a_table_that_agrees_has_nothing_against_it() -> None:
    assert violations([OPEN], marked("null", "omit", "null"), VALUES) == []


def test_a_row_taken_out_of_the_document_or_a_marker_out_of_the_tests_is_found_out() -> None:
    markdown, found = DOCUMENT.read_text(), find_markers(TESTS)
    rules = read_table(markdown)
    without_row = [rule for rule in rules if rule.id != "filter-operators"]
    without_marker = Found({rule_id: tests for rule_id, tests in found.tests.items() if rule_id != "filter-operators"})

    assert any(violation.startswith("filter-operators: not in the table") for violation in violations(without_row, found, SWITCHES))
    assert "filter-operators: no test" in violations(rules, without_marker, SWITCHES)


def test_markers_are_read_where_they_stand_and_the_column_is_filled_in_from_them(tmp_path: Path) -> None:
    (tmp_path / "test_sample.py").write_text(
        "import pytest\n"
        '@pytest.mark.rule("one")\n'
        '@pytest.mark.rule("two")\n'
        'def test_it():\n    read("omit")\n'
        '@pytest.mark.rule("one")\n'
        "def helper():\n    pass\n"
    )
    found = find_markers(tmp_path)

    assert found.tests["one"] == found.tests["two"] == [MarkedTest("test_sample::test_it", frozenset({"one", "two", "omit"}))]
    assert found.astray == ["test_sample.py:6"]
    table = f"| `other` | table |\n{HEADING}\n| `one` | So it is. | a page | documented |  |\n"
    assert fill_in(table, found) == table.replace("|  |", "| `test_sample::test_it` |")
    assert read_table(fill_in(table, found)) == [Rule("one", "So it is.", "a page", "documented", "", ("test_sample::test_it",))]
