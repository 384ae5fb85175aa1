"""Keeps servers running: starts each, waits until it is at work, starts it again when it dies, and ends it in good order."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from infra.console import progress, say
from infra.stack.logfile import LogFile
from infra.stack.process import Launch, ServerCommand, ServerError, ServerProcess, last_lines
from infra.stack.threads import in_thread

LOOK_SECONDS = 0.02
# How often a server at work is looked at: six of them each 20 ms would take 1.4 % of a core for nothing.
WATCH_SECONDS = 0.1
START_PATIENCE_SECONDS = 30.0
DEATH_PATIENCE_SECONDS = 1.0
SHORT_LIFE_SECONDS = 1.0
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 1.0


class PartError(ServerError):
    """A part of the stack doesn't start; the message has the end of its log."""


@dataclass(frozen=True)
class PartSpec:
    """One server of the stack.

    `launch` starts the command. `is_ready` may block for a moment; where it is None the server announces itself (ready.py). `after_start`
    is run, in a thread, each time the server has become ready, and belongs to its start. `stop_patience` in seconds.
    """

    name: str
    command: Callable[[], ServerCommand]
    log: LogFile
    launch: Launch
    is_ready: Callable[[], bool] | None = None
    after_start: Callable[[], None] | None = None
    stop_patience: float = 2.0


class Part:
    """A server that is kept running. All methods are for one event loop, in the main thread."""

    def __init__(self, spec: PartSpec, hurry: asyncio.Event) -> None:
        """Nothing is started yet. When `hurry` is set, the server's end is no longer waited for."""
        self.name = spec.name
        self._spec = spec
        self._hurry = hurry
        self._process: ServerProcess | None = None
        self._started_at = 0.0
        self.at_work = False

    @property
    def pid(self) -> int | None:
        """The pid of the server, None if none was started."""
        return None if self._process is None else self._process.pid

    async def start(self, patience: float | None = START_PATIENCE_SECONDS) -> None:
        """Start the server and return when it is at work.

        Raises PartError if it ends before that, or isn't there after `patience` seconds (None: waits as long as it lives), and whatever
        ServerError `after_start` raises.
        """
        process = self._spawn()
        deadline = None if patience is None else time.monotonic() + patience
        async with progress(f"starting {self.name}"):
            while not await self._is_ready(process):
                if process.exit_code is not None:
                    raise PartError(self._failure(f"ended while starting ({_ending(process.exit_code)})"))
                if deadline is not None and time.monotonic() > deadline:
                    raise PartError(self._failure(f"was not ready after {patience:.0f} s"))
                await asyncio.sleep(LOOK_SECONDS)
            if self._spec.after_start is not None:
                await in_thread(self._spec.after_start)
        self.at_work = True

    async def keep_running(self, back: Callable[["Part"], Awaitable[None]]) -> None:
        """Start the server again whenever it ends, for ever; `back` is awaited each time it is at work again."""
        pause = 0.0
        while True:
            code = await self._ended()
            short_lived = time.monotonic() - self._started_at < SHORT_LIFE_SECONDS
            pause = min(max(FIRST_PAUSE_SECONDS, pause * 2), LONGEST_PAUSE_SECONDS) if short_lived else 0.0
            say(f"{self.name} ended ({_ending(code)}); it is started again")
            await asyncio.sleep(pause)
            try:
                await self.start(patience=None)
            except ServerError as error:
                say(*str(error).split("\n"))
                await self.stop()
                continue
            say(f"{self.name} is back, pid {self.pid}")
            await back(self)

    async def stop(self, patience: float | None = None) -> None:
        """End the server; if `keep_running` is at work, that starts it anew.

        In good order, after `patience` seconds (None: the part's own) or in a hurry by the signal that ends it at once, at last by SIGKILL.
        """
        self.at_work = False
        process = self._process
        if process is None:
            return
        if not self._hurry.is_set():
            process.ask_to_end()
            await self._wait(process, self._spec.stop_patience if patience is None else patience, give_up=self._hurry)
        if process.exit_code is None:
            process.ask_to_die()
            await self._wait(process, DEATH_PATIENCE_SECONDS)
        if process.exit_code is None:
            process.kill()
            await self._wait(process, DEATH_PATIENCE_SECONDS)

    def _spawn(self) -> ServerProcess:
        if self._process is not None:
            self._process.close()
        self.at_work = False
        self._started_at = time.monotonic()
        self._process = ServerProcess(self._spec.command(), self._spec.log, self._spec.launch)
        return self._process

    async def _is_ready(self, process: ServerProcess) -> bool:
        if self._spec.is_ready is None:
            return process.has_announced()
        return await in_thread(self._spec.is_ready)

    async def _ended(self) -> int:
        while self._process is None or self._process.exit_code is None:
            await asyncio.sleep(WATCH_SECONDS)
        self.at_work = False
        return self._process.exit_code

    async def _wait(self, process: ServerProcess, patience: float, give_up: asyncio.Event | None = None) -> None:
        deadline = time.monotonic() + patience
        while process.exit_code is None and time.monotonic() < deadline and not (give_up and give_up.is_set()):
            await asyncio.sleep(LOOK_SECONDS)

    def _failure(self, what: str) -> str:
        return f"{self.name} {what}; the end of {self._spec.log.path}:\n{last_lines(self._spec.log)}"


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"
