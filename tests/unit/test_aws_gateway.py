"""What API Gateway words itself, and which requests it hands to the application although no route is for them."""

import importlib
import json
from collections.abc import Mapping
from typing import Any

import pytest

from chalicelib.entrypoints.problems import PROBLEM
from infra.aws import chalice_project
from infra.aws.gateway import ALL_OTHERS, METHODS
from tests.unit.test_problems import TYPES

TITLES = "x-amazon-apigateway-gateway-responses"


@pytest.fixture(scope="module")
def api() -> Mapping[str, Any]:
    return chalice_project.template()["Resources"]["RestAPI"]["Properties"]


@pytest.fixture(scope="module")
def answers(api: Mapping[str, Any]) -> Mapping[str, Any]:
    return api["DefinitionBody"][TITLES]


def problem_of(answer: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(answer["responseTemplates"]["application/json"])


def test_every_answer_of_the_gateway_is_a_problem_of_the_contract(answers: Mapping[str, Any]) -> None:
    required = [field.name for field in PROBLEM.fields if not field.optional]
    for kind, answer in answers.items():
        problem = problem_of(answer)
        assert list(problem) == required, kind
        assert problem["type"].removeprefix("/problems/") in TYPES, kind
        assert str(problem["status"]) == answer["statusCode"], kind
        headers = answer["responseParameters"]
        assert headers["gatewayresponse.header.Content-Type"] == "'application/problem+json'"
        assert headers["gatewayresponse.header.X-Correlation-Id"] == "context.requestId"
        assert headers["gatewayresponse.header.Access-Control-Allow-Origin"] == {"Fn::Sub": "'${CorsAllowOrigin}'"}
        assert "X-Correlation-Id" in headers["gatewayresponse.header.Access-Control-Expose-Headers"]


@pytest.mark.parametrize(
    ("kind", "status", "slug"),
    [
        ("UNAUTHORIZED", 401, "unauthorized"),
        ("ACCESS_DENIED", 401, "unauthorized"),
        ("AUTHORIZER_FAILURE", 503, "unavailable"),
        ("MISSING_AUTHENTICATION_TOKEN", 404, "not-found"),
        ("REQUEST_TOO_LARGE", 413, "too-large"),
        ("THROTTLED", 429, "rate-limited"),
        ("INTEGRATION_TIMEOUT", 503, "unavailable"),
        ("DEFAULT_5XX", 500, "internal"),
        ("DEFAULT_4XX", 400, "invalid"),
    ],
)
def test_what_the_gateway_refuses_has_the_contracts_status(answers: Mapping[str, Any], kind: str, status: int, slug: str) -> None:
    problem = problem_of(answers[kind])

    assert (problem["status"], problem["type"]) == (status, f"/problems/{slug}")


def test_a_401_says_what_is_asked_for_and_a_503_or_429_when_to_come_again(answers: Mapping[str, Any]) -> None:
    for answer in answers.values():
        headers = answer["responseParameters"]
        assert ("gatewayresponse.header.WWW-Authenticate" in headers) == (answer["statusCode"] == "401")
        assert ("gatewayresponse.header.Retry-After" in headers) == (answer["statusCode"] in ("429", "503"))
    assert answers["UNAUTHORIZED"]["responseParameters"]["gatewayresponse.header.WWW-Authenticate"] == "'Bearer'"
    assert answers["ACCESS_DENIED"]["responseParameters"]["gatewayresponse.header.WWW-Authenticate"] == "context.authorizer.challenge"


def unrouted(path: str, methods: Mapping[str, Any]) -> set[str]:
    """The methods of a path that no route is for; the preflight is API Gateway's own."""
    routes = importlib.import_module("app").app.routes.get(path, {})
    preflight = {"options"} if routes else set()
    return set(methods) - {method.lower() for method in routes} - preflight


def test_no_path_and_no_method_is_left_to_the_gateway(api: Mapping[str, Any]) -> None:
    paths = api["DefinitionBody"]["paths"]

    assert {ALL_OTHERS, "/", "/api", "/api/orders/{order_id}"} <= set(paths)
    for path, methods in paths.items():
        assert set(methods) == set(METHODS), path
        for method in unrouted(path, methods):
            assert methods[method]["x-amazon-apigateway-integration"]["type"] == "aws_proxy", path
            assert "security" not in methods[method], "405 and 404 come before 401"


def test_every_route_of_the_api_asks_the_authorizer(api: Mapping[str, Any]) -> None:
    body = api["DefinitionBody"]
    (authorizer,) = body["securityDefinitions"]
    for path, methods in body["paths"].items():
        for method, entry in methods.items():
            guarded = path.startswith("/api/") and method != "options" and method not in unrouted(path, methods)
            assert entry.get("security") == ([{authorizer: []}] if guarded else None), (path, method)


def test_preflights_name_the_origin_that_the_stack_was_given(api: Mapping[str, Any]) -> None:
    every = [methods["options"] for methods in api["DefinitionBody"]["paths"].values()]
    preflights = [each for each in every if each["x-amazon-apigateway-integration"]["type"] == "mock"]

    assert preflights
    for each in preflights:
        headers = each["x-amazon-apigateway-integration"]["responses"]["default"]["responseParameters"]
        assert headers["method.response.header.Access-Control-Allow-Origin"] == {"Fn::Sub": "'${CorsAllowOrigin}'"}
        assert "method.response.header.Access-Control-Max-Age" in headers


def test_the_api_has_one_stage_and_limits(api: Mapping[str, Any]) -> None:
    assert api["OpenApiVersion"] == "2.0", "else SAM makes a second stage, without limits"
    (limits,) = api["MethodSettings"]
    assert (limits["ResourcePath"], limits["HttpMethod"]) == ("/*", "*")
    assert limits["ThrottlingRateLimit"] == {"Ref": "RequestsPerSecond"}
    assert limits["ThrottlingBurstLimit"] == {"Ref": "RequestsAtOnce"}
