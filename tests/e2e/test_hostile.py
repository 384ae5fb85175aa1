"""Whatever is sent, the API answers with a 4xx problem, tells nothing of its inside, writes no secret down, and goes on."""

import base64
import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from infra.stack import devkeys
from tests.support import gateway
from tests.support.answers import Answer
from tests.support.api import Api
from tests.support.edge import DETAILS
from tests.support.stack import Stack
from tests.support.words import FOREIGN, own_words

ORDERS = "/api/orders"
ORDER: dict[str, Any] = {"orderDetails": DETAILS}
ITEM = DETAILS["foodItems"][0]


def body(text: str | bytes) -> bytes:
    """An order in which `text` stands for the value of storeLocation."""
    raw = text if isinstance(text, bytes) else text.encode()
    return json.dumps({"orderDetails": {**DETAILS, "storeLocation": "@"}}).encode().replace(b'"@"', raw)


def item(field: str, text: str) -> bytes:
    """An order in which `text` stands for the value of a field of its one item."""
    return json.dumps({"orderDetails": {**DETAILS, "foodItems": [{**ITEM, field: "@"}]}}).encode().replace(b'"@"', text.encode())


BODIES: dict[str, tuple[bytes, int]] = {
    "70 KB": (body('"' + "x" * 70_000 + '"'), 413),
    "5 MB": (b" " * 5_000_000, 413),
    "30,000 brackets": (b"[" * 30_000, 400),
    "30,000 brackets and back": (b"[" * 30_000 + b"]" * 30_000, 400),
    "10,000 objects in each other": (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, 400),
    "900 objects in each other": (b'{"a":' * 900 + b"1" + b"}" * 900, 422),
    "5,000 unknown fields": (json.dumps({str(number): 1 for number in range(5_000)}).encode(), 422),
    "a name twice": (b'{"orderDetails": {}, ' + json.dumps(ORDER).encode()[1:], 400),
    "a name twice, deep inside": (item("price", '"1.00", "price": "2.00"'), 400),
    "a NUL as it is": (body(b'"a\x00b"'), 400),
    "a NUL, escaped": (body(r'"a\u0000b"'), 422),
    "a NUL in a name": (b'{"a\\u0000": 1}', 422),
    "half a surrogate pair": (body(r'"\ud800"'), 422),
    "half a surrogate pair in a name": (rb'{"\udc00": 1}', 422),
    "half a surrogate pair in an id": (json.dumps({**ORDER, "customerId": "\ud800"}).encode(), 422),
    "overlong UTF-8": (body(b'"\xc0\xaf"'), 400),
    "a surrogate in UTF-8": (body(b'"\xed\xa0\x80"'), 400),
    "cut UTF-8": (body(b'"\xe6\xb5"'), 400),
    "UTF-16": (json.dumps(ORDER).encode("utf-16"), 400),
    "a byte order mark": (b"\xef\xbb\xbf" + json.dumps(ORDER).encode(), 400),
    "true as a quantity": (item("quantity", "true"), 422),
    "true as a price": (item("price", "true"), 422),
    "NaN": (item("price", "NaN"), 400),
    "-Infinity": (item("price", "-Infinity"), 400),
    "1e3": (item("price", "1e3"), 422),
    "1e2 as a text": (item("price", '"1e2"'), 422),
    "1e999999999": (item("price", "1e999999999"), 422),
    "1e-999999999": (item("price", "1e-999999999"), 422),
    "1e400": (item("price", "1e400"), 422),
    "1e400 as a quantity": (item("quantity", "1e400"), 422),
    "1e-400": (item("price", "1e-400"), 422),
    "an exponent that is too large for itself": (item("price", "1e" + "9" * 30), 422),
    "10**4000": (item("quantity", "1" + "0" * 4_000), 422),
    "10**5000": (item("quantity", "1" + "0" * 5_000), 422),
    "a quantity and a half": (item("quantity", "1.5"), 422),
    "a name that nobody can see": (item("name", r'"\u200b\u3164"'), 422),
    "10**5000 as a price": (item("price", '"1' + "0" * 5_000 + '"'), 422),
    "digits of another script": (item("price", '"١.٠٠"'), 422),
    "a leading zero": (item("quantity", "01"), 400),
    "a comment": (b"/* */ " + json.dumps(ORDER).encode(), 400),
    "two values": (json.dumps(ORDER).encode() * 2, 400),
    "a number": (b"1", 422),
    "null": (b"null", 422),
    "nothing": (b"", 400),
    "only NULs": (b"\x00" * 100, 400),
    "a prototype": (b'{"__proto__": {"admin": true}, ' + json.dumps(ORDER).encode()[1:], 422),
}

