"""The limit of requests a minute, where one is set; and what browsers are told."""

import pytest

from chalicelib.entrypoints import schedules
from chalicelib.entrypoints.application import REQUEST_HEADERS, RESPONSE_HEADERS, CampusApp
from chalicelib.entrypoints.http import answer
from chalicelib.errors import SettingsError
from tests.integration.conftest import Service
from tests.support import gateway
from tests.support.answers import Answer
from tests.support.edge import ORDERS, OTHER_CUSTOMER, OWNER, Caller, Edge, stop_minute

BROWSER = "https://app.example"


@pytest.fixture
def limited(edge: Edge, brokerless: Service, monkeypatch: pytest.MonkeyPatch) -> Edge:
    """Three requests a minute; the minute is half over and stays so."""
    stop_minute(monkeypatch)
    settings = brokerless.runtime.settings
    brokerless.runtime.settings = settings.model_copy(update={"rate_limit_per_minute": 3})
    return edge


def counts(service: Service) -> dict[str, int]:
    rows = service.world.rows("SELECT sub, sum(requests)::int AS requests FROM campusg.request_rates GROUP BY sub")
    return {row["sub"]: row["requests"] for row in rows}


def minute_passes(service: Service) -> None:
    service.world.rows("UPDATE campusg.request_rates SET minute = minute - interval '1 minute'")


def test_nothing_is_limited_or_counted_unless_it_is_set(edge: Edge, brokerless: Service) -> None:
    answers = [edge.get(ORDERS, OWNER) for _ in range(8)]
    assert {answered.status for answered in answers} == {200}
    assert not [name for answered in answers for name in answered.headers if name.startswith("RateLimit")]
    assert counts(brokerless) == {}


def test_one_request_too_many_is_told_when_to_come_again(limited: Edge, brokerless: Service) -> None:
    answers = [limited.get(ORDERS, OWNER) for _ in range(4)]
    assert [answered.status for answered in answers] == [200, 200, 200, 429]
    assert {answered.headers["RateLimit-Policy"] for answered in answers} == {'"default";q=3;w=60'}
    left = [answered.headers["RateLimit"].split(";") for answered in answers]
    assert [(name, rest) for name, rest, _ in left] == [('"default"', f"r={rest}") for rest in (2, 1, 0, 0)]
    refused = answers[-1]
    refused.problem(429, "rate-limited")
    assert (refused.headers["Retry-After"], left[-1][2]) == ("30", "t=30")
    minute_passes(brokerless)
    assert limited.get(ORDERS, OWNER).status == 200


def test_each_caller_has_a_limit_of_their_own_whatever_their_roles(limited: Edge, brokerless: Service) -> None:
    callers = [OWNER, OWNER, Caller("cust_1", ("admin",)), OWNER, OTHER_CUSTOMER]
    assert [limited.get(ORDERS, caller).status for caller in callers] == [200, 200, 200, 429, 200]
    assert counts(brokerless) == {"cust_1": 4, "cust_2": 1}


def test_all_routes_and_refusals_count_and_what_needs_no_token_does_not(limited: Edge, brokerless: Service) -> None:
    assert limited.place().status == 202
    assert limited.post(ORDERS, OWNER, b"{").status == 400
    assert limited.get(f"{ORDERS}/7", OWNER).status == 404
    assert limited.place().status == 429
    assert [limited.get("/health").status for _ in range(5)] == [200] * 5
    assert [limited.get(ORDERS).status for _ in range(5)] == [401] * 5
    assert len(brokerless.world.rows("SELECT 1 FROM campusg.orders")) == 1


def test_counts_of_long_ago_are_purged(limited: Edge, brokerless: Service) -> None:
    limited.get(ORDERS, OWNER)
    schedules.purge_expired()
    assert counts(brokerless) == {"cust_1": 1}
    for _ in range(4):
        minute_passes(brokerless)
    schedules.purge_expired()
    assert counts(brokerless) == {}


def listed(text: str) -> set[str]:
    return {name.strip().lower() for name in text.split(",")}


