"""Whether the servers that DATABASE_URL and KAFKA_BROKERS name can be used, asked before anything is started."""

from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from chalicelib.db.server import unfit
from chalicelib.errors import SettingsError
from chalicelib.settings import DATABASE_FORM, is_database_url

DATABASE_PATIENCE_SECONDS = 6


def check_database(given: str, *, writes: bool = True) -> None:
    """Raise SettingsError naming DATABASE_URL, without its password, unless a database that can be used answers there within 6 s.

    Without `writes` one that can only be read will do.
    """
    if not is_database_url(given):
        raise SettingsError(f"DATABASE_URL: must be {DATABASE_FORM}")
    url = make_url(given)
    shown = url.render_as_string(hide_password=True)
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": DATABASE_PATIENCE_SECONDS})
    try:
        with engine.connect() as connection:
            wrong = unfit(connection, writes=writes)
    except (SQLAlchemyError, OSError) as error:
        raise SettingsError(f"DATABASE_URL {shown}: {reason(error)}") from error
    if wrong:
        raise SettingsError(f"DATABASE_URL {shown}: {wrong}")


def hidden(url: str) -> str:
    """The URL without its password, to be shown."""
    return make_url(url).render_as_string(hide_password=True)


def reason(error: Exception) -> str:
    """What PostgreSQL or the driver said, in one line."""
    cause = getattr(error, "orig", None) or error
    if isinstance(cause.__cause__, OSError):
        return str(cause.__cause__)
    details = cause.args[0] if cause.args else ""
    # pg8000 hands on the fields of PostgreSQL's error message; M is its primary text.
    return str(details["M"]) if isinstance(details, dict) and "M" in details else str(cause)
