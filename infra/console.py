"""The one door to a person's terminal: whatever a command of ours shows goes through it, as lines, or as tables that are drawn anew."""

import asyncio
import contextlib
import io
import os
import shutil
import sys
import time
import traceback
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TextIO, TypeAlias

PROGRESS_SECONDS = 2.0
# Codes of ECMA-48, select graphic rendition.
STYLES = {"time": "2", "good": "32", "bad": "31", "under way": "36", "title": "1"}
# The same by rich's names.
RICH = {"time": "dim", "good": "green", "bad": "red", "under way": "cyan", "title": "bold"}
# ECMA-48 again, and xterm's other screen: it is opened without a cursor, a picture begins at its top left, each line and the last clear
# what stood behind them, and what was there before comes back at the end.
OPENED, HOME, LINE_ENDS, ALL_ENDS, CLOSED = "\x1b[?1049h\x1b[?25l", "\x1b[H", "\x1b[K", "\x1b[J", "\x1b[?25h\x1b[?1049l"
# Printable to Python and drawn as nothing: Unicode's Default_Ignorable_Code_Point without what is a control or format character anyway.
IGNORABLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0") | frozenset(
    chr(code) for code in (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))
)


@dataclass(frozen=True)
class Styled:
    """A part of a line in one of STYLES, on terminals that show colours."""

    text: str
    style: str


Line: TypeAlias = "str | Sequence[str | Styled]"


@dataclass(frozen=True)
class Grid:
    """Rows of cells, one line each, in columns as wide as they need; what doesn't fit is cut off."""

    rows: Sequence[Sequence["str | Styled"]]


# From top to bottom; in each place tables side by side.
Picture: TypeAlias = Sequence[Sequence[Grid]]


def say(*lines: Line) -> None:
    """Print lines at once, without spaces at their ends; a reader that has gone away doesn't stop the stack.

    Foreign text in them can't steer the terminal: see `visible`.
    """
    _print(lines, sys.stdout)


def show(picture: Picture) -> None:
    """Print a picture as wide as the terminal; foreign text in it is shown as `say` shows it, and is no markup."""
    _write("\n".join([*_pictured(picture, sys.stdout), ""]), sys.stdout)


@contextmanager
def screen() -> Iterator[Callable[[Picture], None]]:
    """While the block runs, each picture takes the place of the one before; where stdout is no terminal, those that differ are printed."""
    if sys.stdout.isatty():
        _write(OPENED, sys.stdout)
        try:
            yield _draw
        finally:
            _write(CLOSED, sys.stdout)
        return
    last: Picture = ()

    def follow(picture: Picture) -> None:
        nonlocal last
        if picture != last:
            show(picture)
        last = picture

    yield follow


def terminal_width() -> int:
    """How many characters fit into a line; 80 where nobody knows."""
    return shutil.get_terminal_size().columns


def complain(*lines: Line) -> None:
    """Print lines to stderr, as `say` does."""
    _print(lines, sys.stderr)


def hand_over(text: str) -> None:
    """Print to stdout, as it is, what another program reads (a token, export lines): never anything that others have worded."""
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.write(text)
        sys.stdout.flush()


def show_tracebacks() -> None:
    """Have an exception that ends this process shown through the same door: its message may hold anything."""
    sys.excepthook = lambda kind, error, where: complain(*"".join(traceback.format_exception(kind, error, where)).rstrip().split("\n"))


def plain(line: Line) -> str:
    """A line without its styles."""
    return line if isinstance(line, str) else "".join(part if isinstance(part, str) else part.text for part in line)


def visible(text: str) -> str:
    r"""Text with an escape such as \x1b or \u202e in place of each character that a terminal obeys or doesn't draw.

    These are control characters (C0 and C1, line breaks and tabulators among them), format characters (bidirectional controls,
    zero-width ones, tags), lone surrogates, private and unassigned characters, line and paragraph separators, all spaces but U+0020,
    and what Unicode lets a renderer ignore.
    """
    if text.isprintable() and IGNORABLE.isdisjoint(text):
        return text
    return "".join(each if each.isprintable() and each not in IGNORABLE else _escape(ord(each)) for each in text)


def _escape(code: int) -> str:
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _print(lines: Sequence[Line], stream: TextIO) -> None:
    colours = _has_colours(stream)
    _write("".join(f"{_drawn(line, colours=colours).rstrip(' ')}\n" for line in lines), stream)


def _has_colours(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR")


def _write(text: str, stream: TextIO) -> None:
    with contextlib.suppress(OSError, ValueError):
        # Where the terminal's encoding lacks a character, that one is escaped, too.
        encoding = stream.encoding or "utf-8"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()


def _draw(picture: Picture) -> None:
    """Draw over what is there, as many lines as there is room for."""
    lines = _pictured(picture, sys.stdout)[: shutil.get_terminal_size().lines - 1]
    _write("".join([HOME, *(f"{line}{LINE_ENDS}\n" for line in lines), ALL_ENDS]), sys.stdout)


def _pictured(picture: Picture, stream: TextIO) -> list[str]:
    """The lines of a picture, laid out by rich."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    def text(part: str | Styled) -> Text:
        return Text(visible(part), no_wrap=True) if isinstance(part, str) else Text(visible(part.text), RICH[part.style], no_wrap=True)

    def table(rows: Sequence[Sequence[str | Styled]]) -> Table:
        drawn = Table.grid(padding=(0, 2, 0, 0))
        for row in rows:
            drawn.add_row(*map(text, row))
        return drawn

    file = io.StringIO()
    colours = _has_colours(stream)
    console = Console(file=file, width=terminal_width(), force_terminal=colours, color_system="standard" if colours else None)
    for grids in picture:
        side_by_side = Table.grid(padding=(0, 2, 0, 0))
        side_by_side.add_row(*(table(grid.rows) for grid in grids))
        console.print(side_by_side)
    return [line.rstrip(" ") for line in file.getvalue().split("\n")[:-1]]


def _drawn(line: Line, *, colours: bool) -> str:
    if isinstance(line, str) or not colours:
        return visible(plain(line))
    return "".join(visible(part) if isinstance(part, str) else f"\x1b[{STYLES[part.style]}m{visible(part.text)}\x1b[0m" for part in line)


@asynccontextmanager
async def progress(what: str) -> AsyncIterator[None]:
    """Say what is being waited for whenever that takes another two seconds."""
    teller = asyncio.create_task(_tell(what))
    try:
        yield
    finally:
        teller.cancel()


async def _tell(what: str) -> None:
    begun = time.monotonic()
    while True:
        await asyncio.sleep(PROGRESS_SECONDS)
        say(f"  {what} … {time.monotonic() - begun:.0f} s")
