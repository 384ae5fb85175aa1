"""The life of a supervisor: the lock on its DATA_DIR, its stack from start to end, and the signals that end it."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

from chalicelib.errors import SettingsError
from infra.console import say
from infra.stack.files import make_private_folder
from infra.stack.process import ServerError
from infra.stack.runfile import StackLock, StackLockedError, stack_lock, withdraw

REMAINS_PATIENCE_SECONDS = 10.0
EXPECTED_ERRORS = (SettingsError, StackLockedError, ServerError)


class Hosted(Protocol):
    """What is hosted: a stack of servers."""

    async def start(self) -> None:
        """Start all of it, and return when it is at work; raises one of EXPECTED_ERRORS."""
        ...

    async def stop(self) -> None:
        """End what was started."""
        ...

    async def failed(self) -> None:
        """Wait for ever; raise what no restart can mend."""
        ...


H = TypeVar("H", bound=Hosted)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[StackLock]:
    """Hold the lock on a DATA_DIR, which is made if it is missing; raises StackLockedError, or SettingsError where it can't be had."""
    with contextlib.ExitStack() as held:
        try:
            make_private_folder(folder)
            lock = held.enter_context(stack_lock(folder))
        except OSError as error:
            raise SettingsError(f"DATA_DIR {folder}: {error.strerror}") from error
        yield lock


async def host(
    lock: StackLock, check: Callable[[], Coroutine[None, None, None]], make: Callable[[int, asyncio.Event], H], welcome: Callable[[H], None]
) -> int:
    """Run a stack until SIGINT, SIGTERM or SIGHUP; a second one sets the event that `make` is given. Returns the exit code.

    `check` comes before anything is started, `make` is given the lock for the parts, `welcome` the stack at work. Raises one of
    EXPECTED_ERRORS.
    """
    stopping, hurry = asyncio.Event(), asyncio.Event()
    _listen_for_signals(stopping, hurry)
    await _until(stopping, check())
    if stopping.is_set():
        return 0
    stack = make(_prepare(lock), hurry)
    try:
        await _until(stopping, _live(stack, welcome))
    finally:
        say("ending the stack")
        await stack.stop()
        say("all parts have ended")
    return 0


def _prepare(lock: StackLock) -> int:
    parts_lock = lock.lock_parts(REMAINS_PATIENCE_SECONDS)
    # Left behind by a supervisor that was killed.
    withdraw(lock.data_dir)
    logs = lock.data_dir / "logs"
    make_private_folder(logs)
    for log in logs.glob("*.log"):
        log.replace(log.with_suffix(".log.1"))
    say(f"starting the stack of {lock.data_dir}; the output of each part goes to {logs}")
    return parts_lock


async def _live(stack: H, welcome: Callable[[H], None]) -> None:
    await stack.start()
    welcome(stack)
    await stack.failed()


async def _until(event: asyncio.Event, work: Coroutine[None, None, None]) -> None:
    """Do the work until the event is set; what the work raises goes on to the caller."""
    working, waiting = asyncio.create_task(work), asyncio.create_task(event.wait())
    await asyncio.wait((working, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not working.done():
        working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working


def _listen_for_signals(stopping: asyncio.Event, hurry: asyncio.Event) -> None:
    def heard() -> None:
        if stopping.is_set():
            hurry.set()
        stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, heard)
