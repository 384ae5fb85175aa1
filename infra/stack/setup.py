"""What must be there before the service can work: tables in the database, topics on the broker, a key pair in DATA_DIR."""

from sqlalchemy.exc import SQLAlchemyError

from chalicelib.errors import SettingsError
from infra.console import complain, say
from infra.stack.broker import EMBEDDED_TOPIC_CONFIG, ensure_topics, unbounded_topics
from infra.stack.checks import hidden, reason
from infra.stack.devkeys import jwks_file
from infra.stack.process import ServerError
from infra.stack.settings import data_dir, read_settings


class SetupError(ServerError):
    """The tables can't be made."""


def make_tables(database_url: str) -> None:
    """Bring the database to the newest revision; raises SetupError or SettingsError naming DATABASE_URL, without its password."""
    from chalicelib.db.migrations import upgrade

    try:
        upgrade(database_url)
    except SQLAlchemyError as error:
        raise SetupError(f"DATABASE_URL {hidden(database_url)}: the tables can't be made: {reason(error)}") from error


def make_topics(brokers: str, *, embedded: bool = False) -> None:
    """Create the service's topics that are missing, and complain of those on a given broker that take too large records.

    Raises BrokerError naming KAFKA_BROKERS.
    """
    from chalicelib.messages.topics import PARTITIONS, SETTINGS

    ensure_topics(brokers, PARTITIONS, EMBEDDED_TOPIC_CONFIG if embedded else None, SETTINGS)
    if not embedded and (sentences := unbounded_topics(brokers, SETTINGS)):
        complain(*sentences)


def migrate() -> int:
    """Do what the function `migrate` does on AWS, by the same variables; return the exit code."""
    from chalicelib.entrypoints import maintenance

    try:
        maintenance.migrate()
    except (SQLAlchemyError, OSError) as error:
        complain(f"make migrate: the tables can't be made: {reason(error)}")
        return 1
    say("the tables are those of this version")
    return 0


def topics() -> int:
    """Create the topics that KAFKA_BROKERS lacks; return the exit code."""
    brokers = read_settings().kafka_brokers
    if brokers is None:
        raise SettingsError("KAFKA_BROKERS is missing")
    try:
        make_topics(brokers)
    except ServerError as error:
        complain(f"make topics: {error}")
        return 1
    say(f"{brokers} has all topics")
    return 0


def keys() -> int:
    """Make the key pair of DATA_DIR if it is missing, and say where its public half is; return the exit code."""
    say(f"DEV_JWKS_FILE={jwks_file(data_dir())}")
    return 0
