"""The service's core on a database of its own, with and without a broker."""

import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import sqlalchemy as sa

from chalicelib.db import roles
from chalicelib.db.connection import make_engine
from chalicelib.db.migrations import upgrade
from chalicelib.ids import new_id
from chalicelib.messaging.producer import Producer
from chalicelib.messaging.publisher import Publisher
from chalicelib.runtime import Runtime, forget, runtime
from chalicelib.sagas.create_order import CREATE_ORDER
from chalicelib.sagas.registry import DEFINITIONS
from chalicelib.settings import Settings
from infra.stack.devkeys import jwks_file
from tests.support.database import FUNCTIONS_ROLE, Placed, World
from tests.support.edge import Edge, InProcess, serving
from tests.support.esm import Topic
from tests.support.kafka_records import Record, Sent, answer, lambda_event, on_topic
from tests.support.operator_command import OperatorCommand
from tests.support.scene import Stage
from tests.support.servers import KafkaBroker, PostgresServer

FUNCTIONS_PASSWORD = "of-the-tests"
# The rules of a service that is started without any setting of its own.
RULES = Runtime(Settings.read({"DATABASE_URL": "postgresql+pg8000://h/d", "KAFKA_BROKERS": "h:1"})).rules


class Context:
    """What Lambda tells a function about its time."""

    def __init__(self, milliseconds: int = 30_000) -> None:
        self._milliseconds = milliseconds

    def get_remaining_time_in_millis(self) -> int:
        return self._milliseconds


@pytest.fixture
def topic(kafka_server: KafkaBroker) -> Iterator[Topic]:
    """A topic of three partitions for one test."""
    made = Topic(kafka_server.bootstrap, 3)
    yield made
    made.close()


@pytest.fixture(scope="module")
def database_url(postgres_server: PostgresServer, migrated_template: str) -> Iterator[str]:
    """A database whose role waits for locks as long as in production; such limits aren't cloned with a database."""
    url = postgres_server.create_database(template=migrated_template)
    upgrade(url)
    yield url
    postgres_server.drop_database(url)


@pytest.fixture(scope="module")
def functions_url(database_url: str, postgres_server: PostgresServer) -> str:
    """The same database for the functions' role, which has the rights that it has on AWS, and no others."""
    url = sa.make_url(database_url)
    engine = make_engine(url, pool_size=1)
    with engine.begin() as session:
        roles.make_roles(session, str(url.username), FUNCTIONS_ROLE)
        roles.grant(session, FUNCTIONS_ROLE)
        session.execute(sa.text(f"ALTER ROLE {FUNCTIONS_ROLE} PASSWORD '{FUNCTIONS_PASSWORD}'"))
    engine.dispose()
    return url.set(username=FUNCTIONS_ROLE, password=FUNCTIONS_PASSWORD).render_as_string(hide_password=False)


@pytest.fixture(scope="module")
def engine(database_url: str) -> Iterator[sa.Engine]:
    """Connections to the module's database."""
    engine = make_engine(database_url, pool_size=12)
    yield engine
    engine.dispose()


@pytest.fixture
def world(engine: sa.Engine) -> World:
    """The service's tables, empty."""
    world = World(engine, RULES)
    world.empty()
    return world


@pytest.fixture
def stage(world: World) -> Iterator[Stage]:
    """A stage on the tables of `world`."""
    with closing(Stage(world)) as stage:
        yield stage


@pytest.fixture(scope="module")
def shared_stage(engine: sa.Engine) -> Iterator[Stage]:
    """A stage for a whole module, for tests each of which has orders of its own."""
    with closing(Stage(World(engine, RULES))) as stage:
        yield stage


@dataclass
class Service:
    """The deployed functions, called in this process on a real database and a real broker."""

    world: World
    runtime: Runtime
    app: ModuleType
    broker: str

    def on_events(self, *records: Record, milliseconds: int = 30_000) -> dict[str, Any]:
        """Hand the records to the function that takes the events of their topic; its response."""
        functions = {"user-events": "on_user_events", "payment-events": "on_payment_events", "escrow-events": "on_escrow_events"}
        function = getattr(self.app, functions[records[0].topic])
        response: dict[str, Any] = function(lambda_event(*records), Context(milliseconds))
        return response

    def topic(self, name: str) -> list[Sent]:
        return on_topic(self.broker, name)


@pytest.fixture
def service(world: World, functions_url: str, kafka: KafkaBroker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Service]:
    """All functions, on the database of `world`."""
    yield from serve(world, functions_url, kafka.bootstrap, monkeypatch, jwks_file(tmp_path))


@pytest.fixture
def brokerless(world: World, functions_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Service]:
    """All functions, where nothing is published: what they write stays in the outbox to be looked at."""
    monkeypatch.setattr(Producer, "resting", property(lambda self: True))
    yield from serve(world, functions_url, "127.0.0.1:1", monkeypatch, jwks_file(tmp_path))


def serve(world: World, database_url: str, broker: str, monkeypatch: pytest.MonkeyPatch, keys: Path, **variables: str) -> Iterator[Service]:
    environment = {
        "DATABASE_URL": database_url,
        "DATABASE_POOL_SIZE": "6",
        "KAFKA_BROKERS": broker,
        "DEV_JWKS_FILE": str(keys),
        "POWERTOOLS_METRICS_DISABLED": "true",
        **variables,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    forget()
    import app

    built = runtime()
    yield Service(world, built, sys.modules[app.__name__], broker)
    built.producer.close()
    built.database.close()
    forget()


@pytest.fixture
def publisher(world: World, kafka: KafkaBroker) -> Iterator[Publisher]:
    """A publisher of its own for the database of `world`."""
    producer = Producer(kafka.bootstrap)
    yield Publisher(world.database, producer, new_id)
    producer.close()


@pytest.fixture
def http(service: Service, tmp_path: Path) -> InProcess:
    """A client for the HTTP side of `service`."""
    return InProcess(service.app.app, tmp_path)


@pytest.fixture
def offline(brokerless: Service, tmp_path: Path) -> InProcess:
    """A client for the HTTP side of `brokerless`."""
    return InProcess(brokerless.app.app, tmp_path)


@pytest.fixture
def edge(brokerless: Service, tmp_path: Path) -> Iterator[Edge]:
    """The HTTP side of `brokerless` behind the local gateway."""
    with serving(brokerless.app.app, tmp_path) as running:
        yield running


@pytest.fixture
def placed(brokerless: Service) -> list[Placed]:
    """Four orders of `brokerless` whose customers are being checked."""
    return brokerless.world.place_many(4)


@pytest.fixture
def records(brokerless: Service, placed: list[Placed]) -> list[Record]:
    """The answers that `placed` wait for."""
    return [answer(command) for command in brokerless.world.pending_of(placed)]


@pytest.fixture
def operator_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> OperatorCommand:
    """`operator_command("why", SAGA=…)`, where no stack runs."""
    return OperatorCommand(tmp_path / "none", capsys)


@pytest.fixture
def released(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Have the release that knows the definition of `of_a_newer_release`."""
    return lambda: monkeypatch.setitem(DEFINITIONS, ("create_order", 9), replace(CREATE_ORDER, version=9))
