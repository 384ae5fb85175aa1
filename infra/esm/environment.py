"""A function in a process of its own, as in one of Lambda's execution environments.

How an environment is started, frozen and ended, and what its errors say, follows the AWS Lambda developer guide ("Understanding the Lambda
execution environment lifecycle", "Configure Lambda function timeout").
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from .forks import ForkedProcess, ForkFailed, ForkServer
from .function_names import FunctionName
from .invoke import FunctionError, FunctionTimedOut, HandlerNotFound
from .wire import Channel, ChannelClosed

INIT_SECONDS = 10.0
"""How long the handler's module may take to be imported, as on Lambda."""

RUNTIME_MODULE = f"{__package__}.runtime"
# A process on a busy machine may take a while to end after its connection has.
_END_PATIENCE_SECONDS = 5.0
_STANDARD_ERROR = 2

_Child: TypeAlias = "subprocess.Popen[bytes] | ForkedProcess"

# The kernel kills a child when the thread that started it ends, so all are started by one that lasts as long as this process.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="environments")


class InitTimedOut(FunctionError):
    """The handler's module was not imported in time."""


class RuntimeExited(FunctionError):
    """The function's process ended by itself; the message is Lambda's."""

    def __init__(self, status: int) -> None:
        """`status` is an exit status, or the negative number of a signal."""
        if status == 0:
            super().__init__("Runtime exited without providing a reason")
        elif status > 0:
            super().__init__(f"Runtime exited with error: exit status {status}")
        else:
            super().__init__(f"Runtime exited with error: signal: {(signal.strsignal(-status) or str(-status)).lower()}")


@dataclass(frozen=True)
class FunctionConfiguration:
    """What Lambda's configuration says of a function, where this emulator heeds it.

    `handler` (module.function) is looked up on this process's path; `memory_size` is in MB and not enforced; `variables` are those that
    the function has besides this process's.
    """

    name: str
    handler: str
    timeout_seconds: float = 3.0
    memory_size: int = 128
    variables: Mapping[str, str] = field(default_factory=dict)


