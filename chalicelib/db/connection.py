"""Engines and transactions: one connection in a Lambda container, a few in a threaded server."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.pg8000 import PGDialect_pg8000
from sqlalchemy.exc import DBAPIError

from chalicelib.db.driver import Connection

# SQLSTATEs after which the same work may well succeed: connection trouble, serialization, read-only failover, shutdown, too many.
TRANSIENT_STATES = ("08", "40001", "25006", "57P01", "57P02", "57P03", "53300")
DEADLOCK = "40P01"
LOCK_TIMEOUT = "55P03"
READ_TIMEOUT_SECONDS = 10
TRUSTED_SECONDS = 0.25


class Dialect(PGDialect_pg8000):
    """pg8000 with our connection, a ping that survives one that was reset while the container was frozen, and a commit in one round trip.

    The driver lets the OSError of a reset socket through, and SQLAlchemy's pre-ping knows only the driver's own errors. Its COMMIT takes
    the way of statements with parameters, though it has none. A connection on which the server has just answered needs no ping.
    """

    supports_statement_cache = True

    def connect(self, *arguments: Any, **named: Any) -> Any:
        return Connection(*arguments, **named)

    def do_ping(self, dbapi_connection: Any) -> bool:
        # By the wall clock, which goes on while the container is frozen.
        if 0 <= time.time() - dbapi_connection.used_at < TRUSTED_SECONDS:
            return True
        try:
            return bool(super().do_ping(dbapi_connection))
        except OSError:
            return False

    def do_commit(self, dbapi_connection: Any) -> None:
        dbapi_connection.execute_simple("commit")


registry.register("postgresql.campusg_pg8000", __name__, "Dialect")


def make_engine(url: str, *, pool_size: int, ssl_context: Any = None) -> sa.Engine:
    """An engine for a `postgresql+pg8000://` URL; connecting and every read give up after ten seconds."""
    arguments: dict[str, Any] = {"timeout": READ_TIMEOUT_SECONDS, "application_name": "campusg-orders"}
    if ssl_context is not None:
        arguments["ssl_context"] = ssl_context
    return sa.create_engine(
        sa.make_url(url).set(drivername="postgresql+campusg_pg8000"),
        pool_size=pool_size,
        max_overflow=0,
        pool_pre_ping=True,
        pool_recycle=240,
        pool_timeout=5,
        connect_args=arguments,
        hide_parameters=True,
    )


class Database:
    """Where transactions come from. Made once per container."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """One transaction: committed if the block ends, rolled back if it raises."""
        with self._engine.begin() as session:
            yield session

    def close(self) -> None:
        self._engine.dispose()


def sql_state(error: DBAPIError) -> str | None:
    """The SQLSTATE of a database error (PostgreSQL, appendix A); None where the connection itself broke."""
    details = error.orig.args[0] if error.orig and error.orig.args else None
    return str(details["C"]) if isinstance(details, dict) and "C" in details else None


def is_transient(error: Exception) -> bool:
    """Whether the database was just not there, so that the very same work may succeed later."""
    if isinstance(error, (OSError, sa.exc.TimeoutError)):
        return True
    if not isinstance(error, DBAPIError):
        return False
    state = sql_state(error)
    return state is None or state.startswith(TRANSIENT_STATES)


def is_outwaited(error: Exception) -> bool:
    """Whether somebody else's lock was in the way for too long: no fault of the work, and over when they are."""
    return isinstance(error, DBAPIError) and sql_state(error) in (LOCK_TIMEOUT, DEADLOCK)
