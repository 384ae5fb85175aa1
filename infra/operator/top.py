"""`make top`: the board in a terminal, over HTTP, drawn anew whenever it has changed."""

import contextlib
import math
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Any

from infra.console import Grid, Picture, Styled, complain, screen, show, terminal_width
from infra.operator.api import ApiError, RefusedError, operator_api
from infra.stack.running import NotRunningError

PATH = "/api/board"
INTERVAL_SECONDS = 2.0
LEVELS = "▁▂▃▄▅▆▇█"
MINUTE, MINUTES = timedelta(minutes=1), 60
# What is beside a line of the last hour: its name, its newest number, and the space between.
BESIDE = 28
LINES = {
    "ordersCreated": "orders created",
    "ordersCompleted": "orders completed",
    "ordersCancelled": "orders cancelled",
    "sagasEnded": "sagas ended",
    "stepsEnded": "steps ended",
    "stepP50Ms": "step p50, ms",
    "stepP99Ms": "step p99, ms",
    "outboxAgeSeconds": "outbox age, s",
    "deadLetters": "dead letters",
    "violations": "violations",
}
Json = Mapping[str, Any]
Cell = str | Styled


@dataclass(frozen=True)
class Seen:
    """The board as it was last answered, and what keeps it from being asked for now."""

    url: str = ""
    board: Json = field(default_factory=dict)
    etag: str = ""
    trouble: str = ""


def top() -> int:
    """Show the board until Ctrl-C, or once with ONCE; return the exit code. While nobody answers, it says so and goes on trying."""
    try:
        with contextlib.suppress(NotRunningError):
            operator_api()
    except ApiError as error:
        complain(f"make top: {error}")
        return 1
    if os.environ.get("ONCE", "").strip() in ("", "0"):
        return _follow()
    seen = look(Seen())
    if seen.trouble:
        complain(f"make top: {seen.trouble}")
        return 1
    show(picture(seen, terminal_width()))
    return 0


def _follow() -> int:
    # A terminal is given back as it was, however this ends.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    seen = Seen()
    with contextlib.suppress(KeyboardInterrupt), screen() as draw:
        while True:
            seen = look(seen)
            draw(picture(seen, terminal_width()))
            time.sleep(INTERVAL_SECONDS)
    return 0


def look(seen: Seen) -> Seen:
    """What is seen now; a stack that was started anew may be at another address."""
    try:
        api = operator_api()
        found = api.newer(PATH, seen.etag if api.url == seen.url else "")
    except (NotRunningError, ApiError, RefusedError) as error:
        return replace(seen, trouble=str(error))
    return Seen(api.url, *found) if found else replace(seen, trouble="")


def picture(seen: Seen, width: int) -> Picture:
    """The board as tables, no wider than `width`; with what is the trouble above it, if there is any."""
    trouble = [_line(Styled("no connection", "bad"), f"{seen.trouble}; trying again")] if seen.trouble else []
    if not seen.board:
        return trouble
    board, blank = seen.board, _line("")
    newest = board["minutes"][-1]["at"][:16].replace("T", " ") if board["minutes"] else ""
    over = f"up to {newest} UTC" if newest else "has no minute yet: the first comes within two"
    return [
        _line(Styled("CampusG orders", "title"), seen.url, f"version {board['version']}"),
        *trouble,
        (_orders(board), _sagas(board)),
        blank,
        (Grid([_ended(board), _outbox(board), _dead_letters(board), _invariants(board)]),),
        blank,
        _line(Styled("the last hour", "title"), over),
        *([(_hour(board["minutes"], width - BESIDE),)] if newest else []),
    ]


def sparkline(values: Sequence[float | None], most: int) -> str:
    """The newest values as a line of blocks, as high as they are beside the highest; one that is absent is a gap."""
    shown = values[-most:]
    highest = max((value for value in shown if value is not None), default=0) or 1
    return "".join(" " if value is None else LEVELS[math.ceil(value / highest * (len(LEVELS) - 1))] for value in shown)


def _line(*cells: Cell) -> tuple[Grid]:
    return (Grid([cells]),)


def _orders(board: Json) -> Grid:
    """In two columns, so that all of the board has room on a terminal of 24 lines."""
    cells = [_quiet(each["status"], _number(each), each["number"]) for each in board["orders"]]
    half = (len(cells) + 1) // 2
    rows = [(*left, *right) for left, right in zip_longest(cells[:half], cells[half:], fillvalue=("", ""))]
    return Grid([(Styled("orders under way", "title"),), *rows])


def _sagas(board: Json) -> Grid:
    rows: list[Sequence[Cell]] = [
        (each["name"], Styled(each["status"], "bad" if each["status"] == "FAILED" else "under way"), _number(each))
        for each in board["sagas"]
    ]
    return Grid([(Styled("sagas under way", "title"),), *(rows or [("none",)])])


def _ended(board: Json) -> Sequence[Cell]:
    return "ended within 24 h", ", ".join(f"{each['status']} {each['number']}" for each in board["ended"])


def _outbox(board: Json) -> Sequence[Cell]:
    outbox = board["outbox"]
    return "outbox", f"{_number(outbox, 'waiting')} wait, the oldest since {outbox['oldestAt']}" if outbox["waiting"] else "nothing waits"


def _dead_letters(board: Json) -> Sequence[Cell]:
    letters = board["deadLetters"]
    if not letters["waiting"]:
        return "dead letters", "none waits"
    by_error = ", ".join(f"{each['errorClass']} {each['number']}" for each in letters["byError"])
    return "dead letters", Styled(f"{_number(letters, 'waiting')} wait: {by_error}", "bad")


def _invariants(board: Json) -> Sequence[Cell]:
    found, at = board["invariants"]["violations"], board["invariants"]["at"]
    if found is None:
        return "invariants", "not asked yet"
    return "invariants", Styled(f"{found} violations at {at}: `make audit`", "bad") if found else Styled(f"no violations at {at}", "good")


def _hour(minutes: Sequence[Json], most: int) -> Grid:
    """A row for each of LINES; a minute without a sample is a gap."""
    by_time = {datetime.fromisoformat(minute["at"]): minute for minute in minutes}
    newest = max(by_time)
    slots = [by_time.get(newest - number * MINUTE, {}) for number in reversed(range(MINUTES))]
    rows = []
    for name, title in LINES.items():
        number = slots[-1][name]
        rows.append((title, sparkline([slot.get(name) for slot in slots], most), "-" if number is None else f"{number:g}"))
    return Grid(rows)


def _quiet(name: str, text: str, number: int) -> Sequence[Cell]:
    return (name, text) if number else (Styled(name, "time"), Styled(text, "time"))


def _number(counted: Json, name: str = "number") -> str:
    return f"{counted[name]}{'+' if counted['atLeast'] else ''}"
