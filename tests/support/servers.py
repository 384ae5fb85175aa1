"""The tests' own PostgreSQL and Kafka brokers: real servers over TCP, in folders and on ports of their own."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from infra.stack.broker import EMBEDDED_TOPIC_CONFIG, EmbeddedBroker, ensure_topics, start_broker
from infra.stack.ports import free_port
from infra.stack.postgres import EmbeddedPostgres, start_postgres

TEMPLATE = "migrated_template"


@dataclass(frozen=True)
class PostgresServer:
    """A running server; `server.execute` runs a statement as superuser in the database `postgres`."""

    server: EmbeddedPostgres

    def create_database(self, template: str = "template0") -> str:
        """A new database, its URL returned."""
        name = f"test_{uuid4().hex}"
        self.server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.server.url(name)

    def make_template(self, name: str) -> None:
        """Close a database to everybody, so that it can be cloned at any time."""
        self.server.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        self.server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))

    def drop_database(self, url: str) -> None:
        """Drop a database, connections and all."""
        self.server.execute(f'DROP DATABASE "{url.rpartition("/")[2]}" WITH (FORCE)')


@contextmanager
def running_postgres(folder: Path) -> Iterator[PostgresServer]:
    """A PostgreSQL of its own while the block runs."""
    server, process = start_postgres(folder, free_port(), folder / "postgres.log")
    try:
        yield PostgresServer(server)
    finally:
        process.stop()


@dataclass(frozen=True)
class KafkaBroker:
    """A running broker without topics."""

    server: EmbeddedBroker

    @property
    def bootstrap(self) -> str:
        """What a client is given as bootstrap server."""
        return self.server.bootstrap

    def create_topics(self, partitions: Mapping[str, int], own: Mapping[str, Mapping[str, str]] | None = None) -> None:
        """Make topics: name to number of partitions, and to settings of their own."""
        ensure_topics(self.bootstrap, partitions, EMBEDDED_TOPIC_CONFIG, own)


@contextmanager
def running_broker(folder: Path) -> Iterator[KafkaBroker]:
    """A broker of its own while the block runs; it starts in 20 ms."""
    server, process = start_broker(folder, free_port(), folder / "kafka.log")
    try:
        yield KafkaBroker(server)
    finally:
        process.stop()
