"""Tables are made and changed here, by Alembic, at start (`make run`) or by the function `migrate` (AWS)."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from chalicelib.db import roles
from chalicelib.db.connection import make_engine
from chalicelib.db.server import unfit
from chalicelib.errors import SettingsError

# Any fixed number; two processes that migrate at once take turns by it.
ADVISORY_LOCK = 7_201_846_530_117_433_905


def upgrade(database_url: str) -> None:
    """Bring the database at that URL to the newest revision; see `upgrade_with`."""
    engine = make_engine(database_url, pool_size=1, discreet=False)
    try:
        upgrade_with(engine)
    finally:
        engine.dispose()


def upgrade_with(engine: sa.Engine, functions_role: str | None = None) -> None:
    """Bring the database to the newest revision, set the engine's role up, and give the functions' role, if that is another, its rights.

    Safe to run again and at once. Raises SettingsError, before anything is changed, where the database can't be used.
    """
    with engine.begin() as connection:
        if reason := unfit(connection):
            raise SettingsError(f"DATABASE_URL: {reason}")
        connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
        connection.execute(sa.text("SET LOCAL lock_timeout = '60s'"))
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
        connection.execute(sa.text("CREATE SCHEMA IF NOT EXISTS campusg"))
        command.upgrade(_config(connection), "head")
        roles.set_up(connection, connection.execute(sa.text("SELECT quote_ident(session_user)")).scalar_one())
        if functions_role:
            roles.grant(connection, functions_role)


def _config(connection: sa.Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
