"""The way to the database on AWS: in TLS, to a server whose certificate somebody vouches for, or not at all."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from chalicelib.db.connection import make_engine
from chalicelib.errors import SettingsError
from chalicelib.runtime import Runtime
from chalicelib.settings import Settings
from tests.support.tls import server_context
from tests.unit.test_settings import GOOD, ON_AWS

# What a client asks first where it wants TLS, and the answer of a server that has it (PostgreSQL documentation, "SSL Session Encryption").
SSL_REQUEST, YES = b"\x00\x00\x00\x08\x04\xd2\x16\x2f", b"S"


@contextmanager
def ending_tls(upstream: int, context: ssl.SSLContext) -> Iterator[int]:
    """The port of a proxy that ends TLS in front of the PostgreSQL at `upstream`, which was built without it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_serve, args=(listener, upstream, context), daemon=True).start()
        yield listener.getsockname()[1]
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def _serve(listener: socket.socket, upstream: int, context: ssl.SSLContext) -> None:
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            with suppress(ssl.SSLError, ConnectionError):
                assert client.recv(len(SSL_REQUEST)) == SSL_REQUEST
                client.sendall(YES)
                secured, server = context.wrap_socket(client, server_side=True), socket.create_connection(("127.0.0.1", upstream))
                for source, sink in ((secured, server), (server, secured)):
                    threading.Thread(target=_pass_on, args=(source, sink), daemon=True).start()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, Path]:
    return server_context(tmp_path)


@pytest.fixture
def secured(fresh_database: str, tls: tuple[ssl.SSLContext, Path]) -> Iterator[sa.URL]:
    """A database behind TLS."""
    url = sa.make_url(fresh_database)
    with ending_tls(url.port or 5432, tls[0]) as port:
        yield url.set(port=port)


def read(url: sa.URL, **changes: str) -> int:
    """How many orders there are, as a function on AWS reads it; `changes` are to its settings."""
    runtime = Runtime(Settings.read({**ON_AWS, "DATABASE_URL": url.render_as_string(hide_password=False), **changes}))
    try:
        with runtime.database.transaction() as session:
            return int(session.execute(sa.text("SELECT count(*) FROM campusg.orders")).scalar_one())
    finally:
        runtime.database.close()


def test_on_aws_the_database_is_spoken_to_through_tls(secured: sa.URL, tls: tuple[ssl.SSLContext, Path]) -> None:
    assert read(secured, DATABASE_CA_FILE=str(tls[1])) == 0


def test_on_aws_a_database_without_tls_gets_no_password(fresh_database: str) -> None:
    with pytest.raises(sa.exc.DBAPIError):
        read(sa.make_url(fresh_database))


def test_on_aws_a_certificate_that_nobody_vouches_for_is_refused(secured: sa.URL) -> None:
    with pytest.raises((sa.exc.DBAPIError, OSError)):
        read(secured)


def test_a_certificate_for_another_name_is_refused(secured: sa.URL, tls: tuple[ssl.SSLContext, Path]) -> None:
    with pytest.raises((sa.exc.DBAPIError, OSError)):
        read(secured.set(host="localhost"), DATABASE_CA_FILE=str(tls[1]))


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_file_of_authorities_that_is_none_is_refused_at_start(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=r"^DATABASE_CA_FILE: must be a file of certificates"):
        Runtime(Settings.read({**GOOD, "DATABASE_CA_FILE": str(file)}))


def test_at_home_a_database_without_tls_will_do(fresh_database: str) -> None:
    assert read(sa.make_url(fresh_database), AWS_LAMBDA_FUNCTION_NAME="", KAFKA_SECURITY="PLAINTEXT") == 0


def test_at_home_tls_is_spoken_where_it_is_offered_by_whomever(secured: sa.URL) -> None:
    engine = make_engine(secured, pool_size=1)
    with engine.connect() as session:
        connection: Any = session.connection.dbapi_connection
        assert isinstance(connection._usock, ssl.SSLSocket)
        assert session.execute(sa.text("SELECT count(*) FROM campusg.orders")).scalar_one() == 0
    engine.dispose()
