"""`make run` and `make stop`: one stack in the foreground, from the check of its settings to the end of its last server."""

import asyncio
import contextlib
import ctypes
import os
import shlex
import signal
import time
from collections.abc import Coroutine, Iterator
from functools import partial
from pathlib import Path

import psutil

from chalicelib.errors import SettingsError
from infra.console import complain, progress, say
from infra.stack import ports
from infra.stack.broker import check_reachable
from infra.stack.checks import check_database
from infra.stack.devkeys import requested_token
from infra.stack.files import make_private_folder
from infra.stack.launch import PR_SET_PDEATHSIG
from infra.stack.process import ServerError
from infra.stack.runfile import StackLock, StackLockedError, holder, stack_lock, withdraw
from infra.stack.settings import StackSettings, data_dir
from infra.stack.stack import Stack
from infra.stack.threads import in_thread

REMAINS_PATIENCE_SECONDS = 10.0
STOP_PATIENCE_SECONDS = 20.0
EXPECTED_ERRORS = (SettingsError, StackLockedError, ServerError)
SAMPLE_ORDER = (
    '{"orderDetails": {"foodItems": [{"name": "Chicken rice", "price": "4.50", "quantity": 2}],'
    ' "storeLocation": "Koufu", "deliveryLocation": "Hall 5, room 210"}}'
)


def run(settings: StackSettings) -> int:
    """Run a stack until Ctrl-C, SIGTERM, SIGHUP or `make stop`; return the exit code."""
    os.umask(0o077)
    _end_with_make()
    try:
        with _locked(settings.data_dir) as lock:
            return asyncio.run(_run(settings, lock))
    except EXPECTED_ERRORS as error:
        complain(*f"make run: {error}".split("\n"))
        return 1


def stop() -> int:
    """End the stack of DATA_DIR and wait until it is gone; return the exit code."""
    folder = data_dir()
    pid = holder(folder)
    if pid is None:
        say(f"no stack runs on {folder}")
        return 0
    try:
        os.kill(pid, signal.SIGTERM)
    except PermissionError:
        complain(f"make stop: the stack of {folder}, pid {pid}, belongs to another user")
        return 1
    deadline = time.monotonic() + STOP_PATIENCE_SECONDS
    while holder(folder) == pid:
        if time.monotonic() > deadline:
            complain(f"make stop: the stack of {folder}, pid {pid}, has not ended after {STOP_PATIENCE_SECONDS:.0f} s")
            return 1
        time.sleep(0.05)
    say(f"the stack of {folder} has ended")
    return 0


async def _run(settings: StackSettings, lock: StackLock) -> int:
    stopping, hurry = asyncio.Event(), asyncio.Event()
    _listen_for_signals(stopping, hurry)
    await _until(stopping, _check(settings))
    if stopping.is_set():
        return 0
    stack = _prepare(settings, lock, hurry)
    try:
        await _until(stopping, _live(stack, settings))
    finally:
        say("ending the stack")
        await stack.stop()
        say("all parts have ended")
    return 0


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[StackLock]:
    with contextlib.ExitStack() as held:
        try:
            make_private_folder(folder)
            lock = held.enter_context(stack_lock(folder))
        except OSError as error:
            raise SettingsError(f"DATA_DIR {folder}: {error.strerror}") from error
        yield lock


def _prepare(settings: StackSettings, lock: StackLock, hurry: asyncio.Event) -> Stack:
    parts_lock = lock.lock_parts(REMAINS_PATIENCE_SECONDS)
    # Left behind by a supervisor that was killed.
    withdraw(settings.data_dir)
    logs = settings.data_dir / "logs"
    make_private_folder(logs)
    for log in logs.glob("*.log"):
        log.replace(log.with_suffix(".log.1"))
    say(f"starting the stack of {settings.data_dir}; the output of each part goes to {logs}")
    return Stack(settings, parts_lock, hurry)


async def _live(stack: Stack, settings: StackSettings) -> None:
    await stack.start()
    _welcome(stack, settings)
    await stack.failed()


async def _until(event: asyncio.Event, work: Coroutine[None, None, None]) -> None:
    """Do the work until the event is set; what the work raises goes on to the caller."""
    working, waiting = asyncio.create_task(work), asyncio.create_task(event.wait())
    await asyncio.wait((working, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if not working.done():
        working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working


def _listen_for_signals(stopping: asyncio.Event, hurry: asyncio.Event) -> None:
    def heard() -> None:
        if stopping.is_set():
            hurry.set()
        stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, heard)


def _end_with_make() -> None:
    """Have this process end in good order if the `make` above it is killed; where the kernel can't, it stays until `make stop`."""
    libc = ctypes.CDLL(None)
    if psutil.Process(os.getppid()).name() in ("make", "gmake") and hasattr(libc, "prctl"):
        libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)


async def _check(settings: StackSettings) -> None:
    """Raise one of EXPECTED_ERRORS for whatever can be known to be wrong before anything is started."""
    if settings.http_port is not None:
        reason = ports.refusal(settings.http_port)
        if reason is not None:
            raise SettingsError(f"HTTP_PORT {settings.http_port} can't be used on {ports.HOST}: {reason}")
    if settings.database_url is not None:
        async with progress("reaching the database"):
            await in_thread(partial(check_database, settings.database_url.get_secret_value()))
    if settings.kafka_brokers is not None:
        async with progress("reaching Kafka"):
            await in_thread(partial(check_reachable, settings.kafka_brokers))


def _welcome(stack: Stack, settings: StackSettings) -> None:
    database = stack.postgres.psql() if stack.postgres else "as DATABASE_URL says"
    token = requested_token(settings.data_dir, "customer", "cust_1")
    text = f"""
the stack is at work (Ctrl-C or `make stop` ends it)

  API        {stack.http_url}
  Kafka      {stack.bootstrap}
  PostgreSQL {database}
  data       {settings.data_dir}
  logs       {stack.logs}

Place an order:

curl -sS -X POST '{stack.http_url}/api/orders' -H 'Prefer: wait=10' -H 'Content-Type: application/json' \\
  -H 'Authorization: Bearer {token}' \\
  -d {shlex.quote(SAMPLE_ORDER)}
"""
    say(*text.split("\n"))
