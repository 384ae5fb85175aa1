"""HTTP messages as bytes: what is read, what is refused, what is sent."""

from io import BytesIO

import pytest

from chalicelib.entrypoints.http import BODY_LIMIT
from infra.gateway.wire import (
    HEADER_SECTION_LIMIT,
    REQUEST_LINE_LIMIT,
    Body,
    Headers,
    RequestError,
    Response,
    encode_response,
    read_body,
    read_headers,
    read_request_line,
    split_target,
)


def headers_of(*lines: str) -> Headers:
    return read_headers(BytesIO("".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1")))


def body_of(content: bytes, *lines: str) -> Body:
    return read_body(BytesIO(content), headers_of(*lines))


def test_a_request_line_gives_method_path_query_and_version() -> None:
    line = read_request_line(BytesIO(b"GET /a/b?c=1&d HTTP/1.1\r\n"))
    assert line is not None
    assert (line.method, line.path, line.query, line.version) == ("GET", "/a/b", "c=1&d", (1, 1))


def test_an_empty_line_before_the_request_is_passed_over() -> None:
    line = read_request_line(BytesIO(b"\r\nGET / HTTP/1.0\r\n"))
    assert line is not None
    assert line.version == (1, 0)


@pytest.mark.parametrize("cut", [b"", b"\r\n", b"GET / HT"])
def test_a_connection_that_ends_before_the_request_line_has_no_request(cut: bytes) -> None:
    assert read_request_line(BytesIO(cut)) is None


@pytest.mark.parametrize(
    "line",
    [
        b"GET /\r\n",
        b"GET  / HTTP/1.1\r\n",
        b"GET / HTTP/1.1 \r\n",
        b"GET /a b HTTP/1.1\r\n",
        b"G(T / HTTP/1.1\r\n",
        b"GET /\x00 HTTP/1.1\r\n",
        b"GET /\x7f HTTP/1.1\r\n",
        b"GET /\r HTTP/1.1\r\n",
        b"GET / http/1.1\r\n",
        b"GET / HTTP/1\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\n",
    ],
)
def test_a_malformed_request_line_is_refused(line: bytes) -> None:
    with pytest.raises(RequestError) as refused:
        read_request_line(BytesIO(line))
    assert refused.value.status == 400


def test_another_major_version_is_refused() -> None:
    with pytest.raises(RequestError) as refused:
        read_request_line(BytesIO(b"PRI * HTTP/2.0\r\n"))
    assert refused.value.status == 505


def test_a_request_line_over_its_limit_is_refused() -> None:
    start, end = b"GET /", b" HTTP/1.1\r\n"
    fitting = start + b"a" * (REQUEST_LINE_LIMIT - len(start + end)) + end
    assert read_request_line(BytesIO(fitting)) is not None
    with pytest.raises(RequestError) as refused:
        read_request_line(BytesIO(start + b"a" * REQUEST_LINE_LIMIT + end))
    assert refused.value.status == 414


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("http://elsewhere.example/a?b", "/a", "b"),
        ("HTTP://elsewhere.example", "/", ""),
        ("//elsewhere.example/a", "/elsewhere.example/a", ""),
        ("/caf\xc3\xa9;x#y?z=\xc3\xa9", "/caf%C3%A9%3Bx%23y", "z=%C3%A9"),
        ("/a%2f..%2Fb", "/a%2f..%2Fb", ""),
        ("*", "*", ""),
        ("?a=1", "/", "a=1"),
    ],
)
def test_targets_are_split_and_made_ascii(target: str, path: str, query: str) -> None:
    assert split_target(target) == (path, query)


@pytest.mark.parametrize("line", ["No colon", "Space : before colon", ": no name", " folded", "A: b\rc", "A: b\0c", "Na(me: b"])
def test_a_malformed_header_line_is_refused(line: str) -> None:
    with pytest.raises(RequestError) as refused:
        headers_of("Host: here", line)
    assert refused.value.status == 400


def test_a_header_section_over_its_limit_is_refused() -> None:
    headers_of("A: " + "b" * (HEADER_SECTION_LIMIT - 5))
    for lines in (["A: " + "b" * HEADER_SECTION_LIMIT], ["A: b"] * 4000):
        with pytest.raises(RequestError) as refused:
            headers_of(*lines)
        assert refused.value.status == 431


