"""The local gateway as an API gateway: routing, authorization, the event it hands on, and what becomes of the application's answers."""

import base64
from collections.abc import Iterator

import pytest
import requests

from chalicelib.entrypoints.challenges import BEARER_REFUSED
from tests.data.gateway_project.app import app
from tests.support.gateway import call, exchange, serving

GOOD = {"Authorization": "Bearer good"}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(app) as server:
        yield server.server_port


@pytest.mark.parametrize(
    ("target", "instance"),
    [
        (path, path)
        for path in (
            "/nowhere",
            "/",
            "/things",
            "/things/",
            "/things//",
            "/things/1/parts",
            "/event/..%2f",
            "/event%00",
            "/event//",
            "/Event",
        )
    ]
    + [("//", "/"), ("/event;x=1", "/event%3Bx=1"), ("/nowhere?a=b", "/nowhere")],
)
def test_a_path_that_is_not_there_is_404(port: int, target: str, instance: str) -> None:
    assert call(port, "GET", target, headers=GOOD).problem(404, "not-found")["instance"] == instance


def test_an_unknown_path_says_nothing_of_the_authorization_header(port: int) -> None:
    answer = call(port, "GET", "/nowhere", headers={"Authorization": "Bearer a-secret"})
    assert b"a-secret" not in answer.body
    assert "a-secret" not in str(answer.headers)


@pytest.mark.parametrize("method", ["DELETE", "PUT", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "get", "X-Y_Z"])
def test_a_method_that_a_path_lacks_is_405_with_what_it_has(port: int, method: str) -> None:
    answer = call(port, method, "/things/1")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, PATCH")
    if method == "HEAD":
        assert answer.body == b""
        assert int(answer.headers["Content-Length"]) > 0
    else:
        assert answer.problem(405, "method-not-allowed")["instance"] == "/things/1"


@pytest.mark.parametrize("method", ["TRACE", "PROPFIND", "HEAD", "CONNECT", "OPTIONS"])
def test_an_unknown_path_comes_before_an_unknown_method(port: int, method: str) -> None:
    assert call(port, method, "/nowhere").status == 404


def test_other_forms_of_a_request_target_are_understood(port: int) -> None:
    assert exchange(port, b"GET http://elsewhere.example/event HTTP/1.1\r\nHost: here\r\n\r\n").json()["path"] == "/event"
    assert exchange(port, b"OPTIONS * HTTP/1.1\r\nHost: here\r\n\r\n").status == 404
    assert exchange(port, b"CONNECT here:443 HTTP/1.1\r\nHost: here\r\n\r\n").status == 404


def test_a_slash_at_the_end_and_encoded_segments_reach_the_route_as_they_are(port: int) -> None:
    assert call(port, "GET", "/event/").json()["resource"] == "/event"
    for segment in ("..%2f..%2fetc", "%00", "%zz", "a:b*", "x" * 4000, "..", "."):
        assert call(port, "GET", f"/things/{segment}", headers=GOOD).json()["thing"] == segment


def test_the_path_parameters_are_handed_on(port: int) -> None:
    assert call(port, "GET", "/things/7/parts/9").json() == {"parameters": {"thing": "7", "part": "9"}}


def test_a_preflight_request_is_answered_only_where_the_route_has_cors(port: int) -> None:
    allowed = call(port, "OPTIONS", "/shared")
    assert (allowed.status, allowed.headers["Access-Control-Allow-Methods"], allowed.body) == (200, "GET,OPTIONS", b"")
    assert call(port, "PUT", "/shared").headers["Allow"] == "GET, OPTIONS"


@pytest.mark.parametrize("of_all", [False, True])
def test_a_problem_is_shown_to_browsers_as_its_route_says_and_where_there_is_none_as_the_application(
    port: int, of_all: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.api, "cors", of_all)
    shown = {path: call(port, "PUT", path).headers["Access-Control-Allow-Origin"] for path in ("/shared", "/event", "/nowhere")}
    assert shown == {"/shared": "*", "/event": None, "/nowhere": "*" if of_all else None}


