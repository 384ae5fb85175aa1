"""Connections to the database that `DATABASE_URL` names."""

import socket
from typing import Any
from urllib.parse import unquote, urlsplit

from pg8000.native import Connection

# Longer than any statement or wait for a lock here: pg8000 uses it for connecting and for each read.
SOCKET_TIMEOUT_SECONDS = 10


def connect(database_url: str) -> Connection:
    """Open a connection; raises ValueError where the URL is none, pg8000's errors where the database doesn't answer."""
    connection = Connection(**connection_arguments(database_url), timeout=SOCKET_TIMEOUT_SECONDS, application_name="campusg-partners")
    # Or the end of a statement of more than 8 KB, which a batch of answers has, waits 40 ms for the acknowledgement of its beginning.
    connection._usock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def connection_arguments(database_url: str) -> dict[str, Any]:
    """What pg8000 needs of a URL of the form `postgresql+pg8000://user:password@host:port/database`; raises ValueError where it is none."""
    parts = urlsplit(database_url)
    database = unquote(parts.path.lstrip("/"))
    if parts.scheme.split("+")[0] != "postgresql" or not parts.hostname or not parts.username or not database:
        raise ValueError("DATABASE_URL must have the form postgresql+pg8000://user:password@host:port/database")
    return {
        "host": parts.hostname,
        "port": parts.port or 5432,
        "user": unquote(parts.username),
        "password": unquote(parts.password) if parts.password else None,
        "database": database,
    }
