"""One server process of the stack: started, watched and ended by its pid."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias

from infra.stack.logfile import LogFile

LAUNCHER = Path(__file__).with_name("launch.py")
STOP_PATIENCE_SECONDS = 5.0
LOG_PATIENCE_SECONDS = 0.5


class ServerError(Exception):
    """A server of the stack can't be prepared, started or used."""


@dataclass(frozen=True)
class ServerCommand:
    """How a server is started and how it is asked to end.

    `stop_signal` ends it in good order, `death_signal` reaches it when this process dies, `identity` is launch.py's.
    """

    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    identity: str | None = None
    directory: Path | None = None


class Process(Protocol):
    """What `subprocess.Popen` and its likes can do."""

    @property
    def pid(self) -> int:
        """The process id."""
        ...

    def poll(self) -> int | None:
        """The exit code, or None while it runs; negative: minus the signal that ended it."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return the exit code; raises subprocess.TimeoutExpired."""
        ...

    def send_signal(self, number: int, /) -> None:
        """Send a signal unless it has ended."""
        ...


Launch: TypeAlias = Callable[[ServerCommand, int, int], Process]
"""Starts a command, given the descriptors of its output and of what becomes READY_FD."""


def launcher(pass_fds: Sequence[int] = ()) -> Launch:
    """Starts commands by launch.py; they inherit `pass_fds`.

    Must be called in the main thread, for a server dies with the thread that started it.
    """

    def launch(command: ServerCommand, output: int, announce: int) -> Process:
        return subprocess.Popen(
            launcher_arguments(command),
            env={**command.environment, "READY_FD": str(announce)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[*pass_fds, announce],
        )

    return launch


class ServerProcess:
    """A running server. Its output goes to a log; it has a session of its own, so the terminal's Ctrl-C misses it."""

    def __init__(self, command: ServerCommand, log: LogFile, launch: Launch | None = None) -> None:
        """Start the server, by launch.py or by `launch`."""
        self._command = command
        self._log = log
        self._ready, announce = os.pipe()
        os.set_blocking(self._ready, False)
        output = log.open()
        try:
            self._process = (launch or launcher())(command, output, announce)
        except BaseException:
            os.close(self._ready)
            raise
        finally:
            os.close(output)
            os.close(announce)

    @property
    def pid(self) -> int:
        """The server's own pid."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: minus the signal that ended it."""
        return self._process.poll()

    def has_announced(self) -> bool:
        """Whether it has written to READY_FD since the last call."""
        try:
            return os.read(self._ready, 64) != b""
        except BlockingIOError:
            return False

    def ask_to_end(self) -> None:
        """Send the signal for an end in good order."""
        self._process.send_signal(self._command.stop_signal)

    def ask_to_die(self) -> None:
        """Send the signal that it gets when its parent dies."""
        self._process.send_signal(self._command.death_signal)

    def kill(self) -> None:
        """Send SIGKILL."""
        self._process.send_signal(signal.SIGKILL)

    def stop(self) -> None:
        """End it and wait for that: in good order if it can, by SIGKILL if it must."""
        for request in (self.ask_to_end, self.ask_to_die, self.kill):
            request()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_PATIENCE_SECONDS)
                break
        self.close()
        self._log.settle(LOG_PATIENCE_SECONDS)

    def close(self) -> None:
        """Forget a server that has ended."""
        with contextlib.suppress(OSError):
            os.close(self._ready)


def launcher_arguments(command: ServerCommand) -> list[str]:
    # -I -S: the launcher needs nothing installed, and starts in a fraction of the time.
    arguments = [sys.executable, "-I", "-S", str(LAUNCHER), f"--parent={os.getpid()}", f"--death-signal={command.death_signal.name}"]
    if command.identity is not None:
        arguments.append(f"--identity={command.identity}")
    if command.directory is not None:
        arguments.append(f"--directory={command.directory}")
    return [*arguments, "--", *command.arguments]


def last_lines(log: LogFile, count: int = 15) -> str:
    """The last lines of a log, to show why a server didn't start; waits a moment for what a server that has ended has written."""
    log.settle(LOG_PATIENCE_SECONDS)
    try:
        with log.path.open("rb") as file:
            file.seek(max(0, log.path.stat().st_size - 64 * 1024))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join(lines[-count:])
