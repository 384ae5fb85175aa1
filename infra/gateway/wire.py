"""HTTP/1.1 (RFC 9112) off and onto a connection: by h11, limited in every size, strict where two readers could disagree."""

import re
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from http.client import responses as phrases
from urllib.parse import quote

import h11

from chalicelib.entrypoints.http import BODY_LIMIT
from infra.gateway.host import check_host
from infra.gateway.messages import CORRELATION_HEADER, About, Headers, Request, Response, correlation_id
from infra.gateway.problems import Problem

REQUEST_LINE_LIMIT = 8 * 1024
HEADER_SECTION_LIMIT = 16 * 1024
# What a chunk may have around its data: its size, its extensions; or the trailers.
CHUNK_FRAMING_LIMIT = 8 * 1024

HEAD_END = re.compile(rb"\r?\n\r?\n")
# A line that goes on in the next, and control characters: h11 lets them pass.
UNSAFE = re.compile(rb"\n[\t ]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
OVERSIZE_CHUNK = re.compile(rb"(?:\r\n)?[0-9A-Fa-f]{9,}[\t ]*[;\r]")
REQUEST_LINE = re.compile(rb"([!-~]+) ([!-~]+) HTTP/1\.[0-9]\r?\Z")
CORRELATION_LINE = re.compile(rb"^" + CORRELATION_HEADER.encode() + rb":[\t ]*(.*?)[\t ]*\r?$", re.IGNORECASE | re.MULTILINE)
ABSOLUTE_FORM = re.compile(r"\Ahttps?://([^/?#]*)", re.IGNORECASE)
# Without `;`, `?` and `#`, which later readers of a path would take for the start of something else.
PATH_SAFE = "/%:@!$&'()*+,=-._~"
QUERY_SAFE = PATH_SAFE + ';?/#[]<>{}|\\^`"'
CONTINUE = h11.InformationalResponse(status_code=HTTPStatus.CONTINUE, headers=[], reason=b"Continue")
BODILESS = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})

UNREADABLE = "The request line can't be understood."
HEADER_UNREADABLE = "A header line can't be understood."
CHUNK_UNREADABLE = "The size of a chunk of the body can't be understood."
# By words of h11's, whose first sentences can go on with the client's own bytes.
WORDINGS = {
    "illegal request line": UNREADABLE,
    "illegal header line": HEADER_UNREADABLE,
    "illegal chunk header": CHUNK_UNREADABLE,
    "malformed chunk footer": "A chunk of the body is longer than it says.",
    "mandatory Host": "The request has no Host header.",
    "multiple Host": "The request has more than one Host header.",
    "Content-Length": "Content-Length must be one whole number of bytes.",
    "Transfer-Encoding": "The only transfer coding known here is chunked.",
}


class Exchange:
    """One request and its response.

    `receive` waits for further bytes and gives none at the end of the connection; `buffered` are those that came already. After `read`,
    also where it failed, `about` says what is known of the request.
    """

    def __init__(self, receive: Callable[[], bytes], send: Callable[[bytes], None], buffered: bytes) -> None:
        self._receive, self._send = receive, send
        # Never reached: the limits here are lower, and tell a request line from headers.
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=2 * (REQUEST_LINE_LIMIT + HEADER_SECTION_LIMIT))
        self._connection.receive_data(buffered)
        self.about = About()

    @property
    def rest(self) -> bytes:
        """What was received and not read: after a request that was read whole, the beginning of the next."""
        return self._connection.trailing_data[0]

    @property
    def is_read_whole(self) -> bool:
        """Whether nothing of it is left on the connection: not where it was refused, or its body is larger than the application takes."""
        return self._connection.their_state not in (h11.IDLE, h11.SEND_BODY, h11.ERROR)

    @property
    def stays_open(self) -> bool:
        """Whether another request can follow a response that was encoded to stay open: the client may want it otherwise."""
        return self.is_read_whole and self._connection.their_state is not h11.MUST_CLOSE

    def read(self) -> Request:
        """The request, whose body has at most one byte more than the application takes. Raises Problem, and what `receive` raises."""
        head = self._read_head()
        headers: Headers = {}
        for name, value in head.headers:
            headers.setdefault(name.decode("ascii"), []).append(value.decode("latin-1"))
        version, target = head.http_version.decode("ascii"), head.target.decode("ascii")
        check_framing(version, headers)
        # RFC 9110, section 4.2: a host there must be, and a user before it must not.
        for host in (*ABSOLUTE_FORM.findall(target), *filter(None, headers.get("host", []))):
            check_host(host)
        headers[CORRELATION_HEADER.lower()] = [self.about.correlation_id]
        return Request(head.method.decode("ascii"), self.about.path, query_of(target), version, headers, self._read_body())

    def encode(self, response: Response, *, stays_open: bool) -> bytes:
        """The bytes of a response, whole; says `Connection: close` unless server and client want it to stay open.

        Raises ValueError for a header that would break the message apart.
        """
        headers = [("Date", formatdate(usegmt=True)), *response.headers, ("Connection", "keep-alive" if stays_open else "close")]
        has_body = response.status not in BODILESS
        if has_body:
            headers.append(("Content-Length", str(len(response.body))))
        lines = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers]
        try:
            start = h11.Response(status_code=response.status, headers=lines, reason=phrases.get(response.status, "").encode())
        except h11.LocalProtocolError as error:
            raise ValueError(str(error)) from error
        message = self._connection.send(start)
        return message + response.body if has_body and self.about.method != "HEAD" else message

    def _read_head(self) -> h11.Request:
        head = b""
        try:
            while True:
                head = HEAD_END.split(self.rest, 1)[0]
                check_head(head)
                event = self._next_event()
                if isinstance(event, h11.Request):
                    return event
                self._receive_more()
        finally:
            self.about = describe(head)

    def _read_body(self) -> bytes:
        content = bytearray()
        while len(content) <= BODY_LIMIT:
            before = self.rest
            event = self._next_event()
            if event is h11.NEED_DATA:
                check_chunk(before)
                if self._connection.they_are_waiting_for_100_continue:
                    self._send(self._connection.send(CONTINUE))
                self._receive_more()
            elif isinstance(event, h11.Data):
                check_chunk(before[: len(before) - len(self.rest) - len(event.data)])
                content += event.data
            else:
                break
        return bytes(content[: BODY_LIMIT + 1])

    def _next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        try:
            return self._connection.next_event()
        except h11.RemoteProtocolError as error:
            detail = next((words for part, words in WORDINGS.items() if part in str(error)), UNREADABLE)
            raise Problem(error.error_status_hint, detail) from None

    def _receive_more(self) -> None:
        received = self._receive()
        if not received:
            raise Problem(HTTPStatus.BAD_REQUEST, "The request is shorter than it says.")
        self._connection.receive_data(received)


