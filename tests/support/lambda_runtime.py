"""Functions as Lambda runs them: its own runtime interface client, between a Runtime API of ours and a sandbox like its own.

A function finds the package at /var/task, read-only, the client and boto3 at /var/runtime, an empty /tmp, and no variable of ours. Between
two invocations it is frozen (SIGSTOP); one that takes too long is killed. What ends it, and what it says, is told as Lambda tells it.
Source: AWS Lambda developer guide, "Using the Lambda runtime API for custom runtimes" and the page on an execution environment's life.
"""

import contextlib
import json
import os
import queue
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.support.tools import TOOLS

RUNTIME = TOOLS["lambda"].file.parent
INIT_SECONDS = 10.0
REGION = "eu-west-1"
VERSION = "/2018-06-01/runtime"
UNSHARE = ("unshare", "--user", "--map-root-user", "--mount")
# The folders under which the functions live are replaced within the sandbox alone.
SANDBOX = """
mount -t tmpfs tmpfs /var && mkdir /var/task /var/runtime
mount --bind {task} /var/task && mount -o remount,bind,ro /var/task
mount --bind {runtime} /var/runtime && mount -o remount,bind,ro /var/runtime
mount -t tmpfs tmpfs /tmp && cd /var/task && exec {command}
"""
# Nothing of what is installed beside this Python, nor the caller's folder, is on the path.
CLIENT = "import sys; sys.path[:0] = [{task!r}, {runtime!r}]; from awslambdaric.__main__ import main; main(['', {handler!r}])"


class InitFailed(Exception):
    """The function never came to ask for an event; the error's type and message, if it said so."""


class FunctionError(Exception):
    """The function raised: the error's type and message."""


class Died(Exception):
    """The process ended while it was called, or was killed as its time was over."""


@dataclass
class _Call:
    """An event, and what became of it."""

    event: Any
    timeout: float
    request_id: str = field(default_factory=lambda: str(uuid4()))
    begun: threading.Event = field(default_factory=threading.Event)
    done: threading.Event = field(default_factory=threading.Event)
    answer: Any = None
    error: Mapping[str, Any] | None = None


