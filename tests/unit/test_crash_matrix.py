"""The crash matrix kills whom it means to, and says what is red."""

import os
import signal
from pathlib import Path

import pytest

from infra.console import plain
from tests.crash_matrix.__main__ import Matrix, main
from tests.crash_matrix.board import Board, Instant
from tests.crash_matrix.history import Outcome
from tests.crash_matrix.paths import PATHS
from tests.crash_matrix.ports import label_of
from tests.crash_matrix.table import reds, table
from tests.crash_matrix.walk import Walk

POINT = Instant("http", 1, "commit")


def act_as(folder: Path, component: str, *labels: str) -> int:
    """The wait status of a process that is this component and comes to these instants."""
    pid = os.fork()
    if pid == 0:
        board = Board(folder)
        board.become(component)
        for label in labels:
            board.instant(label)
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def outcome(point: Instant, *wrong: str) -> Outcome:
    return Outcome(PATHS[0], point, Walk(None, "cust_1"), list(wrong))  # type: ignore[arg-type]


def test_a_component_kills_itself_at_its_instant_and_only_there(tmp_path: Path) -> None:
    board = Board.empty(tmp_path)
    board.begin(POINT)

    assert os.WEXITSTATUS(act_as(tmp_path, "partners", "begin", "commit")) == 0
    assert not board.killed
    assert os.WTERMSIG(act_as(tmp_path, "http", "insert orders", "commit", "answer")) == signal.SIGKILL
    assert board.killed
    assert os.WEXITSTATUS(act_as(tmp_path, "http", "insert orders", "commit")) == 0
    assert [instant.name for instant in board.instants()] == ["partners:0", "partners:1", "http:0", "http:1", "http:2", "http:3"]


def test_what_belongs_to_no_path_is_not_counted(tmp_path: Path) -> None:
    board = Board.empty(tmp_path)
    board.begin(None)
    board.end()
    act_as(tmp_path, "http", "commit")
    assert board.instants() == []


def test_statements_are_named_by_their_verb_and_tables() -> None:
    assert label_of("SELECT 1 FROM campusg.orders o\n  JOIN campusg.sagas s ON true, campusg.orders") == "select orders sagas"
    assert label_of("commit") == "commit"


def test_the_table_counts_points_and_reds_say_how_to_walk_them_again() -> None:
    outcomes = [outcome(Instant("http", 0, "begin")), outcome(POINT, "the order is not there"), outcome(Instant("partners", 3, "x"))]

    head, create, everything = [plain(line).split() for line in table(outcomes)]

    assert create == ["create", "1/2", *"·" * 8, "1", "1/3", "1", "red"]
    assert (head[1], everything[0]) == ("http", "all")
    assert [plain(line) for line in reds(outcomes)] == [
        "make crash-matrix ONLY=create POINT=http:1  killed before: commit",
        "    the order is not there",
    ]


@pytest.mark.parametrize(("number", "wrong", "green"), [(1, [], True), (1, ["lost"], False), (2, [], False), (0, [], False)])
def test_only_a_whole_matrix_without_a_fault_is_green(number: int, wrong: list[str], green: bool) -> None:
    matrix = Matrix([], [])
    matrix.number = number
    matrix.outcomes = [outcome(POINT, *wrong)] if number else []
    assert matrix.is_green is green


def test_a_path_that_is_not_known_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("ONLY", "create nowhere")
    assert main() == 2
    assert "not nowhere" in capsys.readouterr().err
