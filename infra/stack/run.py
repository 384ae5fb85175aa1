"""`make run` and `make stop`: one stack in the foreground, from the check of its settings to the end of its last server."""

import asyncio
import ctypes
import os
import shlex
import signal
import time
from functools import partial
from pathlib import Path

import psutil

from chalicelib.errors import SettingsError
from infra.console import complain, progress, say
from infra.stack import ports
from infra.stack.broker import check_reachable
from infra.stack.checks import check_database
from infra.stack.devkeys import requested_token
from infra.stack.host import EXPECTED_ERRORS, host, locked
from infra.stack.launch import PR_SET_PDEATHSIG
from infra.stack.runfile import holder
from infra.stack.settings import StackSettings, data_dir
from infra.stack.stack import Stack
from infra.stack.threads import in_thread

STOP_PATIENCE_SECONDS = 20.0
OPERATOR = "ops_1"
SAMPLE_ORDER = (
    '{"orderDetails": {"foodItems": [{"name": "Chicken rice", "price": "4.50", "quantity": 2}],'
    ' "storeLocation": "Koufu", "deliveryLocation": "Hall 5, room 210"}}'
)


def run(settings: StackSettings, kind: type[Stack] = Stack) -> int:
    """Run a stack of this kind until Ctrl-C, SIGTERM, SIGHUP or `make stop`; return the exit code."""
    os.umask(0o077)
    _end_with_make()
    try:
        with locked(settings.data_dir) as lock:
            return asyncio.run(host(lock, partial(_check, settings), partial(kind, settings), partial(_welcome, settings)))
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


def _end_with_make() -> None:
    """Have this process end in good order if the `make` above it is killed; where the kernel can't, it stays until `make stop`."""
    libc = ctypes.CDLL(None)
    if psutil.Process(os.getppid()).name() in ("make", "gmake") and hasattr(libc, "prctl"):
        libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)


async def _check(settings: StackSettings) -> None:
    """Raise one of EXPECTED_ERRORS for whatever can be known to be wrong before anything is started."""
    check_port(settings)
    if settings.database_url is not None:
        async with progress("reaching the database"):
            await in_thread(partial(check_database, settings.database_url.get_secret_value()))
    if settings.kafka_brokers is not None:
        async with progress("reaching Kafka"):
            await in_thread(partial(check_reachable, settings.kafka_brokers))


def check_port(settings: StackSettings) -> None:
    """Raise SettingsError where HTTP_PORT is given and can't be listened on."""
    if settings.http_port is not None:
        reason = ports.refusal(settings.http_port)
        if reason is not None:
            raise SettingsError(f"HTTP_PORT {settings.http_port} can't be used on {ports.HOST}: {reason}")


def console_link(url: str, data_dir: Path) -> str:
    """The address of the console for whoever may see and do all: it brings a token of the local issuer, which the page takes out of it."""
    return f"{url}/console#token={requested_token(data_dir, 'admin', OPERATOR)}"


def _welcome(settings: StackSettings, stack: Stack) -> None:
    database = stack.postgres.psql() if stack.postgres else "as DATABASE_URL says"
    token = requested_token(settings.data_dir, "customer", "cust_1")
    text = f"""
the stack is at work (Ctrl-C or `make stop` ends it)

  console    {console_link(stack.http_url, settings.data_dir)}
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
