"""The table of threats in infra/docs/security.md, and which tests there are."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "infra" / "docs" / "security.md"
TESTS = ROOT / "tests"

HEADING = "## Threats"
END = "\n## "


@dataclass(frozen=True)
class Threat:
    """A row: what somebody could do, what stops them, and the tests that show it."""

    who: str
    could: str
    stops: str
    tests: tuple[str, ...]


def read_table(markdown: str) -> list[Threat]:
    """All rows below HEADING, in order; raises ValueError for a row of another form."""
    section = markdown.partition(HEADING)[2].partition(END)[0]
    threats = []
    for row in re.findall(r"^\| (.*) \|$", section, re.MULTILINE)[2:]:
        cells = [cell.strip() for cell in row.split(" | ")]
        if len(cells) != 4:
            raise ValueError(f"a row has four cells: {row}")
        who, could, stops, tests = cells
        threats.append(Threat(who, could, stops, tuple(re.findall(r"`([^`]+)`", tests))))
    return threats


def find_tests(folder: Path) -> set[str]:
    """Each test below the folder, as `unit/test_file::test_name`."""
    return {
        f"{file.relative_to(folder).with_suffix('').as_posix()}::{name}"
        for file in folder.rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)\(", file.read_text(encoding="utf-8"), re.MULTILINE)
    }


def violations(threats: Sequence[Threat], tests: Collection[str]) -> list[str]:
    """What is wrong with the table."""
    told = [(threat.who, threat.could) for threat in threats]
    wrong = [f"more than once: {who}, {could}" for who, could in sorted({each for each in told if told.count(each) > 1})]
    for threat in threats:
        if not all((threat.who, threat.could, threat.stops)):
            wrong.append(f"an empty cell: {threat.who}, {threat.could}")
        if not threat.tests:
            wrong.append(f"no test: {threat.who}, {threat.could}")
        wrong += [f"no such test: {name}" for name in threat.tests if name not in tests]
    return wrong
