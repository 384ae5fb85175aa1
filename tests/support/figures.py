"""Figures that a test reports: they stand in the last lines of a run, also where other processes ran the tests."""

from collections.abc import Callable

import pytest

NAME = "figure"


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Called with a sentence that has a figure."""
    return lambda sentence: record_property(NAME, sentence)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for key in ("passed", "failed") for report in terminalreporter.getreports(key) if hasattr(report, "user_properties")]
    sentences = [str(value) for report in reports for name, value in report.user_properties if name == NAME]
    if sentences:
        terminalreporter.section("figures")
        terminalreporter.write("".join(f"{sentence}\n" for sentence in sentences))
