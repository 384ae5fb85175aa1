"""As whom the functions sign in on AWS: with a token of their role for each connection, or with what a secret says just now."""

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
import sqlalchemy as sa
from moto import mock_aws

from chalicelib.db import access
from chalicelib.db.access import SECRET_KEPT_SECONDS, SecretLogin, open_engine
from chalicelib.db.states import Kind, kind_of
from chalicelib.settings import DatabaseSettings
from tests.integration.test_database_security import SSL_REQUEST, YES, ending_tls
from tests.support.servers import PostgresServer
from tests.support.tls import server_context

REGION = "eu-west-1"
MOMENTS = [datetime(2026, 11, 29, 7, 16, second, tzinfo=UTC) for second in (42, 43)]
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "session"}
# PostgreSQL documentation, "Message Formats": AuthenticationCleartextPassword, as RDS asks for a token, and ErrorResponse.
ASK_FOR_PASSWORD = b"R\x00\x00\x00\x08\x00\x00\x00\x03"
REFUSAL = b"SFATAL\x00C28000\x00Mrefused\x00\x00"


class Asking:
    """A server in TLS that asks for a password and refuses it; `passwords` are those it was told."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.passwords: list[str] = []
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                assert client.recv(len(SSL_REQUEST)) == SSL_REQUEST
                client.sendall(YES)
                with self._context.wrap_socket(client, server_side=True) as secured:
                    secured.recv(4096)
                    secured.sendall(ASK_FOR_PASSWORD)
                    self.passwords.append(secured.recv(65_536)[5:].rstrip(b"\x00").decode())
                    secured.sendall(b"E" + (len(REFUSAL) + 4).to_bytes(4, "big") + REFUSAL)


@pytest.fixture
def asking(tmp_path: Path) -> Iterator[tuple[Asking, Path]]:
    context, authority = server_context(tmp_path)
    server = Asking(context)
    yield server, authority
    server.close()


@pytest.fixture(autouse=True)
def signing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials and region as Lambda gives them."""
    for name, value in {**CREDENTIALS, "AWS_DEFAULT_REGION": REGION}.items():
        monkeypatch.setenv(name, value)


def parts(token: str) -> tuple[str, dict[str, list[str]]]:
    """A token's host and port, and its parameters in whatever order."""
    url = urlsplit(f"//{token}")
    return url.netloc, parse_qs(url.query)


def connect(engine: sa.Engine) -> str:
    """The role that a new connection has."""
    with engine.connect() as session:
        role = str(session.execute(sa.text("SELECT session_user::text")).scalar_one())
    engine.dispose()
    return role


def test_each_connection_signs_in_with_a_token_of_its_own_as_boto3_makes_it(asking: tuple[Asking, Path]) -> None:
    server, authority = asking
    given = {"DATABASE_HOST": "127.0.0.1", "DATABASE_PORT": str(server.port), "DATABASE_USER": "campusg_functions"}
    engine = open_engine(DatabaseSettings.read({**given, "DATABASE_CA_FILE": str(authority), "AWS_DEFAULT_REGION": REGION}))
    assert server.passwords == []
    expected = []
    for moment in MOMENTS:
        with patch("botocore.auth.get_current_datetime") as now:
            now.return_value = moment
            expected.append(boto3.client("rds").generate_db_auth_token("127.0.0.1", server.port, "campusg_functions"))
            with pytest.raises(sa.exc.DBAPIError) as refused:
                connect(engine)
            assert "X-Amz-Signature" not in str(refused.value)
    assert [parse_qs(urlsplit(f"//{each}").query) for each in server.passwords] == [
        parse_qs(urlsplit(f"//{each}").query) for each in expected
    ]
    assert len(set(server.passwords)) == 2