UUID = "01920000-0000-7000-8000-000000000001"
PATHS: dict[str, str] = {
    "up": f"{ORDERS}/../../../etc/passwd",
    "up, encoded": f"{ORDERS}/..%2f..%2f..%2fetc%2fpasswd",
    "up, dots encoded": f"{ORDERS}/%2e%2e/%2e%2e/etc/passwd",
    "up, encoded twice": f"{ORDERS}/%252e%252e%252fetc%252fpasswd",
    "up the other way": f"{ORDERS}/..%5c..%5cwindows",
    "a NUL": f"{ORDERS}/%00",
    "a NUL behind an id": f"{ORDERS}/{UUID}%00",
    "a line end": f"{ORDERS}/{UUID}%0d%0aSet-Cookie:%20a=b",
    "SQL": f"{ORDERS}/'%20OR%201=1--",
    "SQL behind an id": f"{ORDERS}/{UUID}'%3BDROP%20TABLE%20campusg.orders",
    "no UTF-8": f"{ORDERS}/%ff%fe",
    "half an escape": f"{ORDERS}/%",
    "a script": f"{ORDERS}/%3Cscript%3Ealert(1)%3C/script%3E",
    "braces": f"{ORDERS}/%7B{UUID}%7D",
    "an id without hyphens": f"{ORDERS}/{UUID.replace('-', '')}",
    "hyphens elsewhere": f"{ORDERS}/{UUID.replace('-', '')}----",
    "digits of another script": f"{ORDERS}/%D9%A01920000-0000-7000-8000-00000000000",
    "4,000 letters": f"{ORDERS}/{'x' * 4_000}",
    "the name of a route": f"{ORDERS}/{{order_id}}",
    "a saga that is none": "/api/sagas/..%2f..",
    "another host": "//elsewhere.example/api/orders/7",
}
QUERIES: dict[str, str] = {
    "SQL as a status": "status='%20OR%201=1--",
    "SQL as a customer": "customerId=x'%3BDROP%20TABLE%20campusg.orders--",
    "SQL as a time": "createdAfter=2026-01-01T00:00:00Z'%20OR%20'1'='1",
    "SQL as a parameter's name": "status)%20OR%20(1=1",
    "SQL as a cursor": "cursor=')%20OR%201=1--",
    "a list in brackets": "status[]=READY_FOR_PICKUP",
    "an object": "status[$ne]=x",
    "a NUL": "customerId=%00",
    "half a surrogate pair": "customerId=%ED%A0%80",
    "1,500 parameters": "&".join(f"a{number}" for number in range(1_500)),
    "a page of a thousand digits": f"page={'9' * 1_000}",
    "a limit that is none": "limit=1e1",
    "a time that never was": "createdBefore=2026-02-30T00:00:00Z",
    "a time before time": "createdAfter=0001-01-01T00:00:00%2B14:00",
    "an hour that never was": "createdAfter=2026-01-01T24:00:00Z",
    "a leap second in May": "createdAfter=2026-05-31T12:00:60Z",
    "an offset that isn't": "createdAfter=2026-01-01T00:00:00%2B25:00",
    "an offset of sixty minutes": "createdAfter=2026-01-01T00:00:00-12:60",
    "a plus that became a space": "createdAfter=2026-01-01T00:00:00+08:00",
    "the year 0": "createdAfter=0000-01-01T00:00:00Z",
    "the end of time": "createdAfter=9999-12-31T23:59:59.9999999Z",
    "a time with digits of another script": "createdAfter=%D9%A2026-01-01T00:00:00Z",
}
TYPES = [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/xml",
    "application/jsonp",
    "",
    "*/*",
]


@pytest.fixture
def api(stack: Stack) -> Api:
    return Api(stack.url, stack.data_dir, "cust_1")


@pytest.fixture
def port(stack: Stack) -> int:
    return int(urlsplit(stack.url).port or 0)


def check(answer: Answer, name: str) -> int:
    """It must be a problem of the client's that tells nothing of the inside; its status."""
    assert 400 <= answer.status < 500, (name, answer.status, answer.body[:500])
    problem = answer.json()
    assert answer.headers["Content-Type"] == "application/problem+json", name
    assert problem["status"] == answer.status, name
    assert problem["correlationId"] == answer.headers["X-Correlation-Id"], name
    assert not [text for text in own_words(problem) if FOREIGN.search(text)], (name, answer.body)
    assert len(answer.body) < 64 * 1024, name
    assert "Set-Cookie" not in answer.headers, name
    return answer.status