@pytest.mark.parametrize("path", [ORDERS, f"{ORDERS}/7", f"{ORDERS}/7/status", "/api/sagas", "/health"])
def test_a_browser_may_ask_what_it_may_send(edge: Edge, path: str) -> None:
    asked = edge.call("OPTIONS", path, Origin=BROWSER, Access_Control_Request_Method="POST")
    assert (asked.status, asked.headers["Access-Control-Allow-Origin"]) == (200, "*")
    assert listed(asked.headers["Access-Control-Allow-Headers"]) >= {"authorization", "content-type", *map(str.lower, REQUEST_HEADERS)}
    assert listed(asked.headers["Access-Control-Expose-Headers"]) == set(map(str.lower, RESPONSE_HEADERS))
    methods = {ORDERS: {"get", "post", "options"}, f"{ORDERS}/7/status": {"patch", "options"}}.get(path, {"get", "options"})
    assert listed(asked.headers["Access-Control-Allow-Methods"]) == methods
    assert "Access-Control-Allow-Credentials" not in asked.headers
    assert asked.headers["X-Correlation-Id"]


def test_a_browser_is_shown_answers_and_refusals(edge: Edge) -> None:
    answers = {
        200: edge.get(ORDERS, OWNER, Origin=BROWSER),
        202: edge.place(Origin=BROWSER),
        401: edge.get(ORDERS, Origin=BROWSER),
        404: edge.get(f"{ORDERS}/7", OWNER, Origin=BROWSER),
        405: edge.call("DELETE", ORDERS, OWNER, Origin=BROWSER),
        422: edge.post(ORDERS, OWNER, {}, Origin=BROWSER),
    }
    assert {status: answered.status for status, answered in answers.items()} == {status: status for status in answers}
    assert {status: answered.headers["Access-Control-Allow-Origin"] for status, answered in answers.items()} == dict.fromkeys(answers, "*")
    assert {"etag", "x-correlation-id"} < listed(answers[401].headers["Access-Control-Expose-Headers"])


# What the application never sees, or could not say.
WORDED_BY_THE_GATEWAY = {
    400: b"nothing that can be read\r\n\r\n",
    404: b"GET /nowhere HTTP/1.1\r\nHost: here\r\n\r\n",
    405: b"DELETE /here HTTP/1.1\r\nHost: here\r\n\r\n",
    414: b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\nHost: here\r\n\r\n",
    431: b"GET /here HTTP/1.1\r\nHost: here\r\nA: " + b"b" * 20_000 + b"\r\n\r\n",
    500: b"GET /unspeakable HTTP/1.1\r\nHost: here\r\n\r\n",
    501: b"POST /here HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: gzip\r\n\r\n",
    505: b"GET /here HTTP/3.0\r\n\r\n",
}


def shared(answered: Answer) -> dict[str, str]:
    """What an answer tells a browser."""
    return {name: value for name, value in answered.headers.items() if name.startswith("Access-Control-")}


@pytest.mark.parametrize("origin", ["orders.example", "https://orders.example/", "https://a.example, https://b.example", "null", "ftp://h"])
def test_an_origin_that_no_browser_sends_is_refused_at_start(monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    monkeypatch.setenv("CORS_ALLOW_ORIGIN", origin)
    with pytest.raises(SettingsError, match=r"^CORS_ALLOW_ORIGIN: must be \*, none or one origin"):
        CampusApp()


@pytest.mark.parametrize(("origin", "preflight"), [("none", (405, None)), (BROWSER, (200, BROWSER)), ("*", (200, "*"))])
def test_browsers_can_be_kept_out_or_let_in_from_one_place_or_from_anywhere(
    monkeypatch: pytest.MonkeyPatch, origin: str, preflight: tuple[int, str | None]
) -> None:
    monkeypatch.setenv("CORS_ALLOW_ORIGIN", origin)
    app = CampusApp()
    app.route("/here")(lambda: answer(200, {}))
    app.route("/unspeakable")(lambda: answer(200, {}, {"X-Split": "one\rtwo"}))
    with gateway.serving(app) as server:
        asked = gateway.call(server.server_port, "OPTIONS", "/here", headers={"Origin": BROWSER})
        own = shared(gateway.call(server.server_port, "GET", "/here"))
        worded = {status: gateway.exchange(server.server_port, message) for status, message in WORDED_BY_THE_GATEWAY.items()}
    assert (asked.status, asked.headers["Access-Control-Allow-Origin"]) == preflight
    assert own.get("Access-Control-Allow-Origin") == preflight[1]
    assert {status: answered.status for status, answered in worded.items()} == {status: status for status in worded}
    assert {status: shared(answered) for status, answered in worded.items()} == dict.fromkeys(worded, own)
