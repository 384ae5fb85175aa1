"""A plugin of pytest: in every test, whatever the functions ask of PostgreSQL leaves nothing behind in their session.

RDS Proxy gives a session's next transaction to any connection, unless a statement has changed the session: then it is pinned to one until
it ends, and the proxy is of no use (Amazon RDS User Guide, "Avoiding pinning an RDS Proxy", PostgreSQL). Statements within a function of
the database are not seen by it. Watched are sessions of the functions' role; migrations and the making of roles may do all this.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import pytest
from pg8000.core import NULL_BYTE

from chalicelib.db.driver import Connection
from tests.support.database import FUNCTIONS_ROLE

# SET LOCAL and SET TRANSACTION, too: the guide makes no exception for them.
PINNING = re.compile(
    r"""^\s*(SET|RESET|DISCARD|PREPARE|DEALLOCATE|EXECUTE|DECLARE|LISTEN|UNLISTEN|LOAD)\b
    | \bset_config\s*\( | \bpg_(try_)?advisory_lock | \b(nextval|setval|currval|lastval)\s*\(
    | \bCREATE\s+(GLOBAL\s+|LOCAL\s+)?TEMP(ORARY)?\b""",
    re.IGNORECASE | re.VERBOSE,
)
NAMED = "a statement that is prepared under a name"

_found: list[str] = []


@lru_cache(maxsize=4096)
def pins(statement: str) -> bool:
    """Whether RDS Proxy would keep the session that runs it to itself."""
    return PINNING.search(statement) is not None


def pytest_configure() -> None:
    """Watch the driver for the whole run."""
    for name, place in (("send_QUERY", 0), ("send_PARSE", 1), ("send_ahead", 0)):
        setattr(Connection, name, _watched(getattr(Connection, name), place))


@pytest.fixture(autouse=True)
def unpinned() -> Iterator[None]:
    """Fails a test in which the functions have pinned a session."""
    _found.clear()
    yield
    assert _found == [], "RDS Proxy would be pinned"


def _watched(send: Callable[..., Any], place: int) -> Callable[..., Any]:
    def watched(connection: Connection, *arguments: Any) -> Any:
        if connection.user == FUNCTIONS_ROLE.encode():
            statement = str(arguments[place])
            if pins(statement):
                _found.append(statement)
            if place == 1 and arguments[0] != NULL_BYTE:
                _found.append(f"{NAMED}: {statement}")
        return send(connection, *arguments)

    return watched
