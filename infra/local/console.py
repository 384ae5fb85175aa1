"""What the stack tells the person at the terminal."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

SILENCE_SECONDS = 2.0


def say(text: str = "") -> None:
    """Print a line at once; a reader that has gone away doesn't stop the stack."""
    with contextlib.suppress(OSError, ValueError):
        print(text, flush=True)


def complain(text: str) -> None:
    """Print a line to stderr."""
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)


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
        await asyncio.sleep(SILENCE_SECONDS)
        say(f"  {what} … {time.monotonic() - begun:.0f} s")
