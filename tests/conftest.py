"""What every kind of test may ask for: a PostgreSQL, a database of one's own, a Kafka broker of one's own."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Literal

import pytest

from infra.stack.ports import HIGHEST, LOWEST
from tests.support.servers import (
    GIVEN_POSTGRES,
    SERVER_FIXTURES,
    TEMPLATE,
    GivenKafka,
    KafkaBroker,
    PostgresServer,
    a_broker,
    a_given_kafka,
    a_postgres,
    is_given,
)

# After every test with tables of its own nothing in them breaks an invariant; in none do functions pin a session of RDS Proxy; tests that
# need a tool are left out without it, and the last lines have the figures that tests reported.
pytest_plugins = ["tests.support.auditing", "tests.support.pinning", "tests.support.tools", "tests.support.figures"]


def pytest_xdist_auto_num_workers() -> int:
    """One process more than there are processors: whole stacks are often waited for."""
    return (os.cpu_count() or 1) + 1


def pytest_configure() -> None:
    """Give each process of the tests, and what it starts, ports of its own: a chosen one stays free until it is listened on."""
    number, processes = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    share = (HIGHEST - LOWEST) // processes
    os.environ["FREE_PORTS"] = f"{LOWEST + number * share}-{LOWEST + (number + 1) * share - 1}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On other servers than the embedded ones, leave only the tests that use them and can run there."""
    if is_given():
        wanted = [item for item in items if SERVER_FIXTURES & {*getattr(item, "fixturenames", ())}]
        chosen = [item for item in wanted if not item.get_closest_marker("embedded")]
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """One PostgreSQL for the whole run."""
    with a_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="session")
def migrated_template(postgres_server: PostgresServer) -> str:
    """The name of a database that has all migrations, to clone from."""
    from chalicelib.db.migrations import upgrade

    postgres_server.server.ensure_database(TEMPLATE)
    upgrade(postgres_server.server.url(TEMPLATE))
    postgres_server.make_template(TEMPLATE)
    return TEMPLATE


@pytest.fixture
def empty_database(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of a database without any table, for one test."""
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture
def fresh_database(postgres_server: PostgresServer, migrated_template: str) -> Iterator[str]:
    """The URL of a database with all tables and no rows, for one test."""
    url = postgres_server.create_database(template=migrated_template)
    yield url
    postgres_server.drop_database(url)


@pytest.fixture(scope="session")
def given_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GivenKafka | None]:
    """The Kafka of the whole run, where another than the embedded one is given."""
    with a_given_kafka(tmp_path_factory.mktemp("apache-kafka")) as given:
        yield given


@pytest.fixture(scope="session")
def kafka_server(tmp_path_factory: pytest.TempPathFactory, given_kafka: GivenKafka | None) -> Iterator[KafkaBroker]:
    """One broker without topics for the whole run, for tests that make topics with names of their own."""
    with a_broker(tmp_path_factory.mktemp("kafka"), given_kafka) as broker:
        yield broker


@pytest.fixture
def bare_kafka(tmp_path_factory: pytest.TempPathFactory, given_kafka: GivenKafka | None) -> Iterator[KafkaBroker]:
    """A broker without topics, for one test."""
    with a_broker(tmp_path_factory.mktemp("kafka"), given_kafka) as broker:
        yield broker


@pytest.fixture
def kafka(bare_kafka: KafkaBroker) -> KafkaBroker:
    """A broker with all topics of the service, empty, for one test."""
    from chalicelib.messages.topics import PARTITIONS, SETTINGS

    bare_kafka.create_topics(PARTITIONS, SETTINGS)
    return bare_kafka


def module_if_given(fixture_name: str, config: pytest.Config) -> Literal["module", "package"]:
    """The scope of a whole stack: given servers serve one at a time."""
    return "module" if is_given() else "package"


@pytest.fixture(scope=module_if_given)
def stack_servers(request: pytest.FixtureRequest) -> Iterator[Mapping[str, str]]:
    """The variables of `make run` for a whole stack on the given servers; none, and so the embedded ones, where none are given."""
    variables = {}
    with ExitStack() as servers:
        if is_given(GIVEN_POSTGRES):
            postgres: PostgresServer = request.getfixturevalue("postgres_server")
            variables["DATABASE_URL"] = postgres.create_database()
            servers.callback(postgres.drop_database, variables["DATABASE_URL"])
        if given := request.getfixturevalue("given_kafka"):
            given.delete_topics()
            variables["KAFKA_BROKERS"] = given.bootstrap
        yield variables
