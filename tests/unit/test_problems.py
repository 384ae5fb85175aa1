"""RFC 9457 problems: their form, and that every refusal has a type that the contract knows."""

import json
from collections.abc import Iterator

import pytest

from chalicelib.entrypoints.problems import problem
from chalicelib.errors import CampusError, Conflict, FieldError, Invalid, NotFound, Refusal, Unauthorized

# Problem types of the contract.
TYPES = [
    "not-json",
    "too-large",
    "unsupported-media-type",
    "invalid",
    "unauthorized",
    "forbidden",
    "not-found",
    "method-not-allowed",
    "wrong-status",
    "held-by-saga",
    "taken",
    "too-late",
    "key-reused",
    "in-flight",
    "precondition-failed",
    "payment-declined",
    "customer-rejected",
    "runner-rejected",
    "partner-failed",
    "cancelled",
    "rate-limited",
    "unavailable",
    "internal",
]


def kinds(of: type[Refusal] = Refusal) -> Iterator[type[Refusal]]:
    """Every kind of refusal that can be raised."""
    for kind in of.__subclasses__():
        yield from kinds(kind)
        if hasattr(kind, "problem"):
            yield kind


def test_a_problem_says_what_is_wrong_with_which_request() -> None:
    response = problem(NotFound("there is no such order"), "/api/orders/1", "corr-1")

    assert response.status_code == 404
    assert response.headers == {"Content-Type": "application/problem+json"}
    assert json.loads(response.body) == {
        "type": "/problems/not-found",
        "title": "There is no such thing",
        "status": 404,
        "detail": "there is no such order",
        "instance": "/api/orders/1",
        "correlationId": "corr-1",
    }


def test_field_errors_are_listed_with_their_pointers() -> None:
    response = problem(Invalid("two fields", [FieldError("/a", "is missing"), FieldError("/b/0", "is bad")]), "/", "c")

    assert json.loads(response.body)["errors"] == [{"pointer": "/a", "detail": "is missing"}, {"pointer": "/b/0", "detail": "is bad"}]


def test_further_members_and_headers_come_along() -> None:
    response = problem(NotFound("gone"), "/", "c", {"Retry-After": "2"}, {"order": {"orderId": "o"}})

    assert response.headers["Retry-After"] == "2"
    assert json.loads(response.body)["order"] == {"orderId": "o"}


def test_who_is_not_known_is_told_how_to_say_who_they_are() -> None:
    assert problem(Unauthorized("no token"), "/", "c").headers["WWW-Authenticate"] == "Bearer"
    assert "WWW-Authenticate" not in problem(NotFound("gone"), "/", "c").headers


@pytest.mark.parametrize("kind", sorted(set(kinds()), key=lambda kind: kind.__name__))
def test_every_refusal_has_a_type_of_the_contract_a_title_and_a_status_of_an_error(kind: type[Refusal]) -> None:
    body = json.loads(problem(kind("so it is"), "/", "c").body)

    assert body["type"].removeprefix("/problems/") in TYPES
    assert 400 <= body["status"] <= 599
    assert body["title"]
    assert body["title"] != body["detail"]
    assert issubclass(kind, Conflict) == (body["status"] == 409)


def test_a_refusal_is_one_of_our_errors_and_its_text_is_its_detail() -> None:
    refusal = NotFound("there is no such order")

    assert isinstance(refusal, CampusError)
    assert str(refusal) == refusal.detail == "there is no such order"
    assert refusal.errors == ()
