"""The REST API as the service stack has it: limits, the answers that API Gateway words itself, and who takes what no route is for."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chalice.app import CORSConfig

from chalicelib.entrypoints.application import cors_config
from chalicelib.entrypoints.challenges import BEARER, CHALLENGE
from chalicelib.entrypoints.unrouted import NOTHING_HERE
from infra.aws.functions import PREFIX
from infra.aws.intrinsics import Value, ref, sub
from infra.gateway.problems import BAD_TOKEN, INVALID, KINDS, MEDIA_TYPE, NO_TOKEN, RETRY_SECONDS, UNCHECKED_TOKEN, UNEXPECTED

# It stands in the API's URLs, and is the same for all stages, as each has an API of its own.
API_STAGE = "v1"
# All that API Gateway knows. Its own ANY stands for the same, but emulators overlook it in a document.
METHODS = ("delete", "get", "head", "options", "patch", "post", "put")
ALL_OTHERS = "/{proxy+}"
TRY_AGAIN = "The service can't answer just now; try again."


@dataclass(frozen=True)
class GatewayResponse:
    """An answer of API Gateway's own; a header's value is a text in quotes or what API Gateway has in its context."""

    status: int
    detail: str
    headers: Mapping[str, str]


def _answer(status: int, detail: str, **headers: str) -> GatewayResponse:
    return GatewayResponse(status, detail, {name.replace("_", "-"): value for name, value in headers.items()})


RETRY = f"'{RETRY_SECONDS}'"
NOT_FOUND = _answer(404, NOTHING_HERE)
INTERNAL = _answer(500, UNEXPECTED)
UNAVAILABLE = _answer(503, TRY_AGAIN, Retry_After=RETRY)
FORBIDDEN = _answer(403, "The request was turned down.")
INVALID_REQUEST = _answer(400, "The request is not valid.")
# All types that there are (API Gateway developer guide, gateway response types). Nothing here asks for a signature or a key: who is asked
# for one has asked for a path that isn't there.
RESPONSES: Mapping[str, GatewayResponse] = {
    "ACCESS_DENIED": _answer(401, BAD_TOKEN, WWW_Authenticate=f"context.authorizer.{CHALLENGE}"),
    "API_CONFIGURATION_ERROR": INTERNAL,
    "AUTHORIZER_CONFIGURATION_ERROR": INTERNAL,
    "AUTHORIZER_FAILURE": _answer(503, UNCHECKED_TOKEN, Retry_After=RETRY),
    "BAD_REQUEST_BODY": INVALID_REQUEST,
    "BAD_REQUEST_PARAMETERS": INVALID_REQUEST,
    "DEFAULT_4XX": INVALID_REQUEST,
    "DEFAULT_5XX": INTERNAL,
    "EXPIRED_TOKEN": NOT_FOUND,
    "INTEGRATION_FAILURE": UNAVAILABLE,
    "INTEGRATION_TIMEOUT": UNAVAILABLE,
    "INVALID_API_KEY": FORBIDDEN,
    "INVALID_SIGNATURE": NOT_FOUND,
    "MISSING_AUTHENTICATION_TOKEN": NOT_FOUND,
    "QUOTA_EXCEEDED": _answer(429, TRY_AGAIN, Retry_After=RETRY),
    "REQUEST_TOO_LARGE": _answer(413, "The body is larger than API Gateway takes."),
    "RESOURCE_NOT_FOUND": NOT_FOUND,
    "THROTTLED": _answer(429, TRY_AGAIN, Retry_After=RETRY),
    "UNAUTHORIZED": _answer(401, NO_TOKEN, WWW_Authenticate=f"'{BEARER}'"),
    "UNSUPPORTED_MEDIA_TYPE": _answer(415, "The body's media type is not taken here."),
    "WAF_FILTERED": FORBIDDEN,
}


def rest_api(paths: Mapping[str, Value]) -> Value:
    """What is added to the REST API of Chalice's template, which has these paths."""
    limits = {
        "ResourcePath": "/*",
        "HttpMethod": "*",
        "MetricsEnabled": True,
        "ThrottlingRateLimit": ref("RequestsPerSecond"),
        "ThrottlingBurstLimit": ref("RequestsAtOnce"),
    }
    return {
        # Without it SAM makes a second stage that is called Stage and has no limits.
        "OpenApiVersion": "2.0",
        "Name": sub(PREFIX),
        "MethodSettings": [limits],
        "DefinitionBody": {
            "info": {"title": sub(PREFIX)},
            "paths": _paths(paths),
            "x-amazon-apigateway-gateway-responses": {kind: _gateway_response(response) for kind, response in RESPONSES.items()},
        },
    }


def _gateway_response(response: GatewayResponse) -> Value:
    slug, title = KINDS.get(response.status, INVALID)
    body = {
        "type": f"/problems/{slug}",
        "title": title,
        "status": response.status,
        "detail": response.detail,
        "instance": "$context.path",
        "correlationId": "$context.requestId",
    }
    headers: dict[str, Any] = {
        "Content-Type": f"'{MEDIA_TYPE}'",
        "X-Correlation-Id": "context.requestId",
        **response.headers,
        **_cors_headers(),
    }
    return {
        "statusCode": str(response.status),
        "responseParameters": {f"gatewayresponse.header.{name}": value for name, value in headers.items()},
        # API Gateway chooses by what the client accepts, and takes this one where nothing fits.
        "responseTemplates": {"application/json": json.dumps(body)},
    }


def _cors_headers() -> dict[str, Any]:
    """As the routes' own answers have them; the origin is a parameter of the stack."""
    config = cors_config("*")
    headers: dict[str, str] = config.get_access_control_headers() if isinstance(config, CORSConfig) else {}
    return {name: f"'{value}'" for name, value in headers.items()} | {"Access-Control-Allow-Origin": _origin()}


def _origin() -> Value:
    return sub("'${CorsAllowOrigin}'")


def _paths(paths: Mapping[str, Value]) -> Value:
    """What no route is for: the methods that a path lacks, and a path for all others. The application words 405 and 404 as all problems."""
    above = {"/".join(path.split("/")[:depth]) or "/" for path in paths for depth in range(1, path.count("/") + 1)}
    unrouted: dict[str, Value] = {
        path: {method: _method(path) for method in METHODS if method not in paths.get(path, ())}
        for path in sorted({*paths, *above, ALL_OTHERS})
    }
    for path, methods in paths.items():
        if "options" in methods:
            header = "method.response.header.Access-Control-Allow-Origin"
            preflight = {"responses": {"default": {"responseParameters": {header: _origin()}}}}
            unrouted[path]["options"] = {"x-amazon-apigateway-integration": preflight}
    return unrouted


def _method(path: str) -> Value:
    invocations = "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${APIHandler.Arn}/invocations"
    parameters = [part.strip("{}+") for part in path.split("/") if part.startswith("{")]
    return {
        "parameters": [{"name": name, "in": "path", "required": True, "type": "string"} for name in parameters],
        "responses": {"200": {"description": "200 response"}},
        "x-amazon-apigateway-integration": {
            "type": "aws_proxy",
            "httpMethod": "POST",
            "uri": sub(invocations),
            "passthroughBehavior": "when_no_match",
        },
    }
