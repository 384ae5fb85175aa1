"""Every function as Lambda runs it: the unpacked package, read-only, Lambda's own runtime client, recorded events, frozen between calls.

What an import in this process can't show: a module that is missing from the package, a write to it, the time and memory of an init, the end
of a process.
"""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from chalicelib.messages.topics import SCHEDULES
from infra.stack import devkeys
from tests.integration.test_database_login import CREDENTIALS, Asking
from tests.integration.test_database_security import ending_tls
from tests.support.database import FUNCTIONS_ROLE
from tests.support.edge import NEW_ORDER, OWNER
from tests.support.kafka_records import Record, lambda_event, on_topic
from tests.support.lambda_runtime import UNSHARE, Died, Environment, FunctionError, InitFailed, running
from tests.support.partner_script import Partners
from tests.support.servers import KafkaBroker, PostgresServer
from tests.support.tls import server_context
from tests.support.unpacked import unpack

pytestmark = pytest.mark.tool("lambda")

EVENTS = Path(__file__).parents[1] / "data" / "lambda_events"
PASSWORD = "of-this-test"
OWNER_ROLE = "campusg_owner"
# Of 512 MB.
MOST_MB = 130
# The emulator's settings; what concerns the database is as on AWS.
STAGE = {"STAGE": "test", "ALLOW_DEVELOPMENT_SETTINGS": "1"}


# The longest time that a thread beside the handler did not run.
RESTING = """
import threading
longest = [0.0]

def run():
    while True:
        seen = time.monotonic()
        time.sleep(0.002)
        longest[0] = max(longest[0], time.monotonic() - seen)

threading.Thread(target=run, daemon=True).start()
"""


@pytest.fixture(scope="module", autouse=True)
def sandbox() -> None:
    """The tests need a kernel that gives ordinary users namespaces of their own."""
    if subprocess.run([*UNSHARE, "true"], check=False, capture_output=True).returncode != 0:
        # Also where tools are required: no command brings it.
        pytest.skip(f"needs namespaces: a kernel that allows `{' '.join(UNSHARE)} true`")


def recorded(name: str) -> Any:
    return json.loads((EVENTS / f"{name}.json").read_text())


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package with what a deployment puts beside it: the authorities of the database, and the public keys of development."""
    folder = unpack(tmp_path_factory.mktemp("package") / "task")
    devkeys.jwks_file(folder)
    return folder


@pytest.fixture
def start(tmp_path: Path, package: Path) -> Iterator[Callable[..., Environment]]:
    """Starts a function by its handler's name, with these variables; all are ended with the test."""
    with ExitStack() as ending:

        def begin(handler: str, package: Path = package, timeout: float = 30, **variables: str) -> Environment:
            return ending.enter_context(running(tmp_path, package, handler, variables, timeout=timeout))

        yield begin


@pytest.fixture
def database(postgres_server: PostgresServer, package: Path) -> Iterator[Callable[[str], dict[str, str]]]:
    """A database without tables behind TLS: the variables of a function that works there as that role."""
    context, authority = server_context(package)
    url = sa.make_url(postgres_server.create_database())
    with ending_tls(postgres_server.server.port, context) as port:

        def variables(role: str) -> dict[str, str]:
            named = url.set(port=port) if role == url.username else url.set(port=port, username=role, password=PASSWORD)
            return {"DATABASE_URL": named.render_as_string(hide_password=False), "DATABASE_CA_FILE": f"/var/task/{authority.name}", **STAGE}

        variables.master = str(url.username)  # type: ignore[attr-defined]
        yield variables
    postgres_server.server.execute(f'DROP DATABASE "{url.database}" WITH (FORCE)')
    postgres_server.server.execute(f"DROP ROLE {OWNER_ROLE}")


