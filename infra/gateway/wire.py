"""HTTP/1.1 messages (RFC 9112) off and onto a connection: strict where two readers could disagree, limited in every size."""

import http.client
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Protocol
from urllib.parse import quote

from chalicelib.entrypoints.http import BODY_LIMIT

REQUEST_LINE_LIMIT = 8 * 1024
HEADER_SECTION_LIMIT = 16 * 1024
CHUNK_LINE_LIMIT = 256

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") ([\x21-\x7e\x80-\xff]+) HTTP/([0-9])\.([0-9])\r?\n")
HEADER_LINE = re.compile(rb"(" + TOKEN + rb"):([\t\x20-\x7e\x80-\xff]*)\r?\n")
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n")
CONTENT_LENGTH = re.compile(r"[0-9]{1,18}")
ABSOLUTE_FORM = re.compile(r"https?://[^/?#]*", re.IGNORECASE)
SENDABLE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
BODILESS = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})

# Without `;`, `?` and `#`, which later readers of a path would take for the start of something else.
PATH_SAFE = "/%:@!$&'()*+,=-._~"
QUERY_SAFE = PATH_SAFE + ';?/#[]<>{}|\\^`"'

Headers = http.client.HTTPMessage


class ByteStream(Protocol):
    """What is read from: a buffered connection, or bytes in a test."""

    def readline(self, size: int = -1, /) -> bytes: ...

    def read(self, size: int = -1, /) -> bytes: ...


