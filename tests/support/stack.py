"""A whole stack, started as a developer starts it, for end-to-end tests."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

import psutil

from tests.support.answers import Answer
from tests.support.api import Api
from tests.support.eventually import eventually

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("http", "triggers", "partners", "kafka", "postgres")
OPERATOR = ("audit", "why", "dead-letters", "redrive", "dismiss", "top")
VARIABLES = (
    *("HTTP_PORT", "DATABASE_URL", "KAFKA_BROKERS", "PARTNERS", "DATA_DIR", "ACCEPT_TIMEOUT_SECONDS", "COMPLETE_TIMEOUT_SECONDS"),
    *("STEP_TIMEOUT_SECONDS", "STEP_MAX_ATTEMPTS", "SWEEP_SECONDS", "ROLE", "SUB", "PYTHON"),
)


class StackFailedError(AssertionError):
    """The stack ended before it was at work; the message is what it said."""


class Stack:
    """A stack on a DATA_DIR; `process` is its supervisor."""

    MODULE = "infra.stack"
    """What has the command `run`."""

    def __init__(self, data_dir: Path, process: "subprocess.Popen[bytes]") -> None:
        self.data_dir = data_dir
        self.process = process

    @classmethod
    def start(cls, data_dir: Path, checkout: Path = ROOT, **variables: object) -> Self:
        """Start a stack and wait until it is at work; `variables` are those of `make run`."""
        stack = cls.launch(data_dir, checkout, **variables)

        def at_work() -> bool:
            if stack.process.poll() is not None:
                raise StackFailedError(stack.said())
            # A killed supervisor leaves an old run.json behind.
            return "the stack is at work" in stack.said() and (data_dir / "run.json").exists()

        try:
            eventually(at_work, within=60, what="the start of the stack")
        except BaseException:
            stack.stop()
            raise
        return stack

    @classmethod
    def launch(cls, data_dir: Path, checkout: Path = ROOT, **variables: object) -> Self:
        """Start a stack without waiting for it."""
        log = data_dir.with_name(f"{data_dir.name}.out")
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", cls.MODULE, "run"],
                cwd=checkout,
                env=environment(data_dir, **variables),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return cls(data_dir, process)

    def said(self) -> str:
        """What the supervisor has printed so far."""
        return self.data_dir.with_name(f"{self.data_dir.name}.out").read_text()

    def run_json(self) -> dict[str, Any]:
        """The content of run.json."""
        content: dict[str, Any] = json.loads((self.data_dir / "run.json").read_text())
        return content

    @property
    def url(self) -> str:
        """Where the API is."""
        return str(self.run_json()["http"]["url"])

    def pid(self, part: str) -> int:
        """The pid of a part, by its name in run.json."""
        return int(self.run_json()[part]["pid"])

    def pids(self) -> list[int]:
        """The pids of all parts that the stack started itself."""
        return [part["pid"] for part in self.run_json().values() if part and part["pid"]]

    def tree(self) -> list[int]:
        """The pids of all processes that the supervisor has started, and of those that these have."""
        return [child.pid for child in psutil.Process(self.process.pid).children(recursive=True)]

    def kill(self, part: str) -> None:
        """Kill a part by SIGKILL and wait until run.json names its successor and everything is at work again."""
        killed = self.pid(part)
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: self.pid(part) != killed, what=f"the return of {part}")

    def token(self, role: str = "customer", sub: str = "cust_1") -> str:
        """A token, as `make -s token` prints it."""
        return local_command("token", self.data_dir, ROLE=role, SUB=sub).stdout.strip()

    def place_order(self, wait_seconds: int = 10) -> Answer:
        """Post an order of customer `cust_1` and wait for the end of its saga."""
        return Api(self.url, self.data_dir, "cust_1").order(wait=wait_seconds)

    def stop(self) -> int:
        """End the stack by SIGTERM and return its exit code; kill it if it doesn't end."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


def environment(data_dir: Path, **variables: object) -> dict[str, str]:
    """This process's environment with exactly these variables of `make run`."""
    inherited = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    return {**inherited, "DATA_DIR": str(data_dir), **{name: str(value) for name, value in variables.items()}}


def local_command(command: str, data_dir: Path, **variables: object) -> "subprocess.CompletedProcess[str]":
    """Run one of the Makefile's commands to its end."""
    return subprocess.run(
        [sys.executable, "-m", "infra.operator" if command in OPERATOR else "infra.stack", command],
        cwd=ROOT,
        env=environment(data_dir, **variables),
        stdin=subprocess.DEVNULL,
        text=True,
        capture_output=True,
        check=False,
        timeout=150,
    )


def is_running(pid: int) -> bool:
    """Whether a process with this pid still does anything; one that only waits to be reaped doesn't."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
