"""One server process of the stack: started, watched and ended by its pid."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LAUNCHER = Path(__file__).with_name("launch.py")
STOP_PATIENCE_SECONDS = 5.0


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


class ServerProcess:
    """A running server. Its output goes to the end of a log file; it has a session of its own, so the terminal's Ctrl-C misses it."""

    def __init__(self, command: ServerCommand, log: Path, pass_fds: Sequence[int] = ()) -> None:
        """Start the server; must be called in the main thread, for a server dies with the thread that started it."""
        self._command = command
        self._ready, announce = os.pipe()
        os.set_blocking(self._ready, False)
        try:
            with log.open("ab") as output:
                self._process = subprocess.Popen(
                    launcher_arguments(command),
                    env={**command.environment, "READY_FD": str(announce)},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=[*pass_fds, announce],
                )
        except BaseException:
            os.close(self._ready)
            raise
        finally:
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
        self._process.kill()

    def stop(self) -> None:
        """End it and wait for that: in good order if it can, by SIGKILL if it must."""
        for request in (self.ask_to_end, self.ask_to_die, self.kill):
            request()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_PATIENCE_SECONDS)
                break
        self.close()

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


def last_lines(log: Path, count: int = 15) -> str:
    """The last lines of a log file, to show why a server didn't start."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 64 * 1024))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join(lines[-count:])