def send(port: int, api: Api, method: str, path: str, content: bytes | None = None, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return gateway.call(port, method, path, content, {"Authorization": f"Bearer {api.token}", **named})


@pytest.fixture(autouse=True)
def goes_on(stack: Stack, api: Api) -> Iterator[None]:
    """After each test the same processes serve on, nothing was stored by accident, and no log has a stack trace or a secret.

    The console is no log: it tells whoever started the stack how to reach the database, with an example of a token.
    """
    before, console, sizes = stack.run_json(), stack.said(), {path: path.stat().st_size for path in logs(stack)}
    known = api.call("GET", f"{ORDERS}?limit=1").json()["total"]
    yield
    assert stack.run_json() == before
    assert api.call("GET", f"{ORDERS}?limit=1").json()["total"] == known
    assert stack.said() == console
    assert "gateway.log" in [path.name for path in sizes]
    for path in logs(stack):
        content = path.read_bytes()
        text, new = content.decode(errors="replace"), content[sizes.get(path, 0) :].decode(errors="replace")
        assert not [secret for secret in secrets(stack) if secret in text], path
        assert not re.search(r"eyJ[\w-]{10,}\.", text), f"a token is in {path}"
        assert "Traceback" not in new, new


def logs(stack: Stack) -> list[Path]:
    return sorted((stack.data_dir / "logs").iterdir())


def secrets(stack: Stack) -> list[str]:
    password = urlsplit(stack.run_json()["postgres"]["url"]).password
    key = (stack.data_dir / devkeys.KEY_FILE).read_text().splitlines()[1]
    assert password and len(password) > 8
    return [password, key]


def test_bodies_that_mean_harm(api: Api, port: int) -> None:
    json_type = {"Content_Type": "application/json"}
    found = {name: check(send(port, api, "POST", ORDERS, content, **json_type), name) for name, (content, _) in BODIES.items()}
    assert found == {name: status for name, (_, status) in BODIES.items()}


def test_paths_that_lead_elsewhere(api: Api, port: int) -> None:
    found = {name: check(send(port, api, "GET", path), name) for name, path in PATHS.items()}
    assert found == dict.fromkeys(PATHS, 404)


def test_queries_that_ask_for_more(api: Api, port: int) -> None:
    found = {name: check(send(port, api, "GET", f"{ORDERS}?{query}"), name) for name, query in QUERIES.items()}
    assert found == dict.fromkeys(QUERIES, 422)


def test_content_types_that_are_not_ours(api: Api, port: int) -> None:
    content = json.dumps(ORDER).encode()
    found = [check(send(port, api, "POST", ORDERS, content, Content_Type=each), each) for each in TYPES]
    assert found == [415] * len(TYPES)


def forged(**header: Any) -> str:
    claims = {"sub": "cust_1", "roles": ["admin"], "iss": devkeys.ISSUER, "aud": devkeys.AUDIENCE, "exp": 2_000_000_000}
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims)]
    return ".".join([*parts, ""])


def kid(stack: Stack) -> str:
    return str(json.loads((stack.data_dir / devkeys.JWKS_FILE).read_text())["keys"][0]["kid"])


def of_another_issuer(stack: Stack) -> str:
    now = datetime.now(UTC)
    claims = {
        "sub": "adm",
        "roles": ["admin"],
        "iss": "https://elsewhere.example",
        "aud": devkeys.AUDIENCE,
        "exp": now + timedelta(hours=1),
    }
    return jwt.encode(claims, (stack.data_dir / devkeys.KEY_FILE).read_text(), "ES256", headers={"kid": kid(stack)})


def of_a_strangers_key(stack: Stack) -> str:
    now = datetime.now(UTC)
    claims = {"sub": "adm", "roles": ["admin"], "iss": devkeys.ISSUER, "aud": devkeys.AUDIENCE, "exp": now + timedelta(hours=1)}
    return jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), "ES256", headers={"kid": kid(stack)})


TOKENS: dict[str, Callable[[Stack], str]] = {
    "alg none": lambda stack: f"Bearer {forged(alg='none', kid=kid(stack))}",
    "alg nOnE": lambda stack: f"Bearer {forged(alg='nOnE', kid=kid(stack))}",
    "another issuer": lambda stack: f"Bearer {of_another_issuer(stack)}",
    "a stranger's key": lambda stack: f"Bearer {of_a_strangers_key(stack)}",
    "brackets": lambda _: f"Bearer {base64.urlsafe_b64encode(b'[' * 9_000).decode()}.e30.eA",
    "12,000 letters": lambda _: f"Bearer {'x' * 12_000}",
    "letters beyond ASCII": lambda _: "Bearer \xe4.\xf6.\xfc",
    "SQL": lambda _: "Bearer ' OR 1=1--",
    "a password": lambda _: "Basic YWRtaW46YWRtaW4=",
    "nothing": lambda _: "",
}


