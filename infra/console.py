"""The one door to a person's terminal: whatever a command of ours shows goes through `say` or `complain`, as lines."""

import asyncio
import contextlib
import os
import sys
import time
import traceback
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TextIO, TypeAlias

PROGRESS_SECONDS = 2.0
# Codes of ECMA-48, select graphic rendition.
STYLES = {"time": "2", "good": "32", "bad": "31", "under way": "36", "title": "1"}
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


def say(*lines: Line) -> None:
    """Print lines at once, without spaces at their ends; a reader that has gone away doesn't stop the stack.

    Foreign text in them can't steer the terminal: see `visible`.
    """
    _print(lines, sys.stdout)


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
    colours = stream.isatty() and not os.environ.get("NO_COLOR")
    text = "".join(f"{_drawn(line, colours=colours).rstrip(' ')}\n" for line in lines)
    with contextlib.suppress(OSError, ValueError):
        # Where the terminal's encoding lacks a character, that one is escaped, too.
        encoding = stream.encoding or "utf-8"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()


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