class Environment:
    """One execution environment of a function. `init_seconds` is how long it took from its start until it asked for an event."""

    def __init__(self, folder: Path, package: Path, handler: str, variables: Mapping[str, str], *, timeout: float = 30) -> None:
        """`folder` is for what it prints. Raises InitFailed where it is not ready in Lambda's ten seconds."""
        self._timeout = timeout
        self._calls: queue.Queue[_Call] = queue.Queue()
        self._current: _Call | None = None
        self._waiting = threading.Event()
        self._init_error: Mapping[str, Any] | None = None
        self._printed = folder / f"{handler}-{uuid4().hex[:6]}.log"
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"environment": self}))
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        begun = time.monotonic()
        with self._printed.open("wb") as output:
            command = _command(package, handler, self._variables(handler, variables))
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        try:
            self._await_init()
        except BaseException:
            self.close()
            raise
        self.init_seconds = time.monotonic() - begun

    def invoke(self, event: Any) -> Any:
        """What the function answers; raises FunctionError, or Died. The process is thawed for it and frozen afterwards."""
        call = _Call(event, self._timeout)
        os.kill(self._process.pid, signal.SIGCONT)
        self._waiting.clear()
        self._calls.put(call)
        deadline = time.monotonic() + self._timeout
        while not call.done.wait(0.005):
            if self._process.poll() is not None:
                raise Died(f"exit status {self._process.returncode}")
            if time.monotonic() > deadline:
                self.close()
                raise Died(f"Task timed out after {self._timeout:.2f} seconds")
        # It is frozen when it asks for the next event, which it does at once.
        if self._waiting.wait(2):
            os.kill(self._process.pid, signal.SIGSTOP)
        if call.error is not None:
            raise FunctionError(f"{call.error.get('errorType')}: {call.error.get('errorMessage')}")
        return call.answer

    @property
    def peak_mb(self) -> float:
        """The most memory that it has had."""
        [line] = [each for each in Path(f"/proc/{self._process.pid}/status").read_text().splitlines() if each.startswith("VmHWM")]
        return int(line.split()[1]) * 1.024 / 1000

    @property
    def printed(self) -> list[str]:
        """The lines that it has printed."""
        return self._printed.read_text().splitlines()

    def close(self) -> None:
        """End it as Lambda does: by SIGKILL."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        self._server.shutdown()
        self._server.server_close()

    def next_call(self) -> _Call | None:
        """The next event, waited for; None when nobody is there any more."""
        self._waiting.set()
        while self._process.poll() is None:
            with contextlib.suppress(queue.Empty):
                self._current = self._calls.get(timeout=0.5)
                return self._current
        return None

    def settle(self, request_id: str, answer: Any, error: Mapping[str, Any] | None) -> None:
        call = self._current
        assert call is not None
        assert call.request_id == request_id
        call.answer, call.error = answer, error
        call.done.set()

    def fail_init(self, error: Mapping[str, Any]) -> None:
        self._init_error = error

    def _variables(self, handler: str, own: Mapping[str, str]) -> dict[str, str]:
        name = handler.rpartition(".")[2]
        return {
            "AWS_LAMBDA_FUNCTION_NAME": f"campusg-orders-test-{name}",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._server.server_address[1]}",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "LAMBDA_TASK_ROOT": "/var/task",
            "LAMBDA_RUNTIME_DIR": "/var/runtime",
            "PATH": "/usr/bin:/bin",
            "LANG": "en_US.UTF-8",
            "TZ": ":UTC",
            "_HANDLER": handler,
            **own,
        }

    def _await_init(self) -> None:
        deadline = time.monotonic() + INIT_SECONDS
        while not self._waiting.wait(0.005):
            if self._init_error is not None:
                raise InitFailed(f"{self._init_error.get('errorType')}: {self._init_error.get('errorMessage')}")
            if self._process.poll() is not None:
                raise InitFailed(f"exit status {self._process.returncode}: {self._printed.read_text()[-2000:]}")
            if time.monotonic() > deadline:
                raise InitFailed(f"no event was asked for in {INIT_SECONDS:g} s")
        os.kill(self._process.pid, signal.SIGSTOP)


@contextmanager
def running(folder: Path, package: Path, handler: str, variables: Mapping[str, str], *, timeout: float = 30) -> Iterator[Environment]:
    """An execution environment while the block runs."""
    environment = Environment(folder, package, handler, variables, timeout=timeout)
    try:
        yield environment
    finally:
        environment.close()


def _command(package: Path, handler: str, variables: Mapping[str, str]) -> Sequence[str]:
    given = [f"{name}={value}" for name, value in variables.items()]
    client = CLIENT.format(task="/var/task", runtime="/var/runtime", handler=handler)
    # Not that of `.venv`, which may lie below the /tmp that is hidden.
    command = shlex.join(["env", "-i", *given, str(Path(sys.executable).resolve()), "-I", "-S", "-u", "-c", client])
    script = SANDBOX.format(task=shlex.quote(str(package)), runtime=shlex.quote(str(RUNTIME)), command=command)
    return [*UNSHARE, "sh", "-ec", script]


class _Handler(BaseHTTPRequestHandler):
    """The Runtime API for the environment that a subclass names."""

    environment: Environment
    protocol_version = "HTTP/1.1"
    # Head and body at once: else the client would wait for 40 ms.
    wbufsize = -1

    def do_GET(self) -> None:
        call = self.environment.next_call()
        if call is None:
            self.close_connection = True
            return
        headers = {
            "Lambda-Runtime-Aws-Request-Id": call.request_id,
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + call.timeout) * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": f"arn:aws:lambda:{REGION}:123456789012:function:test",
            "Lambda-Runtime-Trace-Id": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=0",
        }
        self._answer(200, json.dumps(call.event).encode(), headers)

    def do_POST(self) -> None:
        body = json.loads(self._body() or b"null")
        parts = self.path.removeprefix(f"{VERSION}/").split("/")
        if parts[0] == "init":
            self.environment.fail_init(body)
        elif parts[2] == "response":
            self.environment.settle(parts[1], body, None)
        else:
            self.environment.settle(parts[1], None, body)
        self._answer(202, b'{"status":"OK"}', {})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        whole = b""
        while size := int(self.rfile.readline(), 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return whole

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Type": "application/json", "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""