def test_tokens_that_are_none(stack: Stack, port: int) -> None:
    for name, make in TOKENS.items():
        answer = gateway.call(port, "GET", ORDERS, headers={"Authorization": make(stack)})
        assert (name, check(answer, name)) == (name, 401)
        assert answer.headers["WWW-Authenticate"]


def message(api: Api, lines: list[bytes], content: bytes = b"") -> bytes:
    """A request for a new order with these header lines."""
    head = [
        b"POST /api/orders HTTP/1.1",
        b"Host: here",
        b"Content-Type: application/json",
        f"Authorization: Bearer {api.token}".encode(),
        *lines,
    ]
    return b"\r\n".join([*head, b"", content])


CHUNKED = b"Transfer-Encoding: chunked"
WIRE: dict[str, tuple[list[bytes], bytes, int]] = {
    "two lengths": ([b"Content-Length: 2", b"Content-Length: 3"], b"{} ", 400),
    "two lengths in one": ([b"Content-Length: 2, 3"], b"{} ", 400),
    "a length and chunks": ([b"Content-Length: 2", CHUNKED], b"0\r\n\r\n", 400),
    "a length below zero": ([b"Content-Length: -1"], b"", 400),
    "a length with a sign": ([b"Content-Length: +2"], b"{}", 400),
    "a length in hexadecimal": ([b"Content-Length: 0x2"], b"{}", 400),
    "a chunk without end": ([CHUNKED], b"ffffffffffffffff\r\n", 400),
    "a chunk below zero": ([CHUNKED], b"-1\r\n\r\n", 400),
    "a chunk of no size": ([CHUNKED], b"\r\n\r\n", 400),
    "a chunk longer than it says": ([CHUNKED], b"2\r\n{}{}\r\n0\r\n\r\n", 400),
    "a chunk's extension of 10 KB": ([CHUNKED], b"2;" + b"x" * 10_000 + b"\r\n{}\r\n0\r\n\r\n", 400),
    "70 KB in chunks of 10": ([CHUNKED], b"a\r\n0123456789\r\n" * 7_000 + b"0\r\n\r\n", 413),
    "a huge header": ([b"X-Large: " + b"x" * 20_000], b"", 431),
    "5,000 headers": ([b"X: y"] * 5_000, b"", 431),
    "a header that goes on": ([b"X-One: a", b" b", b"Content-Length: 0"], b"", 400),
    "a space before the colon": ([b"Content-Length : 2"], b"{}", 400),
    "a NUL in a header": ([b"X-One: a\x00b"], b"", 400),
    "a carriage return in the correlation id": ([b"X-Correlation-Id: a\rSet-Cookie: b=c"], b"", 400),
}


def test_messages_that_two_readers_read_differently(api: Api, port: int) -> None:
    found = {name: check(gateway.exchange(port, message(api, lines, content)), name) for name, (lines, content, _) in WIRE.items()}
    assert found == {name: status for name, (_, _, status) in WIRE.items()}


INJECTIONS = [
    b"a\r\nSet-Cookie: b=c",
    b"a\nSet-Cookie: b=c",
    b"a%0d%0aSet-Cookie:%20b=c",
    b"a b",
    b"<script>",
    b"\xc3\xa9",
    b"x" * 129,
    b"",
    b'{"level":"ERROR"}',
    b"a\r\nX-Correlation-Id: b c",
]


def test_a_correlation_id_carries_nothing_else_into_answers(api: Api, port: int) -> None:
    for injected in INJECTIONS:
        answer = gateway.exchange(port, message(api, [b"X-Correlation-Id: " + injected, b"Content-Length: 1"], b"{"))
        assert check(answer, str(injected)) == 400
        told = answer.headers["X-Correlation-Id"]
        assert (told == "a" and injected.startswith((b"a\r\nS", b"a\nS"))) or re.fullmatch(r"[0-9a-f-]{36}", told), injected
    kept = gateway.exchange(port, message(api, [b"X-Correlation-Id: " + b"x" * 128, b"Content-Length: 1"], b"{"))
    assert kept.headers["X-Correlation-Id"] == "x" * 128


def test_after_all_of_it_orders_are_placed_as_before(stack: Stack) -> None:
    placed = Api(stack.url, stack.data_dir, "cust_9").order(wait=20)
    assert (placed.status, placed.json()["order"]["orderStatus"]) == (201, "READY_FOR_PICKUP")
