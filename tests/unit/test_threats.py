"""The table of threats names whom we think of, what stops them, and tests that there are."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.support.threats import DOCUMENT, ROOT, TESTS, Threat, find_tests, read_table, violations

THREAT = Threat("anonymous", "read", "a token", ("unit/test_a::test_it",))
TESTED = {"unit/test_a::test_it"}

WHO = {
    *("anonymous", "customer", "runner", "somebody with an admin's token", "hostile partner", "hostile record", "hostile web page"),
    *("somebody on the network", "another user of the machine", "somebody with a function's role", "somebody who may look at a function"),
    *("somebody with the logs", "a developer's setting in production", "a developer's mistake", "a dependency"),
}
MONEY = re.compile("amount|price|fee|total|currency|payment|escrow|account", re.IGNORECASE)


def test_every_threat_of_the_table_is_met_by_tests_that_there_are() -> None:
    assert violations(read_table(DOCUMENT.read_text()), find_tests(TESTS)) == []


def test_nobody_is_forgotten() -> None:
    assert {threat.who for threat in read_table(DOCUMENT.read_text())} == WHO


@pytest.mark.parametrize(
    ("threats", "violation"),
    [
        ([replace(THREAT, tests=())], "no test: anonymous, read"),
        ([replace(THREAT, tests=("unit/test_a::test_gone",))], "no such test: unit/test_a::test_gone"),
        ([replace(THREAT, stops="")], "an empty cell: anonymous, read"),
        ([THREAT, THREAT], "more than once: anonymous, read"),
    ],
)
def test_a_table_that_does_not_hold_is_found_out(threats: list[Threat], violation: str) -> None:
    assert violations(threats, TESTED) == [violation]


def test_a_table_that_holds_has_nothing_against_it() -> None:
    markdown = "## Threats\n\n| who | could | what stops it | shown by |\n| --- | --- | --- | --- |\n"
    row = "| anonymous | read | a token | `unit/test_a::test_it` |\n"

    assert read_table(f"{markdown}{row}\n## Next\n| a | b |\n") == [THREAT]
    assert violations([THREAT], TESTED) == []
    with pytest.raises(ValueError, match="four cells"):
        read_table(f"{markdown}| anonymous | read |\n")


def test_only_a_new_order_names_money() -> None:
    """Whatever else is asked for starts a saga with its order's own sums, payment and hold."""
    document = json.loads((ROOT / "chalicelib" / "static" / "openapi.json").read_text())
    naming = {
        f"{method} {path}"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if method in ("post", "put", "patch", "delete")
        for name in fields_of(document, operation.get("requestBody", {}))
        if MONEY.search(name)
    }

    assert naming == {"post /api/orders"}


def fields_of(document: dict[str, Any], part: Any) -> Iterator[str]:
    """The names of all fields below a part of the document, references followed."""
    if isinstance(part, list):
        for each in part:
            yield from fields_of(document, each)
    elif isinstance(part, dict):
        if "$ref" in part:
            found: Any = document
            for step in part["$ref"].removeprefix("#/").split("/"):
                found = found[step]
            yield from fields_of(document, found)
        properties = part.get("properties", {})
        yield from properties if isinstance(properties, dict) else ()
        for name, each in part.items():
            if name not in ("example", "examples", "$ref"):
                yield from fields_of(document, each)
