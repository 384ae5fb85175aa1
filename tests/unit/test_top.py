"""`make top`: what is on the picture, how wide it is, and what it says where nobody answers."""

import os
import signal
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from infra.console import show
from infra.documents.openapi.examples import ANSWERS
from infra.operator import top
from infra.operator.api import ApiError
from infra.operator.top import BESIDE, Seen, picture, sparkline
from tests.unit.test_console import Terminal

NEWEST = datetime(2026, 11, 22, 8, 14, tzinfo=UTC)
URL = "http://127.0.0.1:8000"


def board(**changes: Any) -> dict[str, Any]:
    return {**ANSWERS["board"], **changes}


def minute(ago: int, **changes: Any) -> dict[str, Any]:
    at = (NEWEST - timedelta(minutes=ago)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {**ANSWERS["board"]["minutes"][0], "at": at, **changes}


@pytest.fixture
def columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of the usual size."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")


def drawn(seen: Seen, capsys: pytest.CaptureFixture[str], width: int = 80) -> list[str]:
    show(picture(seen, width))
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([], ""),
        ([0, 0, None], "▁▁ "),
        ([0, 7, None, 14], "▁▅ █"),
        ([1, 1000], "▂█"),
        ([9, 1, 2, 3], "▄▆█"),
        ([0.5], "█"),
    ],
)
def test_a_line_is_as_high_as_the_highest_of_what_is_shown(values: list[float | None], line: str) -> None:
    assert sparkline(values, 3 if len(values) == 4 and values[0] == 9 else 4) == line


@pytest.mark.usefixtures("columns")
def test_the_whole_board_has_room_on_a_small_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    minutes = [minute(ago, ordersCreated=ago % 5, stepP50Ms=None) for ago in reversed(range(60)) if ago != 3]
    lines = drawn(Seen(URL, board(minutes=minutes), '"1"'), capsys)
    assert len(lines) <= 23
    assert max(map(len, lines)) <= 80
    assert lines[0] == f"CampusG orders  {URL}  version 1.0.0"
    assert "CREATED             1" in lines[2]
    assert lines[2].split()[-3:] == ["create_order", "RUNNING", "1"]
    assert "ended within 24 h  COMPLETED 96, CANCELLED 4, TIMED_OUT 1" in lines
    [created] = [line for line in lines if line.startswith("orders created")]
    assert created == f"orders created    {sparkline([(ago % 5) if ago != 3 else None for ago in reversed(range(60))], 80 - BESIDE)}  0"
    [waits] = [line for line in lines if line.startswith("step p50")]
    assert waits.endswith("  -")


@pytest.mark.usefixtures("columns")
def test_what_is_wrong_is_said_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = board(
        sagas=[{"name": "complete_order", "status": "FAILED", "number": 1000, "atLeast": True}],
        deadLetters={"waiting": 2, "atLeast": False, "byError": [{"errorClass": "Misfit", "number": 2}]},
        invariants={"violations": 3, "at": "2026-11-22T08:15:00.000Z"},
    )
    said = "\n".join(drawn(Seen(URL, wrong), capsys))
    for words in ("FAILED  1000+", "2 wait: Misfit 2", "3 violations at 2026-11-22T08:15:00.000Z: `make audit`"):
        assert words in said


@pytest.mark.usefixtures("columns")
def test_a_board_of_a_service_that_has_just_begun(capsys: pytest.CaptureFixture[str]) -> None:
    quiet = board(
        sagas=[],
        outbox={"waiting": 0, "atLeast": False, "oldestAt": None},
        deadLetters={"waiting": 0, "atLeast": False, "byError": []},
        invariants={"violations": None, "at": None},
        minutes=[],
    )
    said = "\n".join(drawn(Seen(URL, quiet), capsys))
    for words in ("none\n", "outbox             nothing waits", "none waits", "not asked yet", "has no minute yet"):
        assert words in said


@pytest.fixture
def rounds(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What `newer` answers, one after the other; behind the last one comes Ctrl-C."""
    answers: list[Any] = []

    class Api:
        url = URL

        def newer(self, path: str, etag: str) -> Any:
            asked.append((path, etag))
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

    asked: list[tuple[str, str]] = []

    def wait(_seconds: float) -> None:
        if not answers:
            raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.delenv("ONCE", raising=False)
    monkeypatch.setattr(top, "operator_api", Api)
    monkeypatch.setattr(top.time, "sleep", wait)
    yield answers
    signal.signal(signal.SIGTERM, before)
    assert asked[0] == ("/api/board", "")
    assert {etag for _, etag in asked[1:]} <= {'"1"', ""}


@pytest.mark.usefixtures("columns")
def test_it_goes_on_where_the_connection_was_lost_and_shows_what_was_last_seen(
    rounds: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    rounds += [ApiError(f"{URL} can't be reached"), (board(), '"1"'), None, ApiError(f"{URL} can't be reached"), None]
    assert top.top() == 0
    pictures = capsys.readouterr().out.split("no connection  ")
    assert pictures[0] == ""
    assert pictures[1].splitlines()[:2] == [f"{URL} can't be reached; trying again", f"CampusG orders  {URL}  version 1.0.0"]
    assert pictures[2].startswith(f"{URL} can't be reached; trying again\norders under way")
    assert "".join(pictures).count("CampusG orders") == 3, "what was answered by 304 is not printed again"


@pytest.mark.usefixtures("columns")
def test_on_a_terminal_a_picture_takes_the_place_of_the_one_before(rounds: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    rounds += [(board(), '"1"'), None]
    assert top.top() == 0
    sent = terminal.sent.getvalue().decode()
    assert sent.startswith("\x1b[?1049h\x1b[?25l\x1b[H")
    assert sent.endswith("\x1b[J\x1b[?25h\x1b[?1049l")
    assert sent.count("\x1b[H") == 2
    assert max(part.count("\n") for part in sent.split("\x1b[H")) <= 23


def test_once_says_that_no_stack_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name in ("API_URL", "TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATA_DIR", os.fspath(tmp_path / "none"))
    monkeypatch.setenv("ONCE", "1")
    assert top.top() == 1
    assert capsys.readouterr().err.startswith("make top: no stack runs on ")


def test_without_a_usable_address_there_is_nothing_to_try_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("API_URL", "ftp://example")
    monkeypatch.delenv("ONCE", raising=False)
    assert top.top() == 1
    assert capsys.readouterr().err.startswith("make top: API_URL must begin with http")
