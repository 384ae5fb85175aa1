"""The tables in memory as PostgreSQL keeps them for the service: transactions, READ COMMITTED, locks of rows, unique keys.

A statement sees what had committed when it began and what its own transaction wrote; it waits for rows that others have locked, three
seconds at most. `tests/integration/test_simulated_tables.py` holds all of this against PostgreSQL itself.
"""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import sqlalchemy as sa

LOCK_TIMEOUT, IDLE_TIMEOUT = 3.0, 5.0
BEGINNING = datetime(2026, 11, 22, 8, 15, tzinfo=UTC)
GONE = object()
TABLES = ("orders", "sagas", "history", "outbox", "buckets", "letters", "places", "partner_ids", "failures", "setbacks")

Key = Hashable


def refused(code: str) -> sa.exc.DBAPIError:
    """An error of the server's with that SQLSTATE."""
    return sa.exc.DBAPIError("", None, Exception({"C": code}))


def disconnected() -> sa.exc.DBAPIError:
    return sa.exc.OperationalError("", None, Exception("the connection is gone"))


class Surroundings(Protocol):
    """What the tables need of the world: the time in seconds, points where others may go on, and waiting."""

    @property
    def now(self) -> float: ...
    def point(self, what: str) -> None: ...
    def wait(self, ready: Callable[[], bool], seconds: float) -> bool: ...
    def lose(self) -> bool: ...


@dataclass
class Alone:
    """Surroundings of tests that have no scheduler: nobody else can let go of a lock meanwhile."""

    now: float = 0.0

    def point(self, what: str) -> None:
        pass

    def wait(self, ready: Callable[[], bool], _seconds: float) -> bool:
        return ready()

    def lose(self) -> bool:
        return False


@dataclass
class Tables:
    """What has committed, and who has locked what. `backends` are the connections that are there."""

    surroundings: Surroundings
    rows: dict[str, dict[Any, Any]] = field(default_factory=lambda: {name: {} for name in TABLES})
    locks: dict[tuple[str, Key], "Session"] = field(default_factory=dict)
    backends: set[int] = field(default_factory=set)
    committed: Callable[["Session"], None] = lambda _session: None
    numbers: int = 0

    @property
    def now(self) -> datetime:
        return BEGINNING + timedelta(seconds=self.surroundings.now)

    def next_number(self) -> int:
        self.numbers += 1
        return self.numbers


class Session:
    """One transaction, in place of SQLAlchemy's connection."""

    def __init__(self, tables: Tables, backend: int) -> None:
        self.tables, self.backend = tables, backend
        self.info: dict[str, Any] = {}
        self.writes: dict[str, dict[Any, Any]] = {name: {} for name in TABLES}
        self.broken = False
        self.used_at = tables.surroundings.now

    def statement(self, what: str) -> None:
        """A statement begins; raises where the connection or the session is gone."""
        self.tables.surroundings.point(what)
        if self.broken or self.is_idle or self.tables.surroundings.lose():
            self.rollback()
            raise disconnected()
        self.used_at = self.tables.surroundings.now

    @property
    def is_idle(self) -> bool:
        """Whether the server has ended the session, as nothing was asked of it for so long."""
        return self.tables.surroundings.now - self.used_at > IDLE_TIMEOUT

    def get(self, table: str, key: Any) -> Any:
        value = self.writes[table].get(key, self.tables.rows[table].get(key))
        return None if value is GONE else value

    def items(self, table: str) -> Iterator[tuple[Any, Any]]:
        """All rows of a table by key, as this transaction sees them."""
        yield from [(key, value) for key, value in {**self.tables.rows[table], **self.writes[table]}.items() if value is not GONE]

    def lock(self, table: str, key: Key) -> None:
        """Lock a row, existing or not; raises lock_not_available."""
        if not self.free(table, key) and not self.tables.surroundings.wait(lambda: self.free(table, key), LOCK_TIMEOUT):
            self.broken = True
            raise refused("55P03")
        self.tables.locks[table, key] = self

    def free(self, table: str, key: Key) -> bool:
        """Whether nobody else has locked the row."""
        holder = self.tables.locks.get((table, key))
        return holder is None or holder is self or holder.is_idle

    def put(self, table: str, key: Any, value: Any) -> None:
        self.lock(table, key)
        self.writes[table][key] = value

    def insert(self, table: str, key: Any, value: Any) -> None:
        """Raises a unique violation where the key is there, after waiting for the transaction that is just inserting it."""
        self.lock(table, key)
        if self.get(table, key) is not None:
            self.violated()
        self.writes[table][key] = value

    def violated(self) -> None:
        self.broken = True
        raise refused("23505")

    def commit(self) -> None:
        self.statement("before its commit")
        for table, writes in self.writes.items():
            for key, value in writes.items():
                if value is GONE:
                    self.tables.rows[table].pop(key, None)
                else:
                    self.tables.rows[table][key] = value
        self.tables.committed(self)
        self._end()
        self.statement("after its commit")

    def rollback(self) -> None:
        self._end()
        self.broken = True

    def _end(self) -> None:
        self.tables.locks = {lock: holder for lock, holder in self.tables.locks.items() if holder is not self}
        self.writes = {name: {} for name in TABLES}


class Database:
    """One process's connection to the tables, as `chalicelib.db.connection.Database` gives transactions."""

    def __init__(self, tables: Tables, backend: int) -> None:
        self._tables, self.backend = tables, backend
        self._open: Session | None = None
        tables.backends.add(backend)

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        self._open = session = Session(self._tables, self.backend)
        try:
            yield session
            session.commit()
        except BaseException:
            session.rollback()
            raise

    def die(self) -> None:
        """The process is gone, and its connection with it."""
        self._tables.backends.discard(self.backend)
        if self._open:
            self._open.rollback()
