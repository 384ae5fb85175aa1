"""The process that forks the parts: each is the same as one that was started."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from infra.esm.forks import ForkServer
from infra.stack.logfile import LogFile
from infra.stack.process import ServerCommand, ServerProcess
from tests.support.eventually import eventually

ROOT = Path(__file__).resolve().parents[2]
PART = """
import os, sys, time
from infra.stack.ready import announce

def main():
    print("{said}", os.environ["COLOUR"], os.environ.get("HOME"), flush=True)
    announce()
    time.sleep(60) if os.environ["COLOUR"] == "red" else sys.exit("no such colour")

if __name__ == "__main__":
    main()
"""
PRELOAD = """
import sys
from pathlib import Path
from infra.stack import preload
preload.ROOT = Path(sys.argv[-1])
preload.PARTS = {"some_part": "some_part"}
preload.MORE = ()
preload.main()
"""

Fork = Callable[..., ServerProcess]


@pytest.fixture
def fork(tmp_path: Path) -> Iterator[Fork]:
    """Has a part forked that prints its colour and stays if that is red; it writes to `tmp_path/log`."""
    (tmp_path / "some_part.py").write_text(textwrap.dedent(PART.format(said="first")))
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    ours, theirs = socket.socketpair()
    ready, announce = os.pipe()
    arguments = [sys.executable, "-c", PRELOAD, f"--connection={theirs.fileno()}", str(tmp_path)]
    variables = {"PYTHONPATH": path, "READY_FD": str(announce)}
    with (
        subprocess.Popen(arguments, pass_fds=[theirs.fileno(), announce], env=variables),
        closing(ForkServer(ours)) as server,
    ):
        theirs.close()
        os.close(announce)
        assert os.read(ready, 64)
        os.close(ready)

        def forked(colour: str) -> ServerProcess:
            environment = {"PYTHONPATH": path, "COLOUR": colour}
            command = ServerCommand([sys.executable, "-m", "some_part"], environment)

            def launch(_: ServerCommand, output: int, announce: int) -> object:
                return server.fork({"arguments": command.arguments, "environment": environment}, [output, announce])

            return ServerProcess(command, LogFile(tmp_path / "log"), launch)  # type: ignore[arg-type]

        yield forked


def test_a_forked_part_has_its_own_environment_announces_itself_and_is_ended_by_its_pid(fork: Fork, tmp_path: Path) -> None:
    part = fork("red")

    eventually(part.has_announced)
    assert part.exit_code is None
    assert "some_part" in Path(f"/proc/{part.pid}/comm").read_text()
    os.kill(part.pid, signal.SIGKILL)
    eventually(lambda: part.exit_code == -signal.SIGKILL)
    part.stop()
    assert (tmp_path / "log").read_text() == "first red None\n"


def test_what_ends_a_forked_part_is_its_exit_code_and_in_its_log(fork: Fork, tmp_path: Path) -> None:
    part = fork("green")

    eventually(lambda: part.exit_code == 1)
    part.stop()
    assert (tmp_path / "log").read_text() == "first green None\nno such colour\n"


def test_code_that_was_changed_since_is_imported_anew(fork: Fork, tmp_path: Path) -> None:
    fork("green").stop()
    (tmp_path / "some_part.py").write_text(textwrap.dedent(PART.format(said="second")))

    part = fork("red")

    eventually(part.has_announced)
    part.stop()
    assert (tmp_path / "log").read_text().splitlines()[-1] == "second red None"