def test_without_credentials_no_token_is_signed_and_the_database_counts_as_away(
    asking: tuple[Asking, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in CREDENTIALS:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    given = {"DATABASE_HOST": "127.0.0.1", "DATABASE_PORT": str(asking[0].port), "DATABASE_USER": "u"}
    engine = open_engine(DatabaseSettings.read({**given, "DATABASE_CA_FILE": str(asking[1]), "AWS_DEFAULT_REGION": REGION}))
    with pytest.raises(ConnectionError, match="no credentials") as raised:
        connect(engine)
    assert kind_of(raised.value) is Kind.AWAY


class Vault:
    """A secret's text, and how often it was read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.read = 0

    def __call__(self) -> str:
        self.read += 1
        return self.text


@pytest.fixture
def rotating(postgres_server: PostgresServer) -> Iterator[Callable[[str], None]]:
    """Sets the password of the role `rotating`."""
    execute = postgres_server.server.execute
    execute("CREATE ROLE rotating LOGIN")
    yield lambda password: execute(f"ALTER ROLE rotating PASSWORD '{password}'")
    execute("DROP ROLE rotating")


def test_a_secret_is_read_once_and_anew_when_its_password_was_rotated(
    postgres_server: PostgresServer, rotating: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole way: Secrets Manager as moto plays it, TLS that is verified, PostgreSQL."""
    context, authority = server_context(tmp_path)
    with mock_aws(), ending_tls(postgres_server.server.port, context) as port:
        manager = boto3.client("secretsmanager", region_name=REGION)
        login = {"username": "rotating", "password": "first", "port": port, "dbname": "postgres", "engine": "postgres"}
        arn = manager.create_secret(Name="orders", SecretString=json.dumps(login))["ARN"]
        given = {"DATABASE_SECRET_ARN": arn, "DATABASE_HOST": "127.0.0.1", "DATABASE_NAME": "not_this_one"}
        rotating("first")
        engine = open_engine(DatabaseSettings.read({**given, "DATABASE_CA_FILE": str(authority), "AWS_DEFAULT_REGION": REGION}))
        assert connect(engine) == "rotating"

        rotating("second")
        manager.put_secret_value(SecretId=arn, SecretString=json.dumps({**login, "password": "second"}))
        now = access.time.time() + 60
        monkeypatch.setattr(access.time, "time", lambda: now)
        assert connect(engine) == "rotating"


def test_a_secret_is_kept_for_its_time_and_is_not_asked_for_by_every_refused_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000.0
    monkeypatch.setattr(access.time, "time", lambda: now)
    vault = Vault('{"username": "u", "password": "p"}')
    login = SecretLogin(vault)
    assert login.arguments() == login.arguments() == {"user": "u", "password": "p"}
    assert vault.read == 1
    assert not login.renew()
    assert vault.read == 1, "it was read just now"

    now += SECRET_KEPT_SECONDS - 1
    login.arguments()
    assert vault.read == 1
    assert not login.renew(), "it still says the same"
    assert vault.read == 2

    now += SECRET_KEPT_SECONDS + 1
    vault.text = '{"username": "u", "password": "q", "host": "h", "port": "5433", "dbname": "d"}'
    assert login.arguments() == {"user": "u", "password": "q", "host": "h", "port": 5433, "database": "d"}


@pytest.mark.parametrize(
    "text", ["", "s3cr3t", "[]", '"s3cr3t"', '{"username": "u"}', '{"username": "u", "password": "s3cr3t", "port": "x"}']
)
def test_a_secret_that_is_no_login_is_not_shown(text: str) -> None:
    with pytest.raises(ConnectionError, match="no JSON object with username and password") as raised:
        SecretLogin(Vault(text)).arguments()
    assert "s3cr3t" not in str(raised.value)
    assert raised.value.__suppress_context__


def test_a_secret_that_can_not_be_read_means_that_the_database_is_away() -> None:
    with mock_aws():
        given = {"DATABASE_SECRET_ARN": f"arn:aws:secretsmanager:{REGION}:1:secret:none", "AWS_DEFAULT_REGION": REGION}
        with pytest.raises(ConnectionError, match="can't be read") as raised:
            connect(open_engine(DatabaseSettings.read(given)))
    assert kind_of(raised.value) is Kind.AWAY
