"""HTTP messages as bytes: what the local gateway takes and refuses beyond what h11 decides, and what it sends."""

from collections.abc import Iterator

import pytest

from chalicelib.entrypoints.http import BODY_LIMIT
from infra.gateway.messages import Request, Response
from infra.gateway.problems import Problem
from infra.gateway.wire import HEADER_SECTION_LIMIT, REQUEST_LINE_LIMIT, Exchange, path_of, query_of

POST = b"POST /orders?a=b HTTP/1.1\r\nHost: here\r\nX-Correlation-Id: seen\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
GOOD_HOSTS = [
    *("here", "here:", "here:8000", "127.0.0.1:8000", "[::1]", "[::1]:8000", "[::ffff:1.2.3.4]", "[v1.fe:x]", "xn--caf-dma.example"),
    *("", "caf%C3%A9", "a_b~!$&'()*+,;=", "EXAMPLE.org."),
]
BAD_HOSTS = [
    *(
        "a b",
        "here/",
        "http://here",
        "here:80:80",
        "here:x",
        ":80",
        "user@here",
        "[::1",
        "::1",
        "[]",
        "[here]",
        "[::1]x",
        "[fe80::1%25eth0]",
    ),
    *("caf\xe9", "a%zz", "a%2", "a?b", "a#b", "a\tb", "a, b", "<a>", '"a"', "a\\b", "[v1.]", "[1.2.3.4]"),
]


def exchange_of(message: bytes, piece: int = 16 * 1024) -> tuple[Exchange, list[bytes]]:
    """An exchange that receives the message in pieces, then the connection's end; and what it sends before its response."""
    pieces: Iterator[bytes] = (message[start : start + piece] for start in range(piece, len(message), piece))
    sent: list[bytes] = []
    return Exchange(lambda: next(pieces, b""), sent.append, message[:piece]), sent


def read(message: bytes, piece: int = 16 * 1024) -> Request:
    return exchange_of(message, piece)[0].read()


def refused(message: bytes) -> tuple[int, str]:
    """The status and the detail of the problem with this message, the same whether it comes at once or in drops; it must not be read on."""
    found = set()
    for piece in (16 * 1024, 7):
        exchange, _ = exchange_of(message, piece)
        with pytest.raises(Problem) as problem:
            exchange.read()
        assert not exchange.is_read_whole
        found.add((problem.value.status, problem.value.detail))
    (one,) = found
    return one


def test_a_request_is_handed_on_with_every_header_line() -> None:
    request = read(POST + b"X-Twice: one\r\nx-twice:two \r\nContent-Length: 2\r\n\r\n{}", piece=3)
    assert (request.method, request.path, request.query, request.version, request.body) == ("POST", "/orders", "a=b", "1.1", b"{}")
    assert request.headers == {"host": ["here"], "x-correlation-id": ["seen"], "x-twice": ["one", "two"], "content-length": ["2"]}


def test_what_follows_a_request_is_left_for_the_next() -> None:
    exchange, _ = exchange_of(CHUNKED + b"4;name=value\r\nWiki\r\n5 \r\npedia\r\n000\r\nTrailer: x\r\n\r\nnext")
    assert exchange.read().body == b"Wikipedia"
    assert (exchange.rest, exchange.is_read_whole) == (b"next", True)


@pytest.mark.parametrize(
    ("message", "status", "part"),
    [
        (b"GET /\r\n\r\n", 400, "request line"),
        (b"GET /caf\xc3\xa9 HTTP/1.1\r\nHost: here\r\n\r\n", 400, "request line"),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400, "request line"),
        (b"PRI * HTTP/2.0\r\n\r\n", 505, "HTTP/1.1"),
        (b"GET /" + b"a" * REQUEST_LINE_LIMIT + b" HTTP/1.1\r\nHost: here\r\n\r\n", 414, "request line"),
        (POST + b"A: " + b"b" * HEADER_SECTION_LIMIT + b"\r\n\r\n", 431, "header section"),
        (POST + b"A: b\r\n" * 4000 + b"\r\n", 431, "header section"),
        (POST + b"Space : before colon\r\n\r\n", 400, "header line"),
        (POST + b"A: b\r\n folded\r\n\r\n", 400, "header line"),
        (POST + b"A: b\rc\r\n\r\n", 400, "header line"),
        (POST + b"A: b\x01c\r\n\r\n", 400, "header line"),
        (POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n1234", 400, "Content-Length"),
        (POST + b"Content-Length: +3\r\n\r\n123", 400, "Content-Length"),
        (POST + b"Content-Length: 5\r\n\r\n1234", 400, "shorter"),
        (POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "contradict"),
        (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501, "chunked"),
        (POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "HTTP/1.0"),
        (CHUNKED + b"x\r\n", 400, "size of a chunk"),
        (CHUNKED + b"5\r\nabcdefg\r\n", 400, "longer"),
        (CHUNKED + b"5\r\nabc", 400, "shorter"),
        (CHUNKED + b"2\r\n{}\r\nffffffffffffffff\r\n", 400, "size of a chunk"),
        (CHUNKED + b"2;" + b"x" * 10_000 + b"\r\n{}\r\n0\r\n\r\n", 400, "size of a chunk"),
        (CHUNKED + b"0\r\nA: " + b"x" * 20_000, 400, "size of a chunk"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "no Host"),
        (b"GET http://elsewhere/ HTTP/1.1\r\n\r\n", 400, "no Host"),
        (b"GET / HTTP/1.0\r\nHost: here\r\nX-Other: 1\r\nHOST: here\r\n\r\n", 400, "more than one Host"),
        (b"GET http://user@elsewhere/ HTTP/1.1\r\nHost: elsewhere\r\n\r\n", 400, "valid host"),
        (b"GET http:///orders HTTP/1.1\r\nHost: here\r\n\r\n", 400, "valid host"),
        (b"GET https://:80/orders HTTP/1.1\r\nHost: here\r\n\r\n", 400, "valid host"),
    ],
)
def test_a_message_that_two_readers_could_read_differently_is_refused(message: bytes, status: int, part: str) -> None:
    found, detail = refused(message)
    assert (found, part in detail) == (status, True), detail


