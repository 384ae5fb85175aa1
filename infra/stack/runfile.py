"""What a running stack leaves in DATA_DIR for others: the lock that keeps a second one out, run.json, and the variables of its children."""

import fcntl
import json
import os
import shlex
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.stack.files import write_atomically

RUN_FILE = "run.json"
VARIABLES_FILE = "stack.env"
LOCK_FILE = "stack.lock"
PARTS_LOCK_FILE = "parts.lock"


class StackLockedError(Exception):
    """Another stack has this DATA_DIR; the message names the folder and the pid."""


@dataclass(frozen=True)
class RunInfo:
    """Where each part of a running stack is; a pid is None for a part that this stack didn't start."""

    http_url: str
    http_pid: int
    triggers_pid: int
    partners_pid: int | None
    kafka_bootstrap: str
    kafka_pid: int | None
    postgres_url: str
    postgres_pid: int | None

    def to_json(self) -> bytes:
        """The content of run.json."""
        content = {
            "http": {"url": self.http_url, "pid": self.http_pid},
            "triggers": {"pid": self.triggers_pid},
            "partners": None if self.partners_pid is None else {"pid": self.partners_pid},
            "kafka": {"bootstrap": self.kafka_bootstrap, "pid": self.kafka_pid},
            "postgres": {"url": self.postgres_url, "pid": self.postgres_pid},
        }
        return json.dumps(content, indent=2).encode() + b"\n"


def publish(data_dir: Path, info: RunInfo, variables: Mapping[str, str]) -> None:
    """Tell others where the stack is; run.json comes last."""
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()]
    write_atomically(data_dir / VARIABLES_FILE, "".join(lines).encode())
    write_atomically(data_dir / RUN_FILE, info.to_json())


def withdraw(data_dir: Path) -> None:
    """Remove what `publish` wrote, if there is any."""
    (data_dir / RUN_FILE).unlink(missing_ok=True)
    (data_dir / VARIABLES_FILE).unlink(missing_ok=True)


@contextmanager
def stack_lock(data_dir: Path) -> Iterator["StackLock"]:
    """Hold the lock on a DATA_DIR while the block runs; raises StackLockedError if a stack holds it."""
    descriptor = os.open(data_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not _try_lock(descriptor):
            raise StackLockedError(f"DATA_DIR {data_dir}: a stack already runs on it, pid {holder(data_dir)} (`make stop` ends it)")
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield StackLock(data_dir)
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class StackLock:
    """The lock on a DATA_DIR, held by this process."""

    data_dir: Path

    def lock_parts(self, patience: float) -> int:
        """The descriptor of a lock that the stack's servers inherit, so that it is free only when the last of them is gone.

        Waits up to `patience` seconds for the servers of a stack whose supervisor was killed; raises StackLockedError if they stay.
        """
        descriptor = os.open(self.data_dir / PARTS_LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + patience
        while not _try_lock(descriptor):
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise StackLockedError(
                    f"DATA_DIR {self.data_dir}: servers of an earlier stack still run on it; see its {RUN_FILE} for pids"
                )
            time.sleep(0.05)
        return descriptor


def holder(data_dir: Path) -> int | None:
    """The pid of the stack that runs on this DATA_DIR, None if none does."""
    try:
        descriptor = os.open(data_dir / LOCK_FILE, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        if _try_lock(descriptor):
            return None
        return int(os.pread(descriptor, 32, 0).split()[0])
    except IndexError:
        # Locked a moment ago, its pid not yet written.
        time.sleep(0.05)
        return holder(data_dir)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
