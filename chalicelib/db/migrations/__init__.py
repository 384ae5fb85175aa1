"""Tables are made and changed here, by Alembic, at start (`make run`) or by the function `migrate` (AWS)."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from chalicelib.db.connection import make_engine

# Any fixed number; two processes that migrate at once take turns by it.
ADVISORY_LOCK = 7_201_846_530_117_433_905

# What the role may wait for, and what the code rests on whatever the server's defaults: each statement's own snapshot, durable commits.
ROLE_SETTINGS = {
    "lock_timeout": "3s",
    "idle_in_transaction_session_timeout": "5s",
    "statement_timeout": "8s",
    "default_transaction_isolation": "read committed",
    "synchronous_commit": "on",
}


def upgrade(database_url: str) -> None:
    """Bring the database to the newest revision and bound what its role may wait for; safe to run again and at once."""
    engine = make_engine(database_url, pool_size=1, discreet=False)
    try:
        with engine.begin() as connection:
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
    role, database = connection.execute(sa.text("SELECT quote_ident(current_user), quote_ident(current_database())")).one()
    for name, value in ROLE_SETTINGS.items():
        connection.execute(sa.text(f"ALTER ROLE {role} IN DATABASE {database} SET {name} = '{value}'"))
