"""The door to a person's terminal: no foreign text steers it, and nothing of infra goes around it."""

import ast
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chalicelib.observability import logger
from infra import console
from infra.console import Grid, Styled, complain, say, show, show_tracebacks, visible
from infra.partners.__main__ import JsonLines
from tests.support.stack import ROOT
from tests.support.steering import STEERING

# Servers write log files, and what a command shows of those goes through the door. The others run where nothing can be imported.
SERVERS = ("infra/gateway/", "infra/esm/", "infra/partners/", "infra/stack/triggers.py")
OTHERS = (*SERVERS, "infra/stack/launch.py", "infra/stack/bootstrap.py", "infra/aws/check/checkers.py")
DIRECT = {"print", "sys.stdout", "sys.stderr", "sys.__stdout__", "sys.__stderr__", "traceback.print_exc"}


class Terminal(io.TextIOWrapper):
    """A terminal with colours, and what was sent to it."""

    def __init__(self, encoding: str = "utf-8") -> None:
        self.sent = io.BytesIO()
        super().__init__(self.sent, encoding=encoding)

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("character", STEERING, ids=lambda character: f"U+{ord(character):04X}")
def test_a_character_that_steers_or_hides_is_shown_as_an_escape(character: str) -> None:
    shown = visible(f"a{character}b")
    assert shown[0] + shown[-1] == "ab"
    assert shown[1:-1].isascii() and shown[1] == "\\"
    assert ast.literal_eval(f"'{shown}'") == f"a{character}b"


def test_what_people_write_is_left_alone() -> None:
    for text in ("Café, 海南雞飯 × 2 … \u0bae\u0bbf", "ห้อง 5", "👍🏽 #1", r"C:\x1b"):
        assert visible(text) == text


def test_a_line_stays_one_line_whatever_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    say("reason: x\nno violations", "\ud800 next  ", "")
    complain("y\r\u2028z")
    assert capsys.readouterr() == ("reason: x\\x0ano violations\n\\ud800 next\n\n", "y\\x0d\\u2028z\n")


def test_only_our_own_styles_reach_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    say(("\x1b[31m", Styled("bad\x1b[0m", "bad"), "!"), "\x1b[31m")
    assert terminal.sent.getvalue().decode() == "\\x1b[31m\x1b[31mbad\\x1b[0m\x1b[0m!\n\\x1b[31m\n"
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    say((Styled("bad", "bad"), "!"))
    assert terminal.sent.getvalue() == b"bad!\n"


@pytest.mark.parametrize("text", ["\x1b]0;x\x07", "a\nb", "\u202eb", "[red]b[/]", "[link=http://x]b[/link]", ":warning:"])
def test_what_stands_in_a_table_neither_steers_nor_styles(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    show([(Grid([(text, Styled(text, "bad")), ("x", "y")]), Grid([(text,)]))])
    lines = terminal.sent.getvalue().decode().split("\n")
    assert (len(lines), lines[2]) == (3, "")
    assert lines[0].replace("\x1b[31m", "", 1).replace("\x1b[0m", "", 1).split("  ") == [visible(text)] * 3


def test_a_table_that_is_too_wide_is_cut_off(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    show([(Grid([("name", "x" * 100)]),)])
    assert capsys.readouterr().out == f"name  {'x' * 13}…\n"


def test_a_table_without_colours_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys, "stdout", terminal := Terminal())
    show([(Grid([(Styled("bad", "bad"), "x")]),)])
    assert terminal.sent.getvalue() == b"bad  x\n"


def test_a_terminal_that_lacks_a_character_gets_its_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", terminal := Terminal("latin-1"))
    say("Café …")
    assert terminal.sent.getvalue() == b"Caf\xe9 \\u2026\n"


def test_the_traceback_of_a_command_that_fails_goes_through_the_door(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    show_tracebacks()
    sys.excepthook(ValueError, ValueError("\x1b]0;x\x07"), None)
    assert capsys.readouterr().err == "ValueError: \\x1b]0;x\\x07\n"


def test_log_lines_are_ascii() -> None:
    record = logger.makeRecord("x", 20, "x.py", 1, "A sentence", (), None, extra={"detail": "".join(STEERING)})
    for line in (logger.registered_formatter.format(record), JsonLines().format(record)):
        assert line.isascii()
        assert "\x1b" not in line
        assert json.loads(line)["detail"] == "".join(STEERING)


def around(source: str) -> Iterator[str]:
    """What in the source reaches a terminal by itself."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Name, ast.Attribute)) and ast.unparse(node) in DIRECT:
            yield ast.unparse(node)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "sys.exit" and isinstance(node.args[0], (ast.JoinedStr, ast.Constant)):
            yield ast.unparse(node)


def test_no_command_goes_around_the_door() -> None:
    found = {
        name: list(around(path.read_text()))
        for path in sorted((ROOT / "infra").rglob("*.py"))
        if not (name := str(path.relative_to(ROOT))).startswith(OTHERS) and path != Path(console.__file__)
    }
    assert len(found) > 30
    assert {name: ways for name, ways in found.items() if ways} == {}
    assert set(around("print(1); sys.stderr.write(''); sys.exit(f'{x}')")) == {"print", "sys.stderr", "sys.exit(f'{x}')"}
