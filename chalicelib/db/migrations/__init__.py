"""Tables are made and changed here, by Alembic, at start (`make run`) or by the function `migrate` (AWS)."""

import ssl
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from chalicelib.db.connection import make_engine
from chalicelib.db.server import unfit
from chalicelib.errors import SettingsError

# Any fixed number; two processes that migrate at once take turns by it.
ADVISORY_LOCK = 7_201_846_530_117_433_905

# What the role may wait for, and what the code rests on whatever the server's defaults: each statement's own snapshot, durable commits,
# any text, and values as the driver reads and writes them. What can't be set here is asked by `chalicelib.db.server`.
ROLE_SETTINGS = {
    "lock_timeout": "3s",
    "idle_in_transaction_session_timeout": "5s",
    "statement_timeout": "8s",
    "default_transaction_isolation": "read committed",
    "synchronous_commit": "on",
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "bytea_output": "hex",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
}


def upgrade(database_url: str, *, ssl_context: ssl.SSLContext | None = None) -> None:
    """Bring the database to the newest revision and set its role up; safe to run again and at once.

    Raises SettingsError, before anything is changed, where the database can't be used.
    """
    engine = make_engine(database_url, pool_size=1, ssl_context=ssl_context, discreet=False)
    try:
        with engine.begin() as connection:
            if reason := unfit(connection):
                raise SettingsError(f"DATABASE_URL: {reason}")
            connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
            connection.execute(sa.text("SET LOCAL lock_timeout = '60s'"))
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
            connection.execute(sa.text("CREATE SCHEMA IF NOT EXISTS campusg"))
            command.upgrade(_config(connection), "head")
            _set_role_up(connection)
    finally:
        engine.dispose()


def _config(connection: sa.Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _set_role_up(connection: sa.Connection) -> None:
    """Set this role up in this database: RDS Proxy takes no start-up options, and a SET would pin its session."""
    role, database = connection.execute(sa.text("SELECT quote_ident(session_user), quote_ident(current_database())")).one()
    for name, value in ROLE_SETTINGS.items():
        connection.execute(sa.text(f"ALTER ROLE {role} IN DATABASE {database} SET {name} = '{value}'"))
