"""The OpenAPI document says what the code does: every route, every limit, every answer, and nothing besides."""

import importlib
import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from types import ModuleType
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from chalicelib.entrypoints import documents, parameters
from chalicelib.entrypoints.application import REQUEST_HEADERS, RESPONSE_HEADERS
from chalicelib.entrypoints.http import Request
from chalicelib.entrypoints.problems import PROBLEM, PROBLEMS, problem
from chalicelib.entrypoints.refusals import MethodNotAllowed, Unexpected
from chalicelib.errors import FieldError, Refusal
from chalicelib.fields import Table
from chalicelib.messaging.dead_letter_documents import DEAD_LETTER, WHOLE_DEAD_LETTER, full_document
from chalicelib.messaging.dead_letter_queries import KeptDeadLetter
from chalicelib.orders.order import ORDER, OrderStatus
from chalicelib.sagas.registry import DEFINITIONS
from chalicelib.sagas.state import SAGA, ErrorCode, SagaError, SagaStatus
from infra.documents.openapi import problems
from infra.documents.openapi.document import build
from infra.documents.openapi.parameters import HEADERS, PARAMETERS, header_name
from infra.documents.openapi.route import ANYONE
from infra.documents.openapi.routes import ROUTES
from infra.documents.schemas import of_tables
from tests.support.examples import NOW, ORDER_ID, SAGA_ID, a_record, a_saga, an_order, an_order_in
from tests.unit import test_bodies

METHODS = ("get", "post", "patch", "put", "delete", "head", "options")


@pytest.fixture(scope="module")
def module() -> ModuleType:
    return importlib.import_module("app")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return build()


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of every operation."""
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield method.upper(), path, item[method]


def target(document: Mapping[str, Any], maybe: Mapping[str, Any]) -> Any:
    """What a reference names; anything else is itself."""
    found: Any = maybe
    while "$ref" in found:
        at: Any = document
        for part in found["$ref"].removeprefix("#/").split("/"):
            at = at[part]
        found = at
    return found


def validator(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Draft202012Validator:
    """A validator of a schema of the document, in whose references the document is at home."""
    registry: Registry[Any] = Registry().with_resource("urn:api", Resource.from_contents(document, default_specification=DRAFT202012))
    text = json.dumps(schema).replace('"#/components/', '"urn:api#/components/')
    resolved = json.loads(json.dumps(document).replace('"#/components/', '"urn:api#/components/'))
    registry = registry.with_resource("urn:api", Resource.from_contents(resolved, default_specification=DRAFT202012))
    return Draft202012Validator(json.loads(text), registry=registry)


def test_the_document_is_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_every_route_of_the_application_is_described_and_no_other(module: ModuleType, document: dict[str, Any]) -> None:
    routed = {(method, camel(path)) for path, entries in module.app.routes.items() for method in entries}

    assert {(method, path) for method, path, _ in operations(document)} == routed
    assert len(ROUTES) == len(routed)


def camel(path: str) -> str:
    """The path as the contract writes it: our routes name their parameters as Python does."""
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), path)


def test_a_token_is_asked_for_where_the_route_has_an_authorizer(module: ModuleType, document: dict[str, Any]) -> None:
    guarded = {(method, camel(path)): bool(entry.authorizer) for path, each in module.app.routes.items() for method, entry in each.items()}

    assert {(method, path): bool(operation["security"]) for method, path, operation in operations(document)} == guarded
    assert {(route.method, route.path): route.who != ANYONE for route in ROUTES} == guarded


def test_path_parameters_are_those_of_the_path(document: dict[str, Any]) -> None:
    for _, path, operation in operations(document):
        given = [target(document, each) for each in operation["parameters"]]
        assert [each["name"] for each in given if each["in"] == "path"] == re.findall(r"{(\w+)}", path)


def test_query_parameters_are_those_that_the_lists_know() -> None:
    known = {route.name: {PARAMETERS[name]["name"] for name in route.parameters if PARAMETERS[name]["in"] == "query"} for route in ROUTES}

    assert known.pop("listOrders") == parameters.KNOWN
    assert known.pop("listSagas") == parameters.SAGA_PARAMETERS
    assert known.pop("listDeadLetters") == parameters.DEAD_LETTER_PARAMETERS
    assert known.pop("search") == parameters.SEARCH_PARAMETERS
    assert not any(known.values())


def test_headers_are_those_that_browsers_may_send_and_see() -> None:
    asked = {name for route in ROUTES for name in route.parameters if PARAMETERS[name]["in"] == "header"} | {"X-Correlation-Id"}

    assert asked == set(REQUEST_HEADERS) - {"traceparent"}
    assert {header_name(name) for name in HEADERS} == {*RESPONSE_HEADERS, "WWW-Authenticate"}


def test_every_example_fits_its_schema(document: dict[str, Any]) -> None:
    seen = 0
    for operation in (operation for *_, operation in operations(document)):
        bodies = [operation.get("requestBody", {}), *(target(document, each) for each in operation["responses"].values())]
        for content in (content for body in bodies for content in body.get("content", {}).values()):
            check = validator(document, content["schema"])
            shown = [target(document, each)["value"] for each in content.get("examples", {}).values()]
            for example in (*shown, *([content["example"]] if "example" in content else [])):
                check.validate(example)
                seen += 1
    assert seen > 150


def test_every_error_has_an_example_of_each_problem(document: dict[str, Any]) -> None:
    for route in ROUTES:
        responses = document["paths"][route.path][route.method.lower()]["responses"]
        for error in route.errors:
            response = target(document, responses[str(PROBLEMS[error].status)])
            examples = response["content"]["application/problem+json"]["examples"]
            assert target(document, examples[problems.name_of(error)])["value"]["type"] == f"/problems/{PROBLEMS[error].slug}"
            assert PROBLEMS[error].title in response["description"]


def test_every_refusal_is_described_somewhere() -> None:
    # A bug of ours can be anywhere, and what no operation is for none lists.
    refusals = set(PROBLEMS) - {Unexpected, MethodNotAllowed}

    assert set(problems.DETAILS) == refusals
    assert {error for route in ROUTES for error in route.errors} == refusals


@pytest.mark.parametrize(("path", "server"), [("/openapi.json", "/"), ("/stage/openapi.json", "/stage")])
def test_the_server_is_where_the_document_is(path: str, server: str, document: dict[str, Any]) -> None:
    answer = documents.openapi(Request("GET", path, {}, {}, b"", {}, "corr-1"))

    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")
    assert json.loads(answer.body) == {**document, "servers": [{"url": server}]}


def exact(table: Table, answered: Any) -> None:
    """Hold an answer against its schema, made to forbid every field that it doesn't describe."""
    schemas = of_tables([table])
    for schema in schemas.values():
        if "properties" in schema:
            schema["additionalProperties"] = False
    validator({"components": {"schemas": schemas}}, schemas[table.name]).validate(json.loads(json.dumps(answered)))