class IsolatedFunction:
    """A function in a child process: killed at its timeout, started anew by the next invocation.

    The child imports the handler once and runs it in its main thread; what it prints goes to this process's standard error. It dies with
    this process, or with that of `forks`. One invocation at a time; several threads may each have a function of their own.
    """

    def __init__(
        self,
        configuration: FunctionConfiguration,
        *,
        freeze: bool = False,
        forks: ForkServer | None = None,
        init_seconds: float = INIT_SECONDS,
    ) -> None:
        """Nothing runs yet. `init_seconds` is how long the handler's module may take to be imported.

        With `freeze` the child is stopped between invocations, as Lambda does it: none of its threads runs then. With `forks`, whose
        children run `runtime.run_forked`, the child is forked from a process that has imported the handler before, with its variables: so
        it lacks those that name the function.
        """
        self.name = configuration.name
        self.timeout_seconds = configuration.timeout_seconds
        self._freeze = freeze
        self._init_seconds = init_seconds
        self._start: Callable[[socket.socket], _Child]
        if forks is None:
            self._start = _Started(configuration)
        else:
            request = asdict(configuration)
            self._start = lambda connection: forks.fork(request, [connection.fileno(), _STANDARD_ERROR])
        self._running: _Environment | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id, if one runs."""
        return self._running.process.pid if self._running is not None and self._running.lives else None

    def start(self) -> None:
        """Start the child now rather than with the first invocation; raises HandlerNotFound, or FunctionError for another failure."""
        self._environment()

    def invoke(self, event_text: str) -> Any:
        """Call the function and return its answer; raises FunctionError (FunctionTimedOut, RuntimeExited, …)."""
        environment = self._environment()
        answer = environment.ask(event_text.encode(), self.timeout_seconds)
        if self._freeze:
            environment.signal(signal.SIGSTOP)
        if "answer" not in answer:
            raise FunctionError(f"{answer['errorType']}: {answer['errorMessage']}")
        return answer["answer"]

    def close(self) -> None:
        """Kill the child, and what it started."""
        if self._running is not None:
            self._running.kill()
            self._running = None

    def _environment(self) -> "_Environment":
        if self._running is not None and self._running.lives:
            if self._freeze:
                self._running.signal(signal.SIGCONT)
            return self._running
        self.close()
        self._running = _Environment(self._start)
        self._running.wait_until_ready(self._init_seconds)
        return self._running


class _Started:
    """Starts the runtime as a process of its own, which imports the handler."""

    def __init__(self, function: FunctionConfiguration) -> None:
        self._command = [sys.executable, "-u", "-m", RUNTIME_MODULE, f"--name={function.name}", f"--handler={function.handler}"]
        self._command += [f"--timeout={function.timeout_seconds}", f"--memory={function.memory_size}"]
        self._variables = {
            "_HANDLER": function.handler,
            "AWS_LAMBDA_FUNCTION_NAME": FunctionName.read(function.name).name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size),
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            **function.variables,
        }

    def __call__(self, connection: socket.socket) -> _Child:
        return _starter.submit(
            subprocess.Popen,
            [*self._command, f"--connection={connection.fileno()}", f"--parent={os.getpid()}"],
            env={**os.environ, "PYTHONPATH": _path(), **self._variables},
            stdin=subprocess.DEVNULL,
            stdout=_STANDARD_ERROR,
            pass_fds=(connection.fileno(),),
            # A group of its own, so that what the function starts is stopped and killed with it.
            start_new_session=True,
        ).result()


class _Environment:
    """A child process and the connection to it."""

    def __init__(self, start: Callable[[socket.socket], _Child]) -> None:
        ours, theirs = socket.socketpair()
        self._channel = Channel(ours)
        try:
            with theirs:
                self.process = start(theirs)
        except ForkFailed as error:
            self._channel.close()
            raise FunctionError(str(error)) from error

    @property
    def lives(self) -> bool:
        return self.process.poll() is None

    def wait_until_ready(self, init_seconds: float) -> None:
        try:
            said = json.loads(self._channel.receive(init_seconds))
        except TimeoutError as error:
            self.kill()
            raise InitTimedOut(f"Init timed out after {init_seconds:.2f} seconds") from error
        except ChannelClosed as error:
            raise RuntimeExited(self.ended()) from error
        if said:
            self.kill()
            if said["errorType"] == HandlerNotFound.__name__:
                raise HandlerNotFound(said["errorMessage"])
            raise FunctionError(f"{said['errorType']}: {said['errorMessage']}")

    def ask(self, event: bytes, timeout_seconds: float) -> dict[str, Any]:
        try:
            self._channel.send(event, timeout_seconds)
            return _read_answer(self._channel.receive(timeout_seconds))
        except TimeoutError as error:
            self.kill()
            raise FunctionTimedOut(timeout_seconds) from error
        except ChannelClosed as error:
            raise RuntimeExited(self.ended()) from error
        except (ValueError, RecursionError) as error:
            # What comes next on this connection may be the rest of it.
            self.kill()
            raise FunctionError(f"the answer can't be read: {error}") from error

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def ended(self) -> int:
        """How the child ended that was about to; it is killed if it doesn't."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_END_PATIENCE_SECONDS)
        return self.kill()

    def kill(self) -> int:
        """Kill the child and all that it started, and leave no zombie."""
        self.signal(signal.SIGKILL)
        self.process.kill()
        self._channel.close()
        return self.process.wait()


def _read_answer(text: bytes) -> dict[str, Any]:
    answer = json.loads(text)
    if not isinstance(answer, dict) or answer.keys() not in ({"answer"}, {"errorType", "errorMessage"}):
        raise ValueError("it is not of the runtime's form")
    return answer


def _path() -> str:
    return os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
