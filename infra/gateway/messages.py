"""Requests and responses as this gateway hands them from part to part, read whole."""

from dataclasses import dataclass, field

from uuid_utils.compat import uuid7

from chalicelib.messages.wire import CORRELATION_ID

CORRELATION_HEADER = "X-Correlation-Id"

Headers = dict[str, list[str]]


@dataclass(frozen=True)
class About:
    """What is said of a request in its log line and in a problem with it; texts are empty where it couldn't be read."""

    method: str = ""
    path: str = ""
    correlation_id: str = ""


@dataclass(frozen=True)
class Request:
    """One request. `headers` has the lines of each header by its name in lower case; `path` and `query` are ASCII, percent-encoded."""

    method: str
    path: str
    query: str
    version: str
    headers: Headers
    body: bytes


@dataclass(frozen=True)
class Response:
    """What goes back; header names are unique whatever their case, but for those that may repeat."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """The first header of that name, whatever its case."""
        return next((value for own, value in self.headers if own.lower() == name.lower()), None)


def correlation_id(lines: list[str]) -> str:
    """The correlation id that the caller gave in one line and in the characters of an id, else a new one."""
    return lines[0] if len(lines) == 1 and CORRELATION_ID.fullmatch(lines[0]) else str(uuid7())
