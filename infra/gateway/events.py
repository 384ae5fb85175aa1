"""The event that API Gateway hands to a Lambda function for a REST API's request (proxy integration)."""

import base64
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from infra.gateway.messages import Request

STAGE = "local"
SOURCE_IP = "127.0.0.1"

Event = dict[str, Any]


def proxy_event(request: Request, resource: str, path_parameters: dict[str, str], request_id: str) -> Event:
    """The event for a request that the route `resource` answers.

    Header names are in lower case, as `chalice local` has them; of a header or query parameter that comes twice, the plain mapping has
    the last and the multi-value mapping all.
    """
    parameters = parse_qs(request.query, keep_blank_values=True)
    # Transfer-Encoding framed the body on the connection, where the body no longer is.
    headers = {name: lines for name, lines in request.headers.items() if name != "transfer-encoding"}
    return {
        "resource": resource,
        "path": request.path,
        "httpMethod": request.method,
        "headers": {name: values[-1] for name, values in headers.items()},
        "multiValueHeaders": headers,
        "queryStringParameters": {name: values[-1] for name, values in parameters.items()} or None,
        "multiValueQueryStringParameters": parameters or None,
        "pathParameters": path_parameters or None,
        "stageVariables": None,
        "requestContext": _request_context(request, resource, request_id),
    } | _body(request.body)


def _request_context(request: Request, resource: str, request_id: str) -> Event:
    now = time.time()
    return {
        "requestId": request_id,
        "httpMethod": request.method,
        "path": request.path,
        "resourcePath": resource,
        "stage": STAGE,
        "protocol": f"HTTP/{request.version}",
        "requestTime": datetime.fromtimestamp(now, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "requestTimeEpoch": int(now * 1000),
        "identity": {"sourceIp": SOURCE_IP, "userAgent": request.headers.get("user-agent", [None])[0]},
    }


def _body(content: bytes) -> Event:
    """Text as text; bytes that are no UTF-8 keep their value in base64."""
    if not content:
        return {"body": None, "isBase64Encoded": False}
    try:
        return {"body": content.decode(), "isBase64Encoded": False}
    except UnicodeDecodeError:
        return {"body": base64.b64encode(content).decode("ascii"), "isBase64Encoded": True}
