"""Tests that need a tool which is not among the requirements: `@pytest.mark.tool("ministack")`.

Without the tool they are left out, and the last lines of the run say so; with `REQUIRE_TOOLS` in the environment they fail.
"""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
REQUIRED = "REQUIRE_TOOLS"


class Tool(NamedTuple):
    """A tool: its file or folder, and the command that brings it."""

    file: Path
    command: str


TOOLS = {
    "browser": Tool(ROOT / ".tools" / "browser" / "complete", "make browser"),
    "infra-check": Tool(ROOT / ".tools" / "infra-check" / "complete", "make infra-tools"),
    "kafka": Tool(ROOT / ".tools" / "kafka", "make kafka-jars"),
    "lambda": Tool(ROOT / ".tools" / "lambda" / "packages" / "awslambdaric", "make lambda"),
    "ministack": Tool(ROOT / ".tools" / "ministack" / "bin" / "ministack", "make ministack"),
}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave a test out, or fail it, whose tool is not there."""
    for marker in item.iter_markers("tool"):
        tool = TOOLS[marker.args[0]]
        if not tool.file.exists():
            leave_out(f"needs {marker.args[0]}: {tool.command}")


def leave_out(reason: str) -> None:
    """Leave the test out, or fail it where tools are required."""
    (pytest.fail if os.environ.get(REQUIRED) else pytest.skip)(reason)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Say behind everything else which tests were left out, and which command brings their tool."""
    yield
    for line in left_out([report for report in terminalreporter.stats.get("skipped", []) if isinstance(report, pytest.TestReport)]):
        terminalreporter.write_line(line)


def left_out(skipped: list[pytest.TestReport]) -> list[str]:
    """A line for each test file with tests that lack a tool."""
    reasons = [(report.nodeid.partition("::")[0], str(report.longrepr[2])) for report in skipped if isinstance(report.longrepr, tuple)]
    counted = Counter((file, reason.removeprefix("Skipped: ")) for file, reason in reasons if "Skipped: needs " in reason)
    return [f"left out: {number} of {file}, {reason}" for (file, reason), number in sorted(counted.items())]
