"""Tests that need a tool: left out by name without it, and failing where it is required."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.tools import ROOT, TOOLS, Tool, left_out, pytest_runtest_setup


@pytest.fixture
def item(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A test that needs a tool which is not there."""
    monkeypatch.setitem(TOOLS, "hammer", Tool(Path("/nowhere"), "make hammer"))
    monkeypatch.delenv("REQUIRE_TOOLS", raising=False)
    return SimpleNamespace(iter_markers=lambda name: [pytest.mark.tool("hammer").mark])


def test_a_test_without_its_tool_is_left_out_and_where_tools_are_required_it_fails(item: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(pytest.skip.Exception, match="needs hammer: make hammer"):
        pytest_runtest_setup(item)
    monkeypatch.setenv("REQUIRE_TOOLS", "1")
    with pytest.raises(pytest.fail.Exception, match="needs hammer: make hammer"):
        pytest_runtest_setup(item)


def test_a_test_with_its_tool_runs(item: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TOOLS, "hammer", Tool(Path(__file__), "make hammer"))

    pytest_runtest_setup(item)


def test_the_last_lines_say_which_tests_were_left_out_and_how_to_get_their_tool() -> None:
    def skipped(test: str, reason: str) -> pytest.TestReport:
        return pytest.TestReport(test, ("t.py", 1, test), {}, "skipped", ("t.py", 1, f"Skipped: {reason}"), "setup")

    reports = [skipped("t.py::a", "needs hammer: make hammer"), skipped("t.py::b", "needs hammer: make hammer"), skipped("t.py::c", "late")]

    assert left_out(reports) == ["left out: 2 of t.py, needs hammer: make hammer"]


def test_every_tool_has_a_target() -> None:
    targets = (ROOT / "Makefile").read_text()

    assert all(f"\n{tool.command.removeprefix('make ')}: " in targets for tool in TOOLS.values())


def test_every_tool_is_installed_where_all_are_required() -> None:
    [made] = re.findall(r"^make --jobs=\d+ (.*)$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)

    assert {tool.command.removeprefix("make ") for tool in TOOLS.values()} <= set(made.split())