@pytest.mark.parametrize("token", [None, "", "Bearer", "Bearer bad", "Bearer denied", "Basic eDp5", "Bearer é"])
def test_no_token_and_a_token_that_is_turned_down_are_401(port: int, token: str | None) -> None:
    headers = {} if token is None else {"Authorization": token}
    answer = call(port, "GET", "/things/1", headers=headers)
    answer.problem(401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_an_authorizer_that_denies_says_which_challenge_the_401_carries(port: int) -> None:
    answer = call(port, "GET", "/things/1", headers={"Authorization": "Bearer expired"})
    answer.problem(401, "unauthorized")
    assert answer.headers["WWW-Authenticate"] == BEARER_REFUSED


def test_an_authorizer_that_cannot_work_just_now_is_503(port: int) -> None:
    answer = call(port, "GET", "/things/1", headers={"Authorization": "Bearer keyless"})
    answer.problem(503, "unavailable")
    assert (answer.headers["Retry-After"], b"secret" in answer.body) == ("2", False)


@pytest.mark.parametrize("token", ["Bearer broken", "Bearer nothing"])
def test_an_authorizer_that_fails_is_500_without_its_secrets(port: int, token: str) -> None:
    answer = call(port, "GET", "/things/1", headers={"Authorization": token})
    answer.problem(500, "internal")
    assert b"secret" not in answer.body
    assert call(port, "GET", "/event").status == 200


def test_a_good_token_brings_the_authorizers_context_to_the_application(port: int) -> None:
    assert call(port, "GET", "/things/1", headers=GOOD).json() == {
        "thing": "1",
        "authorizer": {"roles": "customer", "principalId": "sub_1"},
    }


def test_the_event_has_what_api_gateway_gives(port: int) -> None:
    event = exchange(
        port,
        b"GET /event?status=A&status=B&empty=&q=%C3%A9%26 HTTP/1.1\r\nHost: here\r\nX-Twice: one\r\nx-twice: two\r\nUser-Agent: a test\r\n"
        b"X-Correlation-Id: seen\r\n\r\n",
    ).json()
    assert (event["httpMethod"], event["resource"], event["path"], event["pathParameters"]) == ("GET", "/event", "/event", None)
    assert event["multiValueQueryStringParameters"] == {"status": ["A", "B"], "empty": [""], "q": ["é&"]}
    assert event["queryStringParameters"] == {"status": "B", "empty": "", "q": "é&"}
    assert event["headers"] == {"host": "here", "x-twice": "two", "user-agent": "a test", "x-correlation-id": "seen"}
    assert event["multiValueHeaders"]["x-twice"] == ["one", "two"]
    assert (event["body"], event["isBase64Encoded"]) == (None, False)
    context = event["requestContext"]
    assert (context["httpMethod"], context["resourcePath"], context["path"]) == ("GET", "/event", "/event")
    assert context["identity"] == {"sourceIp": "127.0.0.1", "userAgent": "a test"}
    assert context["requestId"] and context["requestTimeEpoch"] > 0


def test_without_parameters_the_event_has_null(port: int) -> None:
    event = call(port, "GET", "/event").json()
    assert event["queryStringParameters"] is event["multiValueQueryStringParameters"] is None


def test_text_comes_as_text_and_other_bytes_in_base64(port: int) -> None:
    event = call(port, "POST", "/measure", "é".encode(), {"Content-Type": "application/json"}).json()["event"]
    assert (event["body"], event["isBase64Encoded"]) == ("é", False)
    measured = call(port, "POST", "/measure", b"\xff\xfe", {"Content-Type": "application/json"}).json()
    assert base64.b64decode(measured["event"]["body"]) == b"\xff\xfe"
    assert measured["length"] == 2


@pytest.mark.parametrize(("path", "status"), [("/nothing", 204), ("/unchanged", 304)])
def test_answers_without_a_body_have_none(port: int, path: str, status: int) -> None:
    session = requests.Session()
    for _ in range(2):
        answer = session.get(f"http://127.0.0.1:{port}{path}")
        assert (answer.status_code, answer.content, answer.headers.get("Content-Length")) == (status, b"", None)


def test_an_answer_keeps_its_headers_its_repeated_ones_too(port: int) -> None:
    answer = call(port, "GET", "/cookies")
    assert answer.headers.get_all("Set-Cookie") == ["a=1", "b=2"]
    assert answer.headers.get_all("Content-Type") == ["text/html"]
    assert answer.headers["Server"] is None


def test_an_answer_without_a_content_type_is_json(port: int) -> None:
    assert call(port, "GET", "/event").headers.get_all("Content-Type") == ["application/json"]


def test_the_applications_own_problems_and_statuses_pass_unchanged(port: int) -> None:
    answer = call(port, "GET", "/own-problem", headers={"X-Correlation-Id": "of-the-caller"})
    assert (answer.status, answer.json()) == (409, {"type": "/problems/taken", "status": 409})
    assert answer.headers.get_all("X-Correlation-Id") == ["of-the-application"]
    answer = call(port, "GET", "/not-ready")
    assert (answer.status, answer.json()) == (503, {"status": "unavailable", "dependencies": {}})


def test_errors_in_chalices_words_become_problems(port: int) -> None:
    assert call(port, "GET", "/conflict").problem(409, "wrong-status")["detail"] == "words of Chalice"
    assert call(port, "GET", "/bad").problem(400, "invalid")["detail"] == "not like this"
    call(port, "POST", "/measure", b"x", {"Content-Type": "text/plain"}).problem(415, "unsupported-media-type")


@pytest.mark.parametrize("path", ["/fails", "/unspeakable", "/splits"])
@pytest.mark.parametrize("debug", [False, True])
def test_a_failing_application_is_500_without_its_secrets(port: int, path: str, debug: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "_debug", debug)
    answer = call(port, "GET", path)
    problem = answer.problem(500, "internal")
    assert problem["instance"] == path
    assert b"secret" not in answer.body and b"Traceback" not in answer.body
    assert "Set-Cookie" not in answer.headers
