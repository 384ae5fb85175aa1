"""The Host header at the local gateway (RFC 9112, section 3.2)."""

from collections.abc import Iterator

import pytest

from infra.gateway.host import check_host
from infra.gateway.problems import Problem
from tests.data.gateway_project.app import app
from tests.support.gateway import exchange, serving

GOOD = [
    *("here", "here:", "here:8000", "127.0.0.1:8000", "[::1]", "[::1]:8000", "[::ffff:1.2.3.4]", "[v1.fe:x]", "xn--caf-dma.example"),
    *("", "caf%C3%A9", "a_b~!$&'()*+,;=", "EXAMPLE.org."),
]
BAD = [
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


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(app) as server:
        yield server.server_port


@pytest.mark.parametrize("value", GOOD)
def test_a_host_that_the_grammar_has_is_taken(value: str) -> None:
    check_host((1, 1), [value])


@pytest.mark.parametrize("version", [(1, 0), (1, 1)])
@pytest.mark.parametrize("value", BAD)
def test_any_other_is_refused_in_every_version(value: str, version: tuple[int, int]) -> None:
    with pytest.raises(Problem) as refused:
        check_host(version, [value])
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /event HTTP/1.1\r\nHost: here\r\n", 200),
        (b"GET /event HTTP/1.1\r\nhost:\r\n", 200),
        (b"GET http://elsewhere/event HTTP/1.1\r\nHost: here\r\n", 200),
        (b"GET /event HTTP/1.0\r\n", 200),
        (b"GET /event HTTP/1.1\r\n", 400),
        (b"GET http://elsewhere/event HTTP/1.1\r\n", 400),
        (b"GET http://elsewhere/event HTTP/1.1\r\nHost: a b\r\n", 400),
        (b"GET /event HTTP/1.1\r\nHost: here\r\nHost: here\r\n", 400),
        (b"GET /event HTTP/1.1\r\nHost: here\r\nX-Other: 1\r\nHOST: there\r\n", 400),
        (b"GET /event HTTP/1.0\r\nHost: here\r\nHost: there\r\n", 400),
        (b"GET /event HTTP/1.1\r\nHost: here, there\r\n", 400),
        (b"GET /nowhere HTTP/1.1\r\n", 400),
        (b"PUT /event HTTP/1.1\r\n", 400),
    ],
)
def test_a_request_has_one_host_before_anything_else_is_looked_at(port: int, head: bytes, status: int) -> None:
    answer = exchange(port, head + b"\r\n")
    assert answer.status == status
    if status == 400:
        answer.problem(400, "invalid")
