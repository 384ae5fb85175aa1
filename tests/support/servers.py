"""The tests' own PostgreSQL and Kafka brokers: real servers over TCP, in folders and on ports of their own.

Others instead of the embedded ones (`make test-ground`), and then only the tests that use them run:

- `TEST_POSTGRES_PROGRAMS`: the folder of another PostgreSQL's programs, `TEST_KAFKA_VERSION`: a version of Apache Kafka whose jars are
  there (`make kafka-jars`). Each process of the tests starts its own.
- `TEST_DATABASE_URL`, `TEST_KAFKA_BROKERS`: servers that run already, a PostgreSQL with a superuser, and a Kafka for these tests alone, as
  its topics are deleted. Tests that share them run one at a time (`pytest --numprocesses 0`).
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import sqlalchemy as sa
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient

from infra.stack.apache_kafka import kafka_service, start_kafka
from infra.stack.broker import EMBEDDED_TOPIC_CONFIG, EmbeddedBroker, ensure_topics, start_broker
from infra.stack.ports import free_port
from infra.stack.postgres import EmbeddedPostgres, start_postgres
from tests.support.eventually import eventually

TEMPLATE = "migrated_template"
GIVEN_POSTGRES, GIVEN_KAFKA = ("TEST_POSTGRES_PROGRAMS", "TEST_DATABASE_URL"), ("TEST_KAFKA_VERSION", "TEST_KAFKA_BROKERS")
# Tests with one of these among their fixtures depend on what a server does.
SERVER_FIXTURES = frozenset({"postgres_server", "kafka_server", "bare_kafka", "stack_servers"})


class GivenPostgres:
    """A PostgreSQL that somebody else runs, used as the embedded one is."""

    def __init__(self, url: str) -> None:
        self._url = sa.make_url(url)
        self.port = self._url.port or 5432

    def url(self, database: str) -> str:
        """The URL of a database, password included."""
        return self._url.set(database=database).render_as_string(hide_password=False)

    def execute(self, statement: str, parameters: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        """Run one statement in the database that the URL names; return its rows."""
        engine = sa.create_engine(self._url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            result = connection.exec_driver_sql(statement, parameters)
            return [tuple(row) for row in result] if result.returns_rows else []

    def ensure_database(self, name: str) -> None:
        """Create the database if it is missing."""
        if not self.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)):
            self.execute(f'CREATE DATABASE "{name}"')


@dataclass(frozen=True)
class GivenKafka:
    """A Kafka that somebody else runs, used as the embedded one is."""

    bootstrap: str

    @property
    def port(self) -> int:
        """The port of its first broker."""
        return int(self.bootstrap.partition(",")[0].rpartition(":")[2])

    def delete_topics(self) -> None:
        """Delete all topics but Kafka's own, and wait until they are gone."""
        admin = KafkaAdminClient(bootstrap_servers=self.bootstrap.split(","))
        try:
            admin.delete_topics(_topics_of(admin))
            eventually(lambda: not _topics_of(admin), what="the end of all topics")
        finally:
            admin.close()

    def await_leaders(self, topics: Mapping[str, int]) -> None:
        """Wait until every partition answers: a topic that was just made is known before its broker leads it."""
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap.split(","))
        try:
            consumer.end_offsets([TopicPartition(name, each) for name, number in topics.items() for each in range(number)])
        finally:
            consumer.close()


@dataclass(frozen=True)
class PostgresServer:
    """A running server; `server.execute` runs a statement as superuser in the database `postgres`."""

    server: EmbeddedPostgres | GivenPostgres

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
        self.server.execute(f'DROP DATABASE IF EXISTS "{url.rpartition("/")[2]}" WITH (FORCE)')


@contextmanager
def running_postgres(folder: Path) -> Iterator[PostgresServer]:
    """A PostgreSQL of its own while the block runs."""
    programs = os.environ.get("TEST_POSTGRES_PROGRAMS")
    server, process = start_postgres(folder, free_port(), folder / "postgres.log", Path(programs) if programs else None)
    try:
        yield PostgresServer(server)
    finally:
        process.stop()


@dataclass(frozen=True)
class KafkaBroker:
    """A running broker without topics."""

    server: EmbeddedBroker | GivenKafka

    @property
    def bootstrap(self) -> str:
        """What a client is given as bootstrap server."""
        return self.server.bootstrap

    def create_topics(self, partitions: Mapping[str, int], own: Mapping[str, Mapping[str, str]] | None = None) -> None:
        """Make topics: name to number of partitions, and to settings of their own."""
        ensure_topics(self.bootstrap, partitions, EMBEDDED_TOPIC_CONFIG, own)
        if isinstance(self.server, GivenKafka):
            self.server.await_leaders(partitions)


@contextmanager
def running_broker(folder: Path) -> Iterator[KafkaBroker]:
    """A broker of its own while the block runs; it starts in 20 ms."""
    server, process = start_broker(folder, free_port(), folder / "kafka.log")
    try:
        yield KafkaBroker(server)
    finally:
        process.stop()


@contextmanager
def a_postgres(folder: Path) -> Iterator[PostgresServer]:
    """The PostgreSQL of `TEST_DATABASE_URL`, else one of its own while the block runs."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        server = PostgresServer(GivenPostgres(given))
        # As the embedded one is: databases that are cloned have none of the settings that a migration gives the role.
        server.server.execute("ALTER ROLE CURRENT_USER SET jit = off")
        # Of an earlier run.
        server.drop_database(server.server.url(TEMPLATE))
        yield server
    else:
        with running_postgres(folder) as server:
            yield server


@contextmanager
def a_given_kafka(folder: Path) -> Iterator[GivenKafka | None]:
    """The Kafka that all tests of this process share, where one is given."""
    if bootstrap := os.environ.get("TEST_KAFKA_BROKERS"):
        yield GivenKafka(bootstrap)
    elif os.environ.get("TEST_KAFKA_VERSION"):
        kafka, process = start_kafka(
            folder, free_port(), folder / "kafka.log", kafka_service({"KAFKA_VERSION": os.environ["TEST_KAFKA_VERSION"]})
        )
        try:
            yield GivenKafka(kafka.bootstrap)
        finally:
            process.stop()
    else:
        yield None


@contextmanager
def a_broker(folder: Path, given: GivenKafka | None) -> Iterator[KafkaBroker]:
    """The given Kafka, its topics deleted, else a broker of its own while the block runs."""
    if given:
        given.delete_topics()
        yield KafkaBroker(given)
    else:
        with running_broker(folder) as broker:
            yield broker


def is_given(names: Iterable[str] = (*GIVEN_POSTGRES, *GIVEN_KAFKA)) -> bool:
    """Whether the tests run on other servers than the embedded ones."""
    return any(os.environ.get(name) for name in names)


def _topics_of(admin: KafkaAdminClient) -> list[str]:
    return [name for name in admin.list_topics() if not name.startswith("__")]
