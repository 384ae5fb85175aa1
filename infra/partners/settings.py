"""What the simulated partners are told by the environment."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from infra.partners.database import connection_arguments


class BadSettings(Exception):
    """A setting is missing or can't be used; the sentence names it."""


@dataclass(frozen=True)
class Settings:
    """Where the database and the broker are. `database_url` holds a password and stays out of `repr`."""

    database_url: str = field(repr=False)
    kafka_brokers: tuple[str, ...]

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read `DATABASE_URL` and `KAFKA_BROKERS` (`host:port,…`); raises BadSettings."""
        database_url = environment.get("DATABASE_URL", "")
        try:
            connection_arguments(database_url)
        except ValueError as error:
            raise BadSettings(str(error)) from error
        brokers = tuple(broker.strip() for broker in environment.get("KAFKA_BROKERS", "").split(","))
        if not all(host and port.isdigit() for host, _, port in (broker.rpartition(":") for broker in brokers)):
            raise BadSettings("KAFKA_BROKERS must have the form host:port,…")
        return cls(database_url, brokers)
