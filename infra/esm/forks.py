"""A process that has imported what others need and forks them on request: they start within milliseconds and share its memory.

The process that forks has one thread and no connections: fork(2) copies only the thread that calls it, and a connection would be used by
two processes. A child dies with the process that forked it, and that one with its own parent.
"""

import ctypes
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Any, NoReturn, Self

from .wire import Channel, ChannelClosed

PR_SET_PDEATHSIG = 1
FORK_SECONDS = 5.0
MOST_DESCRIPTORS = 16


class ForkFailed(Exception):
    """The process that forks is gone or does not answer."""


@dataclass(frozen=True)
class Job:
    """What a child is to do: whatever JSON its caller sent, and the descriptors that came with it."""

    request: Mapping[str, Any]
    descriptors: Sequence[int]


class ForkedProcess:
    """A child of the process that forks, with the methods of `subprocess.Popen` that its caller needs."""

    def __init__(self, pid: int, status: int) -> None:
        """`status` is a descriptor from which the exit code can be read once there is one; it is owned by this object."""
        self.pid = pid
        self._status = status
        self._code: int | None = None

    def poll(self) -> int | None:
        """The exit code, or None while it runs; negative: minus the signal that ended it."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return the exit code; raises subprocess.TimeoutExpired after `timeout` seconds."""
        if self._code is None:
            awaited = select.poll()
            awaited.register(self._status, select.POLLIN)
            if not awaited.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired("forked process", timeout or 0)
            # Nothing to read: the process that forks was killed, and its children with it.
            self._code = int(os.read(self._status, 32) or -signal.SIGKILL)
            os.close(self._status)
        return self._code

    def send_signal(self, number: int) -> None:
        """Send a signal unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL unless it has ended."""
        self.send_signal(signal.SIGKILL)


class ForkServer:
    """The caller's side of a process that forks; may be used by several threads."""

    def __init__(self, connection: socket.socket) -> None:
        """`connection` leads to a process that runs `serve`."""
        self._socket = connection
        self._channel = Channel(connection)
        self._lock = Lock()

    @classmethod
    def start(cls, work: Callable[[Job], None], not_inherited: Sequence[int] = ()) -> tuple[Self, int]:
        """Fork this process, which must have one thread, into one that forks others, each of which does `work`; also returns its pid.

        The descriptors `not_inherited` are closed there.
        """
        ours, theirs = socket.socketpair()
        parent = os.getpid()
        gc.freeze()
        pid = os.fork()
        if pid == 0:
            ours.close()
            for descriptor in not_inherited:
                os.close(descriptor)
            exit_after(lambda: _begin(theirs, parent, work))
        theirs.close()
        return cls(ours), pid

    def fork(self, request: Mapping[str, Any], descriptors: Sequence[int]) -> ForkedProcess:
        """Have a child started that gets `request` and copies of the descriptors; raises ForkFailed."""
        status, theirs = os.pipe()
        try:
            with self._lock:
                socket.send_fds(self._socket, [b"\0"], [theirs, *descriptors])
                self._channel.send(json.dumps(request).encode(), FORK_SECONDS)
                return ForkedProcess(int(self._channel.receive(FORK_SECONDS)), status)
        except (OSError, ChannelClosed) as error:
            # An answer that comes late must not be taken for that to another request.
            self.close()
            os.close(status)
            raise ForkFailed("the process that forks is gone or does not answer") from error
        finally:
            os.close(theirs)

    def close(self) -> None:
        """End the process that forks, which kills all its children first."""
        self._channel.close()


def serve_jobs(connection: socket.socket, work: Callable[[Job], None]) -> None:
    """Fork a child for each request, which does `work` and returns as well; return in this process when the other side is gone.

    Must be called in the main thread, without any other. At the end all children are killed. Each has a session of its own.
    """
    own = os.getpid()
    job = _serve(connection)
    if job is not None:
        os.setsid()
        die_with_parent(own)
        work(job)


def exit_after(work: Callable[[], None]) -> NoReturn:
    """Do the work and end this process, with the exit code and the message that the interpreter would have ended it with."""
    code = 1
    try:
        work()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
    except BaseException:  # noqa: BLE001 - the end of a process: it is written down
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code & 0xFF)


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends; where the kernel can't, the closed connection ends it once it is idle."""
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "prctl") and libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot die with the parent")
    if os.getppid() != parent:
        sys.exit("the parent is gone")


def _begin(connection: socket.socket, parent: int, work: Callable[[Job], None]) -> None:
    die_with_parent(parent)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    serve_jobs(connection, work)


def _serve(connection: socket.socket) -> Job | None:
    """Returns its job in each child, and None in this process at the end."""
    channel, children = Channel(connection), dict[int, int]()
    wake, waker = os.pipe()
    for descriptor in (wake, waker):
        os.set_blocking(descriptor, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        awaited: list[Any] = [connection, wake]
        readable, _, _ = select.select(awaited, [], [])
        if wake in readable:
            os.read(wake, 4096)
            _reap(children, os.WNOHANG)
        if connection in readable:
            try:
                job, status = _receive(connection, channel)
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    for descriptor in (wake, waker, status, *children.values()):
                        os.close(descriptor)
                    channel.close()
                    return job
                children[pid] = status
                for descriptor in job.descriptors:
                    os.close(descriptor)
                channel.send(str(pid).encode())
            except (ChannelClosed, OSError):
                _end(children)
                return None


def _receive(connection: socket.socket, channel: Channel) -> tuple[Job, int]:
    """The next job, and the descriptor to which the exit code of its child goes; raises ChannelClosed, OSError."""
    mark, received, _, _ = socket.recv_fds(connection, 1, MOST_DESCRIPTORS)
    if not mark:
        raise ChannelClosed
    for descriptor in received:
        os.set_inheritable(descriptor, False)
    status, *descriptors = received
    return Job(json.loads(channel.receive()), descriptors), status


def _reap(children: dict[int, int], options: int) -> None:
    for pid in list(children):
        found, status = os.waitpid(pid, options)
        if found:
            descriptor = children.pop(pid)
            with suppress(BrokenPipeError):
                os.write(descriptor, str(os.waitstatus_to_exitcode(status)).encode())
            os.close(descriptor)


def _end(children: dict[int, int]) -> None:
    for pid in children:
        # A child that has not come to a session of its own yet has nobody with it.
        for kill in (os.killpg, os.kill):
            with suppress(ProcessLookupError):
                kill(pid, signal.SIGKILL)
    _reap(children, 0)
