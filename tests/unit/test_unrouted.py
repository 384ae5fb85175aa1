"""Requests that no route is for, as API Gateway hands them over: problems as any other, with the caller's correlation id."""

import importlib
import json
from typing import Any

from chalicelib.entrypoints.unrouted import NOTHING_HERE


def call(method: str, resource: str, path: str) -> dict[str, Any]:
    """The application's answer to an event of API Gateway's."""
    context = {"resourcePath": resource, "httpMethod": method, "path": path, "requestId": "r-1", "identity": {}}
    event = {
        "resource": resource,
        "path": path,
        "httpMethod": method,
        "headers": {"X-Correlation-Id": "mine"},
        "multiValueHeaders": {"X-Correlation-Id": ["mine"]},
        "multiValueQueryStringParameters": None,
        "pathParameters": {},
        "stageVariables": None,
        "requestContext": context,
        "body": None,
        "isBase64Encoded": False,
    }
    answer: dict[str, Any] = importlib.import_module("app").app(event, None)
    return answer


def test_a_method_that_the_path_lacks_is_405_with_those_it_has() -> None:
    answer = call("DELETE", "/api/orders", "/api/orders")

    assert answer["statusCode"] == 405
    assert answer["headers"]["Allow"] == "GET, OPTIONS, POST"
    problem = json.loads(answer["body"])
    assert (problem["type"], problem["instance"], problem["correlationId"]) == ("/problems/method-not-allowed", "/api/orders", "mine")
    assert problem["detail"] == "This path has only: GET, OPTIONS, POST."


def test_a_path_that_is_not_there_is_404() -> None:
    for resource, path in (("/{proxy+}", "/elsewhere"), ("/api", "/api")):
        answer = call("GET", resource, path)
        assert answer["statusCode"] == 404
        assert "Allow" not in answer["headers"]
        problem = json.loads(answer["body"])
        assert (problem["type"], problem["detail"], problem["instance"]) == ("/problems/not-found", NOTHING_HERE, path)


def test_a_page_from_elsewhere_is_shown_why_it_was_refused() -> None:
    headers = call("GET", "/{proxy+}", "/elsewhere")["headers"]

    assert headers["Access-Control-Allow-Origin"] == "*"
    assert headers["X-Correlation-Id"] == "mine"
    assert headers["Content-Type"] == "application/problem+json"
