"""The conformance table of the event source mapping emulator, and the tests that prove its rules.

`python -m tests.support.conformance` fills in the table's last column from the markers found.
"""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "infra" / "docs" / "event-source-mapping.md"
TESTS = ROOT / "tests"
STATUSES = ("documented", "inferred", "open")

HEADING = "## Conformance table"

_ROW = re.compile(r"^\| `(?P<id>[^`|]+)` \|(?P<cells>.*)\|$", re.MULTILINE)


@dataclass(frozen=True)
class Rule:
    """A row of the table; `switch` is the reading that an open rule names, `tests` are as the row tells them."""

    id: str
    text: str
    source: str
    status: str
    switch: str
    tests: tuple[str, ...]


@dataclass(frozen=True)
class MarkedTest:
    """A test that claims to prove a rule: its name after that of its file, and all texts in its code."""

    name: str
    texts: frozenset[str]


@dataclass(frozen=True)
class Found:
    """What the tests' markers say: tests by rule, and markers that are not on a test."""

    tests: Mapping[str, Sequence[MarkedTest]]
    astray: Sequence[str] = ()


def read_table(markdown: str) -> list[Rule]:
    """All rules below the document's HEADING, in order; raises ValueError for a row of another form."""
    rules = []
    for row in _ROW.finditer(markdown.partition(HEADING)[2]):
        cells = [cell.strip() for cell in row["cells"].split(" | ")]
        if len(cells) != 4:
            raise ValueError(f"{row['id']}: a row has five cells")
        text, source, status, tests = cells
        status, _, switch = status.partition(": ")
        rules.append(Rule(row["id"], text, source, status, switch.strip("`"), tuple(re.findall(r"`([^`]+)`", tests))))
    return rules


def find_markers(folder: Path) -> Found:
    """The tests below a folder by the rules that they are marked with."""
    tests: dict[str, list[MarkedTest]] = {}
    astray = []
    for file in sorted(folder.rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        if "mark.rule" not in text:
            continue
        tree = ast.parse(text)
        markers = {id(node): node.lineno for node in ast.walk(tree) if isinstance(node, ast.expr) and _rule_of(node) is not None}
        for function in _tests(tree):
            marked = [decorator for decorator in function.decorator_list if _rule_of(decorator) is not None]
            test = MarkedTest(f"{file.relative_to(folder).with_suffix('')}::{function.name}", _texts(function))
            for decorator in marked:
                del markers[id(decorator)]
                tests.setdefault(str(_rule_of(decorator)), []).append(test)
        astray += [f"{file.name}:{line}" for line in markers.values()]
    return Found(tests, astray)


def violations(rules: Sequence[Rule], found: Found, switches: Mapping[str, Sequence[str]]) -> list[str]:
    """What is wrong between table and tests; `switches` are the values of each reading."""
    ids = [rule.id for rule in rules]
    wrong = [f"marker not on a test: {place}" for place in found.astray]
    wrong += [f"{rule_id}: in the table more than once" for rule_id in sorted({each for each in ids if ids.count(each) > 1})]
    wrong += [
        f"{rule_id}: not in the table, but a marker of {tests[0].name}" for rule_id, tests in found.tests.items() if rule_id not in ids
    ]
    wrong += [f"{switch}: no open rule" for switch in sorted(switches.keys() - {rule.switch for rule in rules})]
    for rule in rules:
        wrong += [f"{rule.id}: {what}" for what in _violations_of(rule, found.tests.get(rule.id, ()), switches)]
    return wrong


def fill_in(markdown: str, found: Found) -> str:
    """The document with its last column as the markers have it."""

    def filled(row: re.Match[str]) -> str:
        cells = row["cells"].split(" | ")
        names = "<br>".join(f"`{test.name}`" for test in found.tests.get(row["id"], ()))
        return f"| `{row['id']}` |{' | '.join([*cells[:3], f'{names} '])}|"

    before, heading, table = markdown.partition(HEADING)
    return before + heading + _ROW.sub(filled, table)


def _violations_of(rule: Rule, tests: Sequence[MarkedTest], switches: Mapping[str, Sequence[str]]) -> Iterator[str]:
    if not tests:
        yield "no test"
    elif rule.tests != tuple(test.name for test in tests):
        yield "other tests than the table says"
    if not rule.text or not rule.source:
        yield "no text, or no source"
    if rule.status not in STATUSES:
        yield f"no such status: {rule.status}"
    if (rule.status == "open") != bool(rule.switch):
        yield "an open rule, and no other, names its switch"
    if rule.switch and rule.switch not in switches:
        yield f"no such switch: {rule.switch}"
    untested = set(switches.get(rule.switch, ())) - {text for test in tests for text in test.texts}
    if untested:
        yield f"no test of {rule.switch}={', '.join(sorted(untested))}"


def _tests(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"))


def _rule_of(node: ast.AST) -> str | None:
    """The rule's id, if this is `pytest.mark.rule("…")`."""
    if not isinstance(node, ast.Call) or ast.unparse(node.func) != "pytest.mark.rule":
        return None
    (argument,) = node.args
    return argument.value if isinstance(argument, ast.Constant) and isinstance(argument.value, str) else ""


def _texts(function: ast.FunctionDef) -> frozenset[str]:
    return frozenset(node.value for node in ast.walk(function) if isinstance(node, ast.Constant) and isinstance(node.value, str))


if __name__ == "__main__":
    DOCUMENT.write_text(fill_in(DOCUMENT.read_text(encoding="utf-8"), find_markers(TESTS)), encoding="utf-8")