@pytest.mark.parametrize("status", OrderStatus)
def test_orders_are_as_described(status: OrderStatus) -> None:
    exact(ORDER, ORDER.document(an_order_in(status)))
    exact(ORDER, ORDER.document(an_order(order_status=status, active_saga_id=SAGA_ID, cancelled_at=NOW, cancel_reason="x")))


@pytest.mark.parametrize("status", SagaStatus)
@pytest.mark.parametrize("definition", DEFINITIONS.values(), ids=lambda definition: definition.name)
def test_sagas_are_as_described(definition: Any, status: SagaStatus) -> None:
    failed = a_saga(definition, status=status, error=SagaError(ErrorCode.SILENT, "no answer"), ended_at=NOW)
    exact(SAGA, SAGA.document(a_saga(definition, status=status)))
    exact(SAGA, SAGA.document(failed))


@pytest.mark.parametrize("known", [True, False], ids=["all known", "nothing known"])
@pytest.mark.parametrize("value", [b"{}", b"\xff", None])
def test_dead_letters_are_as_described(known: bool, value: bytes | None) -> None:
    ids = {"order_id": ORDER_ID, "saga_id": SAGA_ID} if known else {"order_id": None, "saga_id": None}
    maybe = {"type": "user.renamed", "redriven_at": NOW} if known else {"type": None, "redriven_at": None}
    letter = KeptDeadLetter(SAGA_ID, "user-events", 0, 7, **ids, **maybe, error_class="Misfit", error="", delivery_count=1, at=NOW)  # type: ignore[arg-type]

    exact(DEAD_LETTER, DEAD_LETTER.document(letter))
    exact(WHOLE_DEAD_LETTER, full_document(letter, a_record(value, {"ce_id": "m-1"})))


@pytest.mark.parametrize("error", problems.DETAILS, ids=lambda error: error.__name__)
def test_problems_are_as_described(error: type[Refusal]) -> None:
    answer = problem(error("for some reason", [FieldError(("x",), "is missing")], retry_after=1), "/api/orders", "corr-1")

    exact(PROBLEM, json.loads(answer.body))
    assert {name for name, always in problems.SURE_HEADERS.items() if error in always} <= set(answer.headers)


def in_json(value: Any) -> Any:
    """The value as a JSON parser without our exact decimals reads it."""
    return json.loads(json.dumps(value, default=lambda other: float(other) if isinstance(other, Decimal) else str(other)))


def beyond_a_schema(name: str, value: Any) -> bool:
    """What JSON Schema can't tell: how a number is spelled, and in a pattern lone surrogates; nor here a line's end from that of a text."""
    if isinstance(value, str):
        return value.endswith("\n") or any("\ud800" <= letter <= "\udfff" for letter in value)
    if isinstance(value, int):
        # The validator divides by 0.01 before it looks at the maximum.
        return value > 10**300
    # Our parser makes no floats; and the validator's have fewer digits than the number.
    return isinstance(value, float) or (isinstance(value, Decimal) and Decimal(repr(float(value))) != value)


@pytest.mark.parametrize(("name", "value"), test_bodies.ACCEPTED, ids=lambda value: str(value)[:20])
def test_the_schema_allows_what_the_code_accepts(document: dict[str, Any], name: str, value: Any) -> None:
    schema = document["components"]["schemas"]["CreateOrderBody"]
    validator(document, schema).validate(in_json(test_bodies.body(**{name: value})))


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, value, _ in test_bodies.REFUSED if not beyond_a_schema(name, value)],
    ids=lambda value: repr(value)[:24],
)
def test_the_schema_forbids_what_the_code_refuses(document: dict[str, Any], name: str, value: Any) -> None:
    schema = document["components"]["schemas"]["CreateOrderBody"]
    assert not validator(document, schema).is_valid(in_json(test_bodies.body(**{name: value})))
