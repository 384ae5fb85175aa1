"""Engines and transactions: one connection in a Lambda container, a few in a threaded server."""

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.pg8000 import PGDialect_pg8000
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError

from chalicelib.db.driver import Connection, Later
from chalicelib.db.states import Kind, kind_of, make_discreet
from chalicelib.errors import SettingsError
from chalicelib.observability import count

READ_TIMEOUT_SECONDS = 10
TRUSTED_SECONDS = 0.25
# Under this name a connection keeps what is to be called when its transaction has committed.
AFTER_COMMIT = "campusg.after_commit"


class Dialect(PGDialect_pg8000):
    """pg8000 with our connection, and a ping that survives one that was reset while the container was frozen.

    The driver lets the OSError of a reset socket through, and SQLAlchemy's pre-ping knows only the driver's own errors. A
    connection on which the server has just answered needs no ping.
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


registry.register("postgresql.campusg_pg8000", __name__, "Dialect")


def verified_tls(ca_file: Path | None) -> ssl.SSLContext:
    """TLS that checks the server's certificate and name, against the authorities of that file or of the system; raises SettingsError."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise SettingsError("DATABASE_CA_FILE: must be a file of certificates in PEM form") from error


def make_engine(url: str | sa.URL, *, pool_size: int, ssl_context: ssl.SSLContext | None = None, discreet: bool = True) -> sa.Engine:
    """An engine for a `postgresql+pg8000://` URL; connecting and every read give up after ten seconds.

    Its errors say SQLSTATE and constraint and nothing else, as they get into logs and dead letters; unless `discreet` is False: then they
    have the server's own words, and may show rows.
    """
    arguments: dict[str, Any] = {"timeout": READ_TIMEOUT_SECONDS, "application_name": "campusg-orders"}
    if ssl_context is not None:
        arguments["ssl_context"] = ssl_context
    engine = sa.create_engine(
        sa.make_url(url).set(drivername="postgresql+campusg_pg8000"),
        pool_size=pool_size,
        max_overflow=0,
        pool_pre_ping=True,
        pool_recycle=240,
        pool_timeout=5,
        connect_args=arguments,
        hide_parameters=True,
    )
    if discreet:
        sa.event.listen(engine, "handle_error", _hide_data)
    return engine


def _hide_data(context: ExceptionContext) -> None:
    if isinstance(context.sqlalchemy_exception, DBAPIError):
        make_discreet(context.sqlalchemy_exception)


def send_ahead(session: sa.Connection, statement: str, *parameters: str | None) -> Later:
    """Have a statement, with parameters $1, $2 and so on, run right before the transaction's next statement or its commit.

    It crosses the network with that one, which raises its error. Its own answer is one value, which can be asked for then.
    """
    connection: Connection = session.connection.dbapi_connection  # type: ignore[assignment]
    return connection.send_ahead(statement, parameters)


def on_commit(session: sa.Connection, call: Callable[[], None]) -> None:
    """Have `call` called once the transaction has committed; never if that fails, nor for what happens in a savepoint.

    Savepoints are for what is tried and taken back. In a transaction that is not a Database's own nothing is called either.
    """
    if AFTER_COMMIT in session.info and not session.in_nested_transaction():
        session.info[AFTER_COMMIT].append(call)


class Database:
    """Where transactions come from. Made once per container."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """One transaction: committed if the block ends, rolled back if it raises.

        What ends it for a reason of the database's own is counted, as an alarm watches whether that lasts.
        """
        after: list[Callable[[], None]] = []
        try:
            with self._engine.begin() as session:
                session.info[AFTER_COMMIT] = after
                yield session
        except Exception as error:
            if kind_of(error) is not Kind.FAULT:
                count({"DatabaseUnavailable": 1})
            raise
        for call in after:
            call()

    def close(self) -> None:
        self._engine.dispose()
