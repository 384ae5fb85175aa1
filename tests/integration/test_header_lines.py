"""Headers on several lines (RFC 9110, section 5.3), and what a request may say of its body and of who sends it."""

import pytest

from chalicelib.entrypoints.challenges import BEARER, BEARER_REFUSED
from tests.integration.conftest import Service
from tests.support.edge import ADMIN, NEW_ORDER, ORDERS, OWNER, Edge

JSON = "application/json"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    "lines", [["wait=0", "respond-async"], ["respond-async", "wait=0"], ["", 'x="a, wait=9"', "wait=0, wait=9", "wait=8"]]
)
def test_preferences_may_come_on_several_lines(edge: Edge, lines: list[str]) -> None:
    assert edge.place(Prefer=lines).headers["Preference-Applied"] == "wait=0"


def test_entity_tags_may_come_on_several_lines(edge: Edge) -> None:
    path = str(edge.place().headers["Location"])
    for lines in (['"1"', '"7"'], ['"7"', 'W/"1"'], ["", '"7", "1"', ""]):
        assert edge.get(path, OWNER, If_None_Match=lines).status == 304
    assert edge.get(path, OWNER, If_None_Match=['"7"', '"8"']).status == 200


@pytest.mark.parametrize("lines", [["k", "k"], ['"k"', '"l"'], ["k", ""], ["", "k"], ['"k', 'l"'], ["k;a=1", "l"]])
def test_two_keys_are_refused(edge: Edge, brokerless: Service, lines: list[str]) -> None:
    edge.place(Idempotency_Key=lines).problem(400, "invalid")
    assert brokerless.world.rows("SELECT 1 FROM campusg.orders") == []


def test_parameters_do_not_make_another_key(edge: Edge) -> None:
    first = edge.place(Idempotency_Key='"k-1";a=1')
    for key in ('"k-1"', "k-1", 'k-1; b="x, y"', '"k-1";a=2;c'):
        assert edge.place(Idempotency_Key=key).said() == first.said()


def test_what_is_no_list_and_comes_twice_counts_as_not_given(edge: Edge, brokerless: Service) -> None:
    answered = edge.place(X_Correlation_Id=["one", "two"], traceparent=[TRACE, TRACE])
    assert answered.status == 202
    assert answered.headers["X-Correlation-Id"] not in ("one", "two")
    assert edge.get("/nowhere", X_Correlation_Id=["one", "two"]).headers["X-Correlation-Id"] not in ("one", "two")
    traces = {dict(sent.headers)["traceparent"].decode()[:35] for sent in brokerless.world.outbox()}
    assert len(traces) == 1
    assert TRACE[:35] not in traces


def test_two_tokens_are_none_whichever_the_authorizer_saw(edge: Edge, brokerless: Service) -> None:
    good = [f"Bearer {edge.token(caller)}" for caller in (OWNER, ADMIN)]
    for lines in (good, good[::-1], ["Bearer bad", good[0]], [good[0], "Bearer bad"], [good[0], good[0]]):
        refused = edge.post(ORDERS, None, NEW_ORDER, Authorization=lines, Content_Type="text/plain")
        refused.problem(401, "unauthorized")
        assert refused.headers["WWW-Authenticate"] == BEARER_REFUSED
    assert brokerless.world.rows("SELECT 1 FROM campusg.orders") == []
    assert edge.get("/health", Authorization=good).status == 200


def test_only_a_bad_token_is_called_invalid(edge: Edge) -> None:
    for headers, challenge in (({}, BEARER), ({"Authorization": "Basic eDp5"}, BEARER), ({"Authorization": "Bearer no"}, BEARER_REFUSED)):
        refused = edge.get(ORDERS, **headers)
        refused.problem(401, "unauthorized")
        assert refused.headers["WWW-Authenticate"] == challenge


@pytest.mark.parametrize("lines", [[JSON, "text/plain"], ["text/plain", JSON], [JSON, JSON], [f"{JSON}; a=b", "text/plain"]])
def test_two_media_types_are_none(edge: Edge, lines: list[str]) -> None:
    edge.place(Content_Type=lines).problem(415, "unsupported-media-type")


@pytest.mark.parametrize("lines", [["identity"], ["Identity"], [" identity ,, IDENTITY"], ["identity", "identity"], [""]])
def test_a_body_that_is_not_encoded_may_say_so(edge: Edge, lines: list[str]) -> None:
    assert edge.place(Content_Encoding=lines).status == 202


@pytest.mark.parametrize("lines", [["gzip"], ["identity, br"], ["identity", "gzip"], ["gzip", "identity"], ["x y"], ["identity;q=1"]])
def test_an_encoded_body_is_refused_with_the_coding_that_is_taken(edge: Edge, lines: list[str]) -> None:
    for body in (NEW_ORDER, b"\x1f\x8b", b"x" * 70_000, None):
        refused = edge.post(ORDERS, OWNER, body, Content_Encoding=lines, Content_Type="text/plain")
        refused.problem(415, "unsupported-media-type")
        assert refused.headers["Accept-Encoding"] == "identity"
    assert edge.post(ORDERS, OWNER, b"x", Content_Type="text/plain").headers["Accept-Encoding"] is None
    # A token comes first, and a GET has no body to be encoded.
    edge.post(ORDERS, None, NEW_ORDER, Content_Encoding=lines).problem(401, "unauthorized")
    assert edge.get(ORDERS, OWNER, Content_Encoding=lines).status == 200