@pytest.mark.parametrize(
    ("message", "method", "path", "kept"),
    [
        (POST + b"Content-Length: x\r\n\r\n", "POST", "/orders", True),
        (POST + b"X-Correlation-Id: twice\r\nContent-Length: x\r\n\r\n", "POST", "/orders", False),
        (POST.replace(b"seen", b"a\rSet-Cookie: b"), "POST", "/orders", False),
        (CHUNKED + b"x\r\n", "POST", "/orders", True),
        (b"SECRET\r\n\r\n", "", "", False),
    ],
)
def test_what_can_be_told_of_a_refused_request_is_told(message: bytes, method: str, path: str, kept: bool) -> None:
    exchange, _ = exchange_of(message)
    with pytest.raises(Problem):
        exchange.read()
    about = exchange.about
    assert (about.method, about.path, about.correlation_id == "seen") == (method, path, kept)
    assert about.correlation_id


@pytest.mark.parametrize("value", GOOD_HOSTS)
def test_a_host_that_the_grammar_has_is_taken(value: str) -> None:
    assert read(f"GET / HTTP/1.1\r\nhost:{value}\r\n\r\n".encode()).headers["host"] == [value]
    if value:
        assert read(f"GET http://{value}/a HTTP/1.1\r\nHost: here\r\n\r\n".encode()).path == "/a"


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("value", BAD_HOSTS)
def test_any_other_is_refused_in_every_version(value: str, version: str) -> None:
    assert refused(f"GET / HTTP/{version}\r\nHost: {value}\r\n\r\n".encode("latin-1"))[0] == 400


def test_limits_are_met_to_the_byte() -> None:
    line = b"GET /" + b"a" * (REQUEST_LINE_LIMIT - len("GET / HTTP/1.1\r\n")) + b" HTTP/1.1\r\n"
    assert read(line + b"Host: here\r\nA: " + b"b" * (HEADER_SECTION_LIMIT - 100) + b"\r\n\r\n")
    assert read(b"GET / HTTP/1.0\r\n\r\n").headers.keys() == {"x-correlation-id"}


@pytest.mark.parametrize(("size", "whole"), [(BODY_LIMIT, True), (BODY_LIMIT * 3, False)])
def test_a_body_is_read_to_one_byte_over_the_limit(size: int, whole: bool) -> None:
    chunk = b"1000\r\n" + b"x" * 0x1000 + b"\r\n"
    for message in (POST + b"Content-Length: %d\r\n\r\n" % size + b"x" * size, CHUNKED + chunk * (size // 0x1000) + b"0\r\n\r\n"):
        exchange, _ = exchange_of(message)
        assert (len(exchange.read().body), exchange.is_read_whole) == (min(size, BODY_LIMIT + 1), whole)


def test_a_client_is_told_to_send_its_body_only_where_it_waits() -> None:
    head = POST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    for message, piece, told in ((head + b"{}", len(head), [b"HTTP/1.1 100 Continue\r\n\r\n"]), (head + b"{}", 16 * 1024, [])):
        exchange, sent = exchange_of(message, piece)
        assert (exchange.read().body, sent) == (b"{}", told)


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("http://elsewhere.example/a?b", "/a", "b"),
        ("HTTP://elsewhere.example", "/", ""),
        ("//elsewhere.example/a", "/elsewhere.example/a", ""),
        ("/a;x#y?z=#", "/a%3Bx%23y", "z=#"),
        ("/a%2f..%2Fb", "/a%2f..%2Fb", ""),
        ("*", "*", ""),
    ],
)
def test_targets_are_split(target: str, path: str, query: str) -> None:
    assert (path_of(target), query_of(target)) == (path, query)


@pytest.mark.parametrize(
    ("name", "value"), [("X", "a\r\nb: c"), ("X", "a\nb"), ("X", "a\0"), ("X", "€"), ("X:", "a"), ("X\r\nY", "a"), ("", "a")]
)
def test_a_header_that_would_break_the_response_apart_is_not_sent_and_another_response_can_be(name: str, value: str) -> None:
    exchange, _ = exchange_of(b"HEAD / HTTP/1.1\r\nHost: here\r\n\r\n")
    exchange.read()
    with pytest.raises(ValueError, match=r"."):
        exchange.encode(Response(200, [(name, value)]), stays_open=True)
    head, _, body = exchange.encode(Response(500, [], b"12345"), stays_open=True).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 500 Internal Server Error\r\nDate: ")
    assert (head.endswith(b"\r\nConnection: keep-alive\r\nContent-Length: 5"), body) == (True, b"")