def called(api: Environment, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """What the HTTP function answers to API Gateway's event for a request of the customer's."""
    event = recorded("api_gateway")
    event |= {"httpMethod": method, "path": path, "body": None if body is None else json.dumps(body)}
    order = path.removeprefix("/api/orders").strip("/")
    if path.startswith("/api/orders/"):
        event |= {"resource": "/api/orders/{order_id}", "pathParameters": {"order_id": order}}
    else:
        event["resource"] = path
    if path.startswith("/api/"):
        event["requestContext"]["authorizer"] = {"principalId": OWNER.sub, "roles": "customer", "integrationLatency": 7}
    event["requestContext"] |= {"resourcePath": event["resource"], "httpMethod": method, "path": f"/v1{path}"}
    answer = api.invoke(event)
    return answer["statusCode"], json.loads(answer["body"])


def kafka_event(recording: str, record: Record) -> Any:
    """A recorded event whose record is this one."""
    event = recorded(recording)
    event["records"] = lambda_event(record)["records"]
    return event


def fits_lambda(environment: Environment) -> None:
    """What it printed is JSON, of its stage, and it has used little memory."""
    assert environment.peak_mb < MOST_MB
    for line in environment.printed:
        assert json.loads(line)["stage"] == "test"


def test_an_order_goes_through_all_functions(
    start: Callable[..., Environment],
    database: Callable[[str], dict[str, str]],
    postgres_server: PostgresServer,
    package: Path,
    kafka: KafkaBroker,
) -> None:
    execute = postgres_server.server.execute
    roles = {"DATABASE_OWNER_ROLE": OWNER_ROLE, "DATABASE_FUNCTIONS_ROLE": FUNCTIONS_ROLE}
    making = start("chalicelib.entrypoints.roles.make_roles", **database(database.master), **roles)  # type: ignore[attr-defined]
    assert making.invoke({}) == {"status": "made"}
    for role in (OWNER_ROLE, FUNCTIONS_ROLE):
        execute(f"ALTER ROLE {role} PASSWORD '{PASSWORD}'")
    migrating = start("app.migrate", **database(OWNER_ROLE), DATABASE_FUNCTIONS_ROLE=FUNCTIONS_ROLE)
    assert migrating.invoke({}) == {"status": "migrated"}

    authorizer = start("app.token_auth", **STAGE, DEV_JWKS_FILE="/var/task/jwks.json")
    token = devkeys.token(package, OWNER.roles, OWNER.sub, datetime.now(UTC))
    policy = authorizer.invoke({**recorded("authorizer"), "authorizationToken": f"Bearer {token}"})
    assert (policy["principalId"], policy["context"]) == (OWNER.sub, {"roles": "customer"})
    assert authorizer.invoke(recorded("authorizer"))["policyDocument"]["Statement"][0]["Resource"] == []

    settings = {**database(FUNCTIONS_ROLE), "KAFKA_BROKERS": kafka.bootstrap}
    api = start("app.app", **settings)
    status, placed = called(api, "POST", "/api/orders", NEW_ORDER)
    assert status == 202, placed
    partners, functions = Partners(), [authorizer, api]
    for topic, recording in (("user", "msk"), ("payment", "self_managed"), ("escrow", "msk")):
        [command] = on_topic(kafka.bootstrap, f"{topic}-commands")
        reply = partners.work(command)
        assert reply is not None
        functions.append(start(f"app.on_{topic}_events", **settings))
        assert functions[-1].invoke(kafka_event(recording, reply)) == {"batchItemFailures": []}
    # Since its first answer the function was frozen.
    status, order = called(api, "GET", f"/api/orders/{placed['order']['orderId']}")
    assert (status, order["orderStatus"]) == (200, "READY_FOR_PICKUP")
    for schedule in SCHEDULES:
        functions.append(start(f"app.{schedule.function}", **settings))
        assert functions[-1].invoke(recorded("schedule")) is None
    for environment in functions:
        fits_lambda(environment)
    ended = [line for line in map(json.loads, functions[4].printed) if line.get("message") == "A saga ended"]
    assert [(line["order_id"], bool(line["request_id"])) for line in ended] == [(placed["order"]["orderId"], True)]


def test_whether_it_is_there_is_answered_without_a_single_setting(start: Callable[..., Environment]) -> None:
    assert called(start("app.app"), "GET", "/health")[0] == 200


def test_who_signs_in_by_iam_does_so_with_the_functions_own_role(start: Callable[..., Environment], package: Path) -> None:
    """Nothing is for development here; botocore is Lambda's."""
    context, authority = server_context(package)
    server = Asking(context)
    database = {"DATABASE_HOST": "127.0.0.1", "DATABASE_PORT": str(server.port), "DATABASE_USER": "campusg", "STAGE": "test"}
    verified = {"DATABASE_CA_FILE": f"/var/task/{authority.name}", "KAFKA_BROKERS": "127.0.0.1:9098", "KAFKA_SECURITY": "MSK_IAM"}
    sweeping = start("app.sweep_timeouts", **database, **verified, **CREDENTIALS)
    with pytest.raises(FunctionError, match="SQLSTATE 28000"):
        sweeping.invoke(recorded("schedule"))
    server.close()
    [token] = server.passwords
    assert token.startswith(f"127.0.0.1:{server.port}/?Action=connect&DBUser=campusg&")
    assert f"X-Amz-Credential={CREDENTIALS['AWS_ACCESS_KEY_ID']}" in token


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[[str], Path]:
    """A package whose function has this body."""

    def make(body: str) -> Path:
        folder = tmp_path / "tiny"
        folder.mkdir()
        (folder / "app.py").write_text(f"import os, time\n\n\ndef handler(event, context):\n    {body}\n")
        return folder

    return make


@pytest.mark.parametrize(
    ("body", "error", "sentence"),
    [
        ("open('/var/task/app.py', 'a')", FunctionError, "OSError: .*Read-only file system"),
        ("raise ValueError('no')", FunctionError, "ValueError: no"),
        ("os._exit(3)", Died, "exit status 3"),
        ("time.sleep(5)", Died, "timed out after 0.20 seconds"),
    ],
)
def test_what_lambda_does_not_let_pass_is_noticed(
    start: Callable[..., Environment], tiny: Callable[[str], Path], body: str, error: type[Exception], sentence: str
) -> None:
    environment = start("app.handler", tiny(body), timeout=0.2 if "sleep" in body else 5)
    with pytest.raises(error, match=sentence):
        environment.invoke({})


def test_a_module_that_is_not_in_the_package_ends_the_init(start: Callable[..., Environment], tiny: Callable[[str], Path]) -> None:
    package = tiny("return 1")
    # It is installed here.
    (package / "app.py").write_text("import pytest\n")
    with pytest.raises(InitFailed, match=r"ImportModuleError.*No module named 'pytest'"):
        start("app.handler", package)


def test_nothing_runs_between_two_calls(start: Callable[..., Environment], tiny: Callable[[str], Path]) -> None:
    package = tiny("time.sleep(0.02); return longest[0]")
    with (package / "app.py").open("a") as file:
        file.write(RESTING)
    environment = start("app.handler", package)
    environment.invoke({})
    time.sleep(1)
    assert environment.invoke({}) >= 0.9
