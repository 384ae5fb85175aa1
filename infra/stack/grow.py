"""`make grow`: fills the running stack's database with finished orders of the past months, copies of a few that are played first."""

import io
import os
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from pg8000.exceptions import Error as DatabaseError

from chalicelib.errors import SettingsError
from infra.console import complain, say
from infra.stack.checks import hidden, reason
from infra.stack.copies import TABLES, Template
from infra.stack.running import APPLICATION, NotRunningError, run_info, telling
from infra.stack.settings import data_dir
from infra.stack.stories import LIFE, UNHAPPY, Api, StoryError

MOST = 100_000_000
A_BATCH = 2_000
DAYS = 90
# Of ten copies so many have had a whole life; the others went wrong in turns.
WHOLE_LIVES = 8
STORIES_SECONDS = 120
TELL_EVERY_SECONDS = 5.0
PATIENCE_SECONDS = 3_600


def grow() -> int:
    """Add ORDERS finished orders; return 0, or 1 where that can't be done."""
    try:
        number = requested()
        folder = data_dir()
        info = run_info(folder)
        api = Api(info["http"]["url"], folder, time.monotonic() + STORIES_SECONDS)
        with telling("playing the orders that are copied"):
            played = [UUID(story.tell(api)) for story in (LIFE, *UNHAPPY)]
        url = str(info["postgres"]["url"])
    except (NotRunningError, StoryError) as error:
        complain(*(f"make grow: {line}" for line in "\n".join(map(str, error.args)).split("\n")))
        return 1
    try:
        multiply(url, played[:1], played[1:], number)
    except (sa.exc.SQLAlchemyError, DatabaseError, OSError) as error:
        complain(f"make grow: {hidden(url)}: {reason(error)}")
        return 1
    return 0


def requested() -> int:
    """How many orders ORDERS asks for; raises SettingsError."""
    text = os.environ.get("ORDERS", "").strip()
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST:
        raise SettingsError(f"ORDERS must be a whole number from 1 to {MOST}: make grow ORDERS=1000000")
    return int(text)


def multiply(database_url: str, lives: Sequence[UUID], others: Sequence[UUID], number: int) -> None:
    """Write so many copies of these finished orders, the oldest first, over the past 90 days, and say how it goes."""
    with _connection(database_url) as connection:
        good, bad = ([_template(connection, order_id) for order_id in order_ids] for order_ids in (lives, others))
        begun, told = time.monotonic(), time.monotonic()
        with ThreadPoolExecutor(max_workers=1) as writer:
            writing: Future[None] | None = None
            for first in range(0, number, A_BATCH):
                last = min(first + A_BATCH, number)
                rows = _copies(good, bad, range(first, last), number)
                if writing:
                    writing.result()
                writing = writer.submit(_write, connection, rows)
                if time.monotonic() - told > TELL_EVERY_SECONDS:
                    told = time.monotonic()
                    complain(f"  {last:,} of {number:,} orders, {last / (told - begun):,.0f} a second")
            if writing:
                writing.result()
        with telling("vacuuming"):
            connection.autocommit = True
            _execute(connection, "SET statement_timeout = 0")
            _execute(connection, f"VACUUM ANALYZE {', '.join(f'campusg.{table}' for table in TABLES)}")
        say(f"{number:,} orders more, {time.monotonic() - begun:.0f} s")


def _copies(good: Sequence[Template], bad: Sequence[Template], numbers: range, of: int) -> dict[str, str]:
    """The rows, by table, of the copies with these numbers."""
    rows: dict[str, list[str]] = {table: [] for table in TABLES}
    for number in numbers:
        chosen = random.choice(good if number % 10 < WHOLE_LIVES or not bad else bad)  # noqa: S311 - which order is copied is no secret
        made = chosen.begun - timedelta(days=DAYS) * ((of - number) / of) - timedelta(hours=1)
        for table, text in chosen.copy(number, made).items():
            rows[table].append(text)
    return {table: "".join(texts) for table, texts in rows.items()}


def _template(connection: Any, order_id: UUID) -> Template:
    rows = {table: _copied(connection, f"SELECT * FROM campusg.{table} WHERE order_id = '{order_id}'") for table in TABLES}  # noqa: S608 - tables of ours, and an id that is a UUID
    cursor = _execute(connection, f"SELECT created_at FROM campusg.orders WHERE order_id = '{order_id}'")  # noqa: S608 - an id that is a UUID
    [(begun,)] = cursor.fetchall()
    connection.rollback()
    return Template.of(rows, begun.astimezone(UTC))


def _copied(connection: Any, query: str) -> str:
    stream = io.BytesIO()
    _execute(connection, f"COPY ({query}) TO STDOUT", stream)
    return stream.getvalue().decode()


def _write(connection: Any, rows: dict[str, str]) -> None:
    """Write a batch by COPY, in a transaction that doesn't wait for the disk: what a crash loses can be made again."""
    for setting in ("synchronous_commit = off", "statement_timeout = 0"):
        _execute(connection, f"SET LOCAL {setting}")
    # Foreign keys hold for each copy as they do for the order that it is one of; only a superuser may have them not checked.
    _execute(connection, "SELECT set_config('session_replication_role', 'replica', true) WHERE current_setting('is_superuser') = 'on'")
    for table, text in rows.items():
        _execute(connection, f"COPY campusg.{table} FROM STDIN", io.BytesIO(text.encode()))
    connection.commit()


def _execute(connection: Any, statement: str, stream: io.BytesIO | None = None) -> Any:
    cursor = connection.cursor()
    cursor.execute(statement, stream=stream)
    return cursor


@contextmanager
def _connection(database_url: str) -> Iterator[Any]:
    """A connection of the driver's own, as only that can COPY."""
    arguments = {"timeout": PATIENCE_SECONDS, "application_name": f"{APPLICATION}-grow"}
    engine = sa.create_engine(database_url, poolclass=sa.NullPool, connect_args=arguments)
    pooled = engine.raw_connection()
    try:
        yield pooled.driver_connection
    finally:
        pooled.close()
        engine.dispose()
