"""RFC 9457 problems: their form, and that every refusal has a type that the contract knows."""

import ast
import json
from pathlib import Path

from chalicelib.entrypoints.problems import PROBLEMS, problem
from chalicelib.entrypoints.refusals import Unauthorized
from chalicelib.errors import CampusError, FieldError, Invalid, NotFound, Refusal
from chalicelib.orders.order import ORDER
from chalicelib.sagas.create_order import CREATE_ORDER
from chalicelib.sagas.queries import SagaWithOrder
from chalicelib.sagas.state import SAGA
from tests.support.examples import a_saga, an_order

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


CHALICELIB = Path(__file__).parents[2] / "chalicelib"
# Words of one part only are also words of the business.
SLUGS = {slug for slug in TYPES if "-" in slug}

HEADERS = ("WWW-Authenticate", "Retry-After", "Accept-Encoding", "ETag", "Content-Type", "Preference-Applied", "application/problem+json")


def kinds(of: type[Refusal] = Refusal) -> set[type[Refusal]]:
    """Every kind of refusal that can be raised."""
    return {each for kind in of.__subclasses__() for each in (kind, *kinds(kind)) if each.__module__.startswith("chalicelib.")}


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
    response = problem(
        Invalid(
            "four places",
            [FieldError(("a",), "is missing"), FieldError(("b~/", 0), "is bad"), FieldError("page", "x"), FieldError((), "y")],
        ),
        "/",
        "c",
    )

    assert [tuple(each.values()) for each in json.loads(response.body)["errors"]] == [
        ("/a", "is missing"),
        ("/b~0~1/0", "is bad"),
        ("page", "x"),
        ("", "y"),
    ]


def test_further_members_and_headers_come_along() -> None:
    response = problem(NotFound("gone"), "/", "c", {"Retry-After": "2"}, SagaWithOrder(a_saga(CREATE_ORDER), an_order()))

    assert response.headers["Retry-After"] == "2"
    assert json.loads(response.body)["order"] == ORDER.document(an_order())
    assert json.loads(response.body)["saga"] == SAGA.document(a_saga(CREATE_ORDER))


def test_who_is_not_known_is_told_how_to_say_who_they_are() -> None:
    assert problem(Unauthorized("no token"), "/", "c").headers["WWW-Authenticate"] == "Bearer"
    assert "WWW-Authenticate" not in problem(NotFound("gone"), "/", "c").headers


def test_every_refusal_has_a_row_in_the_one_table_and_each_row_is_a_problem_of_the_contract() -> None:
    assert set(PROBLEMS) == kinds()
    assert {each.slug for each in PROBLEMS.values()} == set(TYPES)
    assert {each.status for each in PROBLEMS.values()} <= set(range(400, 600))
    assert all(each.title for each in PROBLEMS.values())


def test_nothing_below_the_edge_knows_a_status_or_a_type_of_http() -> None:
    below = [file for file in CHALICELIB.rglob("*.py") if "entrypoints" not in file.parts]
    texts = {
        (file.name, node.value)
        for file in below
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and node.value in (*SLUGS, *HEADERS)
    }

    assert texts == set()


def test_a_refusal_is_one_of_our_errors_and_its_text_is_its_detail() -> None:
    refusal = NotFound("there is no such order")

    assert isinstance(refusal, CampusError)
    assert str(refusal) == refusal.detail == "there is no such order"
    assert refusal.errors == ()