class RequestError(Exception):
    """A message that can't be read on; the connection is of no further use. `status` and `detail` are for the client."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


@dataclass(frozen=True)
class RequestLine:
    """`path` and `query` are ASCII: whatever else came is percent-encoded."""

    method: str
    path: str
    query: str
    version: tuple[int, int]


@dataclass(frozen=True)
class Body:
    """At most one byte more than the limit, so that the application can see it is too large.

    `complete` is false where the rest of it is still on the connection.
    """

    content: bytes = b""
    complete: bool = True


@dataclass(frozen=True)
class Request:
    """One request, read whole."""

    line: RequestLine
    headers: Headers
    body: Body = Body()


@dataclass(frozen=True)
class Response:
    """What goes back; header names are unique whatever their case, but for those that may repeat."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """The first header of that name, whatever its case."""
        return next((value for own, value in self.headers if own.lower() == name.lower()), None)


def read_request_line(stream: ByteStream) -> RequestLine | None:
    """The first line of the next request; None at the end of the connection. Raises RequestError 400, 414 or 505."""
    line = stream.readline(REQUEST_LINE_LIMIT + 1)
    if line in (b"\r\n", b"\n"):
        # RFC 9112 §2.2: some clients end a body with an empty line too many.
        line = stream.readline(REQUEST_LINE_LIMIT + 1)
    if len(line) > REQUEST_LINE_LIMIT:
        raise RequestError(HTTPStatus.REQUEST_URI_TOO_LONG, f"The request line is longer than {REQUEST_LINE_LIMIT} bytes.")
    if not line.endswith(b"\n"):
        return None
    parts = REQUEST_LINE.fullmatch(line)
    if parts is None:
        raise RequestError(HTTPStatus.BAD_REQUEST, "The request line can't be understood.")
    if parts[3] != b"1":
        raise RequestError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "Only HTTP/1.0 and HTTP/1.1 are spoken here.")
    path, query = split_target(parts[2].decode("latin-1"))
    return RequestLine(parts[1].decode("ascii"), path, query, (1, int(parts[4])))


def split_target(target: str) -> tuple[str, str]:
    """The path and the query of a request target, percent-encoded to ASCII; scheme and host of an absolute one are dropped."""
    path, _, query = ABSOLUTE_FORM.sub("", target, count=1).partition("?")
    if path.startswith("//"):
        # `//host/…` in an answer would be taken for an address elsewhere.
        path = "/" + path.lstrip("/")
    return quote(path.encode("latin-1"), safe=PATH_SAFE) or "/", quote(query.encode("latin-1"), safe=QUERY_SAFE)


def read_headers(stream: ByteStream) -> Headers:
    """The header section, or the trailers. Raises RequestError 400 or 431."""
    headers = Headers()
    room = HEADER_SECTION_LIMIT
    while (line := stream.readline(room + 2)) not in (b"\r\n", b"\n"):
        room -= len(line)
        if room < 0:
            raise RequestError(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"The header section is larger than {HEADER_SECTION_LIMIT} bytes."
            )
        parts = HEADER_LINE.fullmatch(line)
        if parts is None:
            raise RequestError(HTTPStatus.BAD_REQUEST, "A header line can't be understood.")
        headers[parts[1].decode("ascii")] = parts[2].strip(b" \t").decode("latin-1")
    return headers


def awaits_continue(line: RequestLine, headers: Headers) -> bool:
    """Whether the client holds its body back until it is told to go on."""
    has_body = "Transfer-Encoding" in headers or headers.get("Content-Length", "0") != "0"
    return has_body and line.version >= (1, 1) and headers.get("Expect", "").lower() == "100-continue"


def stays_open(request: Request) -> bool:
    """Whether the client wants the connection for further requests."""
    options = {option.lower() for option in listed(request.headers, "Connection")}
    return "close" not in options if request.line.version >= (1, 1) else "keep-alive" in options


def read_body(stream: ByteStream, headers: Headers) -> Body:
    """The body as its headers frame it. Raises RequestError 400 for a contradiction or a body cut short, 501 for an unknown coding."""
    codings = listed(headers, "Transfer-Encoding")
    lengths = set(listed(headers, "Content-Length"))
    if codings and lengths:
        raise RequestError(HTTPStatus.BAD_REQUEST, "Content-Length and Transfer-Encoding contradict each other.")
    if codings:
        if [coding.lower() for coding in codings] != ["chunked"]:
            raise RequestError(HTTPStatus.NOT_IMPLEMENTED, "The only transfer coding known here is chunked.")
        return _read_chunks(stream)
    if len(lengths) > 1 or not all(CONTENT_LENGTH.fullmatch(length) for length in lengths):
        raise RequestError(HTTPStatus.BAD_REQUEST, "Content-Length must be one whole number of bytes.")
    length = int(lengths.pop()) if lengths else 0
    return Body(_read_exactly(stream, min(length, BODY_LIMIT + 1)), complete=length <= BODY_LIMIT + 1)


def listed(headers: Headers, name: str) -> list[str]:
    """The members of a comma-separated header, over all its lines."""
    return [member.strip() for line in headers.get_all(name, []) for member in line.split(",")]


def _read_chunks(stream: ByteStream) -> Body:
    content = bytearray()
    while size := _read_chunk_size(stream):
        content += _read_exactly(stream, min(size, BODY_LIMIT + 1 - len(content)))
        if len(content) > BODY_LIMIT:
            return Body(bytes(content), complete=False)
        if stream.readline(2) not in (b"\r\n", b"\n"):
            raise RequestError(HTTPStatus.BAD_REQUEST, "A chunk of the body is longer than it says.")
    read_headers(stream)
    return Body(bytes(content))


def _read_chunk_size(stream: ByteStream) -> int:
    parts = CHUNK_LINE.fullmatch(stream.readline(CHUNK_LINE_LIMIT))
    if parts is None:
        raise RequestError(HTTPStatus.BAD_REQUEST, "The size of a chunk of the body can't be understood.")
    return int(parts[1], 16)


def _read_exactly(stream: ByteStream, length: int) -> bytes:
    content = stream.read(length)
    if len(content) < length:
        raise RequestError(HTTPStatus.BAD_REQUEST, "The body is shorter than it says.")
    return content


def encode_response(response: Response, *, with_body: bool, extra_headers: Iterable[tuple[str, str]] = ()) -> bytes:
    """The bytes of a response. Raises ValueError for a header that would break the message apart."""
    headers = [("Date", formatdate(usegmt=True)), *response.headers, *extra_headers]
    if response.status not in BODILESS:
        headers.append(("Content-Length", str(len(response.body))))
    phrase = http.client.responses.get(response.status, "")
    lines = [f"HTTP/1.1 {response.status} {phrase}"]
    for name, value in headers:
        if not re.fullmatch(TOKEN, name.encode()) or not SENDABLE.fullmatch(value):
            raise ValueError(f"the header {name!r} can't be sent")
        lines.append(f"{name}: {value}")
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    return head + response.body if with_body and response.status not in BODILESS else head
