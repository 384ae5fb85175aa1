"""A stack of any checkout of the project, started as `make run` does, and what its parts cost."""

import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from pg8000 import dbapi
from sqlalchemy.engine import make_url

from infra.stack.logfile import LogFile
from infra.stack.process import ServerCommand, ServerProcess, last_lines
from tests.benchmarks.machine import cpu_seconds
from tests.support.stack import environment

START_PATIENCE_SECONDS = 90.0
SAMPLE_SECONDS = 0.5
# As they are called in run.json, and here.
PARTS = {"http": "gateway", "triggers": "triggers", "partners": "partners", "kafka": "broker", "postgres": "postgres"}


class StackError(Exception):
    """A stack did not start; the message is what it said."""


@dataclass(frozen=True)
class Subject:
    """A checkout with a `.venv` of its own, and the name that its figures go by."""

    name: str
    checkout: Path

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self.checkout / ".venv" / "bin" / "python")

    @property
    def package(self) -> str:
        """The package with the commands of `make run` and `make token`; it was called otherwise in older code."""
        return "infra.stack" if (self.checkout / "infra" / "stack").is_dir() else "infra.local"


@dataclass(frozen=True)
class Running:
    """A stack at work."""

    subject: Subject
    data_dir: Path
    supervisor: int
    info: Mapping[str, Any]

    @property
    def url(self) -> str:
        """Where the API is."""
        return str(self.info["http"]["url"])

    @property
    def port(self) -> int:
        """The port of the API."""
        return urlsplit(self.url).port or 0

    def token(self, role: str = "customer", sub: str = "cust_1") -> str:
        """A token of its issuer."""
        command = [self.subject.python, "-m", self.subject.package, "token"]
        given = environment(self.data_dir, ROLE=role, SUB=sub)
        return subprocess.run(command, cwd=self.subject.checkout, env=given, capture_output=True, text=True, check=True).stdout.strip()

    @property
    def pids(self) -> Mapping[str, int]:
        """The parts on this machine. A broker of somebody else's counts where it listens here."""
        found = {name: self.info[part]["pid"] for part, name in PARTS.items() if self.info[part] and self.info[part]["pid"]}
        if "broker" not in found and (pid := _listening(self.info["kafka"]["bootstrap"])):
            found["broker"] = pid
        return found

    def cpu(self) -> Mapping[str, float]:
        """Processor seconds by part so far; `rest` is what is of none of them: the supervisor, and the process that forks the parts."""
        used = {name: cpu_seconds(pid) for name, pid in self.pids.items()}
        own = sum(cpu_seconds(part["pid"]) for part in self.info.values() if part and part["pid"])
        return {**used, "rest": cpu_seconds(self.supervisor) - own}

    @property
    def database_url(self) -> str:
        """Where the database is."""
        return str(self.info["postgres"]["url"])


@contextmanager
def database(url: str) -> Iterator[Any]:
    """A cursor on a database, each statement a transaction of its own."""
    parts = make_url(url)
    connection = dbapi.connect(parts.username, parts.host, parts.database, parts.port or 5432, parts.password, timeout=10)
    try:
        connection.autocommit = True
        yield connection.cursor()
    finally:
        connection.close()


@contextmanager
def running(subject: Subject, data_dir: Path, **variables: object) -> Iterator[Running]:
    """A stack of this checkout in a new folder while the block runs; raises StackError."""
    command = ServerCommand(
        arguments=[subject.python, "-m", subject.package, "run"],
        environment=environment(data_dir, **variables),
        # In good order also when this process is killed: the stack has servers of its own to end.
        death_signal=signal.SIGTERM,
        directory=subject.checkout,
    )
    log = LogFile(data_dir.with_name(f"{data_dir.name}.out"))
    process = ServerProcess(command, log)
    try:
        info = _at_work(process, data_dir, log)
        yield Running(subject, data_dir, process.pid, info)
    finally:
        process.stop()


class MemoryWatch:
    """The peak memory of each part in megabytes, looked at twice a second while the block runs.

    `resident`: of the largest of its processes. `proportional`: of all of them together, what several share divided among them.
    """

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.resident: dict[str, float] = dict.fromkeys(pids, 0.0)
        self.proportional: dict[str, float] = dict.fromkeys(pids, 0.0)

    def __enter__(self) -> "MemoryWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            for name, pid in self._pids.items():
                sizes = [_memory(each) for each in _family(pid)]
                self.resident[name] = max(self.resident[name], *(rss for rss, _ in sizes), 0.0)
                self.proportional[name] = max(self.proportional[name], sum(pss for _, pss in sizes))


def program_at(bootstrap: str) -> str:
    """The name of the program on this machine that listens there, if one does."""
    pid = _listening(bootstrap)
    return psutil.Process(pid).name() if pid else "elsewhere"


def _at_work(process: ServerProcess, data_dir: Path, log: LogFile) -> Mapping[str, Any]:
    deadline = time.monotonic() + START_PATIENCE_SECONDS
    while process.exit_code is None and time.monotonic() < deadline:
        with suppress(FileNotFoundError):
            content: Mapping[str, Any] = json.loads((data_dir / "run.json").read_text())
            return content
        time.sleep(0.05)
    raise StackError(f"the stack did not start:\n{last_lines(log)}")


def _listening(bootstrap: str) -> int | None:
    """The process on this machine that listens on the port of a broker."""
    host, _, port = bootstrap.partition(",")[0].rpartition(":")
    if host not in ("127.0.0.1", "localhost"):
        return None
    listening = (each for each in psutil.net_connections("tcp") if each.status == psutil.CONN_LISTEN)
    return next((each.pid for each in listening if each.laddr.port == int(port) and each.pid), None)


def _family(pid: int) -> list[int]:
    with suppress(psutil.NoSuchProcess):
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    return []


def _memory(pid: int) -> tuple[float, float]:
    """Resident and proportional set size of a process in megabytes."""
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        sizes = {name: int(value.split()[0]) / 1000 * 1.024 for name, _, value in (line.partition(":") for line in lines[1:])}
        return sizes["Rss"], sizes["Pss"]
    return 0.0, 0.0
