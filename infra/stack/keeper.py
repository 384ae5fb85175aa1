"""Starts the servers of one stack, keeps each of them running, and ends them in order."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from pathlib import Path

from infra.console import progress
from infra.stack.logfile import LogFile
from infra.stack.process import Launch, Process, ServerCommand, launcher
from infra.stack.supervisor import Part, PartSpec

ROOT = Path(__file__).resolve().parents[2]
# What a part must not take from the shell `make run` was called in: it would be another port, another issuer of tokens, another database,
# or "on AWS".
NOT_INHERITED = frozenset(
    {
        *("HTTP_HOST", "HTTP_PORT", "PARTNERS", "READY_FD", "JWKS_URL", "JWT_ISSUER", "JWT_AUDIENCE", "KAFKA_SECURITY"),
        *("DATABASE_HOST", "DATABASE_USER", "DATABASE_SECRET_ARN", "AWS_LAMBDA_FUNCTION_NAME"),
    }
)


class Keeper:
    """All methods are for one event loop, in the main thread."""

    def __init__(self, logs: Path, parts_lock: int, hurry: asyncio.Event) -> None:
        """Nothing is started yet; the folder of the logs must exist. When `hurry` is set, no part's end is waited for."""
        self._logs = logs
        self._launch = launcher([parts_lock])
        self._hurry = hurry
        self._keeping: list[asyncio.Task[None]] = []

    def launch(self, command: ServerCommand, output: int, announce: int) -> Process:
        """Start a command by launch.py; a `Launch`."""
        return self._launch(command, output, announce)

    def part(
        self,
        name: str,
        command: Callable[[], ServerCommand],
        *,
        launch: Launch | None = None,
        is_ready: Callable[[], bool] | None = None,
        after_start: Callable[[], None] | None = None,
        stop_patience: float = 2.0,
    ) -> Part:
        """A server with a log of its name; not started yet."""
        log = LogFile(self._logs / f"{name}.log")
        return Part(PartSpec(name, command, log, launch or self._launch, is_ready, after_start, stop_patience), self._hurry)

    async def start(self, part: Part, back: Callable[[Part], Awaitable[None]]) -> None:
        """Start a part, and start it again whenever it ends: `back` is awaited then. Raises ServerError."""
        await part.start()
        self._keeping.append(asyncio.create_task(part.keep_running(back)))

    async def failed(self) -> None:
        """Wait for ever; raise what no restart can mend, should it happen."""
        await asyncio.gather(*self._keeping)

    async def let_go(self) -> None:
        """Start no part again."""
        for task in self._keeping:
            task.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)

    async def end(self, parts: Iterable[Part | None]) -> None:
        """End these parts one after the other; those that were never started are passed over."""
        for part in parts:
            if part is not None and part.pid is not None:
                async with progress(f"ending {part.name}"):
                    await part.stop()


def module_command(module: str, variables: Mapping[str, str]) -> ServerCommand:
    """How a module of this project is started as a part, with these variables."""
    inherited = {key: value for key, value in os.environ.items() if key not in NOT_INHERITED}
    return ServerCommand(
        arguments=[sys.executable, "-m", module],
        environment={**inherited, **variables, "PYTHONUNBUFFERED": "1"},
        directory=ROOT,
    )


async def all_of(*works: Coroutine[None, None, None]) -> None:
    """Do all at once; the first error cancels the others before it is raised."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
