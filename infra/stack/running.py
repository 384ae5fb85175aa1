"""Where the stack is that a command is meant for, and telling a person that something takes its time."""

import contextlib
import json
import os
import shlex
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from infra.console import complain
from infra.stack.checks import check_database
from infra.stack.runfile import RUN_FILE, VARIABLES_FILE, holder
from infra.stack.settings import StackSettings, data_dir, read_settings

TELL_EVERY_SECONDS = 2.0
# Longer than any statement of an operator's command may take: pg8000 uses it for every read.
PATIENCE_SECONDS = 660
APPLICATION = "campusg-operator"


class NotRunningError(Exception):
    """There is no stack to work on; the message says where it was looked for."""


def run_info(folder: Path) -> Mapping[str, Any]:
    """The content of run.json of the stack that runs on this DATA_DIR; raises NotRunningError."""
    if holder(folder) is None:
        raise NotRunningError(f"no stack runs on {folder}; start one by `make run`, or name another DATA_DIR")
    try:
        content: Mapping[str, Any] = json.loads((folder / RUN_FILE).read_text())
    except FileNotFoundError:
        raise NotRunningError(f"the stack of {folder} is not at work yet") from None
    return content


def stack_variables(folder: Path) -> dict[str, str]:
    """The settings that the parts of the stack of this DATA_DIR were given; empty where none is at work."""
    try:
        lines = (folder / VARIABLES_FILE).read_text()
    except FileNotFoundError:
        return {}
    words = [word for word in shlex.split(lines) if word != "export"]
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def target_database() -> str:
    """The URL that DATABASE_URL gives, or that of the stack of DATA_DIR; raises NotRunningError, or SettingsError for a wrong one."""
    given = os.environ.get("DATABASE_URL", "").strip()
    if given:
        check_database(given, writes=False)
        return given
    return str(run_info(data_dir())["postgres"]["url"])


def target_settings() -> StackSettings:
    """The settings as they were given to this command, else as the stack of DATA_DIR has them; raises SettingsError."""
    given = {name: value for name, value in os.environ.items() if value.strip()}
    return read_settings({**stack_variables(data_dir()), **given})


@contextmanager
def operator_session(database_url: str) -> Iterator[sa.Connection]:
    """A read-only transaction that sees one state of the database and may take ten minutes, whatever the role's own limits."""
    arguments = {"timeout": PATIENCE_SECONDS, "application_name": APPLICATION}
    engine = sa.create_engine(database_url, poolclass=sa.NullPool, connect_args=arguments)
    try:
        with engine.begin() as session:
            session.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
            session.execute(sa.text("SET LOCAL statement_timeout = '10min'"))
            yield session
    finally:
        engine.dispose()


@contextmanager
def telling(what: str) -> Iterator[None]:
    """Say on stderr what is being waited for, whenever that takes another two seconds."""
    ended = threading.Event()

    def tell() -> None:
        begun = time.monotonic()
        while not ended.wait(TELL_EVERY_SECONDS):
            complain(f"  {what} … {time.monotonic() - begun:.0f} s")

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        with contextlib.suppress(RuntimeError):
            teller.join()