def test_a_body_ends_where_its_length_says() -> None:
    assert body_of(b"12345678", "Content-Length: 5") == Body(b"12345", complete=True)
    assert body_of(b"12345678", "Content-Length: 5", "content-length: 5") == Body(b"12345", complete=True)
    assert body_of(b"12345678") == Body(b"", complete=True)


@pytest.mark.parametrize(
    "lines",
    [
        ["Content-Length: 3", "Content-Length: 4"],
        ["Content-Length: 3, 4"],
        ["Content-Length: -1"],
        ["Content-Length: +3"],
        ["Content-Length: 3.0"],
        ["Content-Length: 0x3"],
        ["Content-Length: \xb3"],
        ["Content-Length:"],
        ["Content-Length: 9999999999999999999"],
        ["Content-Length: 3", "Transfer-Encoding: chunked"],
    ],
)
def test_contradictory_or_meaningless_lengths_are_refused(lines: list[str]) -> None:
    with pytest.raises(RequestError) as refused:
        body_of(b"1234", *lines)
    assert refused.value.status == 400


def test_a_body_shorter_than_it_says_is_refused() -> None:
    with pytest.raises(RequestError) as refused:
        body_of(b"1234", "Content-Length: 5")
    assert refused.value.status == 400


def test_one_byte_more_than_the_limit_is_read_and_no_further() -> None:
    stream = BytesIO(b"x" * (BODY_LIMIT * 3))
    body = read_body(stream, headers_of(f"Content-Length: {BODY_LIMIT * 3}"))
    assert (len(body.content), body.complete, stream.tell()) == (BODY_LIMIT + 1, False, BODY_LIMIT + 1)


def test_chunks_are_joined_and_extensions_and_trailers_dropped() -> None:
    chunks = b"4;name=value\r\nWiki\r\n5 \r\npedia\r\n000\r\nTrailer: x\r\n\r\nnext"
    stream = BytesIO(chunks)
    assert read_body(stream, headers_of("Transfer-Encoding: Chunked")) == Body(b"Wikipedia", complete=True)
    assert stream.read() == b"next"


def test_chunks_over_the_limit_are_read_to_one_byte_more() -> None:
    chunk = b"8000\r\n" + b"x" * 0x8000 + b"\r\n"
    body = body_of(chunk * 3 + b"0\r\n\r\n", "Transfer-Encoding: chunked")
    assert (len(body.content), body.complete) == (BODY_LIMIT + 1, False)
    assert body_of(chunk * 2 + b"0\r\n\r\n", "Transfer-Encoding: chunked") == Body(b"x" * BODY_LIMIT, complete=True)


@pytest.mark.parametrize(
    "chunks", [b"x\r\n", b"-1\r\n", b"5\r\nabcdefg\r\n", b"5\r\nabc", b"123456789\r\n", b"", b"1;" + b"x" * 300 + b"\r\n"]
)
def test_malformed_chunks_are_refused(chunks: bytes) -> None:
    with pytest.raises(RequestError) as refused:
        body_of(chunks, "Transfer-Encoding: chunked")
    assert refused.value.status == 400


@pytest.mark.parametrize("coding", ["gzip", "gzip, chunked", "chunked, chunked", "identity"])
def test_other_transfer_codings_are_refused(coding: str) -> None:
    with pytest.raises(RequestError) as refused:
        body_of(b"0\r\n\r\n", f"Transfer-Encoding: {coding}")
    assert refused.value.status == 501


@pytest.mark.parametrize(
    ("name", "value"), [("X", "a\r\nb: c"), ("X", "a\nb"), ("X", "a\0"), ("X", "€"), ("X:", "a"), ("X\r\nY", "a"), ("", "a")]
)
def test_a_header_that_would_break_the_response_apart_is_not_sent(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="can't be sent"):
        encode_response(Response(200, [(name, value)]), with_body=True)


def test_a_response_to_head_keeps_its_length_and_loses_its_body() -> None:
    message = encode_response(Response(200, [], b"12345"), with_body=False)
    assert b"\r\nContent-Length: 5\r\n" in message
    assert message.endswith(b"\r\n\r\n")