def describe(head: bytes) -> About:
    """What can be told of a request from what came of its head, whether that is valid or not."""
    line, _, fields = head.partition(b"\n")
    found = REQUEST_LINE.match(line)
    method, target = (part.decode("ascii") for part in found.groups()) if found else ("", "")
    ids = [value.decode("latin-1") for value in CORRELATION_LINE.findall(fields)]
    return About(method, path_of(target) if target else "", correlation_id(ids))


def check_head(head: bytes) -> None:
    """Raise Problem 414 or 431 where what came of a head is too large, 400 for a header over several lines or with control characters."""
    line, _, fields = head.partition(b"\n")
    if len(line) > REQUEST_LINE_LIMIT:
        raise Problem(HTTPStatus.REQUEST_URI_TOO_LONG, f"The request line is longer than {REQUEST_LINE_LIMIT} bytes.")
    if len(fields) > HEADER_SECTION_LIMIT:
        detail = f"The header section is larger than {HEADER_SECTION_LIMIT} bytes."
        raise Problem(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, detail)
    if UNSAFE.search(head, len(line)):
        raise Problem(HTTPStatus.BAD_REQUEST, HEADER_UNREADABLE)


def check_framing(version: str, headers: Headers) -> None:
    """Raise Problem 400 where two readers could see the body's end in different places (RFC 9112, section 6.1), 505 for another HTTP."""
    if not version.startswith("1."):
        raise Problem(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "Only HTTP/1.0 and HTTP/1.1 are spoken here.")
    if "transfer-encoding" in headers and version == "1.0":
        raise Problem(HTTPStatus.BAD_REQUEST, "HTTP/1.0 has no Transfer-Encoding.")
    if "transfer-encoding" in headers and "content-length" in headers:
        raise Problem(HTTPStatus.BAD_REQUEST, "Content-Length and Transfer-Encoding contradict each other.")


def check_chunk(framing: bytes) -> None:
    """Raise Problem 400 for what stands around a chunk's data, as far as it came, if it is too long or announces too much."""
    if len(framing) > CHUNK_FRAMING_LIMIT or OVERSIZE_CHUNK.match(framing):
        raise Problem(HTTPStatus.BAD_REQUEST, CHUNK_UNREADABLE)


def path_of(target: str) -> str:
    """The path of a request target, percent-encoded; scheme and host of an absolute one are dropped."""
    path = ABSOLUTE_FORM.sub("", target).partition("?")[0]
    if path.startswith("//"):
        # `//host/…` in an answer would be taken for an address elsewhere.
        path = "/" + path.lstrip("/")
    return quote(path, safe=PATH_SAFE) or "/"


def query_of(target: str) -> str:
    """The query of a request target, percent-encoded."""
    return quote(target.partition("?")[2], safe=QUERY_SAFE)
