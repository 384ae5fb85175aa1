"""The OpenAPI 3.1 document, put together from routes, bodies, tables of fields, parameters and problems. The same for the same code."""

from collections.abc import Sequence

from chalicelib.entrypoints.health import VERSION
from chalicelib.entrypoints.problems import PROBLEM, PROBLEMS
from chalicelib.entrypoints.refusals import Unauthorized
from chalicelib.sagas.state import ORDER_WITH_SAGA
from infra.documents.openapi import examples, problems
from infra.documents.openapi.parameters import HEADERS, PARAMETERS, header_name
from infra.documents.openapi.route import ANYONE, JSON, Errors, Route, Success
from infra.documents.openapi.routes import ROUTES
from infra.documents.schemas import Json, of_models, of_tables, reference

Names = tuple[str, ...]

ABOUT = """\
Orders of CampusG: placed by customers, brought by runners, carried through by sagas.

Whoever may not read an order is answered as if there were none. Every error is an `application/problem+json` (RFC 9457) with one of the
types listed at the operation; besides, a path that isn't there is answered 404 `/problems/not-found`, a method that a path doesn't have
405 `/problems/method-not-allowed` with `Allow`, and what goes wrong by our own fault 500 `/problems/internal`. Checks come in this
order: path and method, token, media type, size, role, JSON and headers, fields and parameters, another person named, the order,
idempotency key, `If-Match`, the order's state.

Money is a decimal string with two places, times are RFC 3339 in UTC. An unknown field or query parameter of a list is an error. A W3C
`traceparent` is carried on."""
SECURITY: Json = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "Claims `sub`, `roles` (a list of `customer`, `runner`, `admin`; rights add up), `exp`, `iss` and `aud`.",
    }
}
# They are on every answer, or on every one to a known caller where a limit is set.
ALWAYS = ("X-Correlation-Id",)
LIMITED = ("RateLimit", "RateLimit-Policy")


# Where a client can go on to with the order and the saga in an answer: operation -> what it is about.
NEXT = {
    **dict.fromkeys(
        ("readOrder", "readHistory", "readTimeline", "acceptOrder", "cancelAcceptance", "changeStatus", "completeOrder", "cancelOrder"),
        "order",
    ),
    **dict.fromkeys(("readSaga", "readExplanation", "retrySaga", "compensateSaga"), "saga"),
}


def build() -> Json:
    """The whole document."""
    paths: Json = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    shared: Json = {_shared_name(errors): _problem(errors, limits) for errors, limits in _shared()}
    shown = {**examples.ANSWERS, **{problems.name_of(error): problems.example(error) for error in problems.DETAILS}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "CampusG orders", "version": VERSION, "description": ABOUT},
        "tags": [{"name": name} for name in dict.fromkeys(_tag(route.path) for route in ROUTES)],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "parameters": PARAMETERS,
            "headers": HEADERS,
            "responses": shared,
            "links": {name: _link(name, what) for name, what in NEXT.items()},
            "examples": {name: {"value": value} for name, value in shown.items()},
            "securitySchemes": SECURITY,
        },
    }


def _schemas() -> Json:
    bodies = dict.fromkeys(route.body for route in ROUTES if route.body)
    tables = [table for route in ROUTES for success in route.success.values() for table in success.tables]
    schemas = {**of_models([(body, "validation") for body in bodies]), **of_tables([*tables, PROBLEM])}
    return dict(sorted(schemas.items()))


def _operation(route: Route) -> Json:
    secured = route.who != ANYONE
    operation: Json = {
        "operationId": route.name,
        "tags": [_tag(route.path)],
        "summary": route.summary,
        "description": f"Who: {route.who}.",
        "parameters": [{"$ref": f"#/components/parameters/{name}"} for name in (*route.all_parameters, *ALWAYS)],
        "responses": _responses(route, LIMITED if secured else ()),
        "security": [{"bearer": []}] if secured else [],
    }
    if route.body:
        schema = reference(route.body)
        content = {JSON: {"schema": schema, "example": route.example}}
        operation["requestBody"] = {"required": not route.may_be_empty, "content": content}
    return operation


def _link(operation: str, what: str) -> Json:
    return {"operationId": operation, "parameters": {f"{what}Id": f"$response.body#/{what}/{what}Id"}}


def _tag(path: str) -> str:
    return path.split("/")[2] if path.startswith("/api/") else "service"


def _responses(route: Route, limits: Names) -> Json:
    good = {status: _good(success, limits) for status, success in route.success.items()}
    bad = {PROBLEMS[errors[0]].status: _bad(route, errors) for errors in _by_status(route)}
    return {str(status): response for status, response in sorted({**good, **bad}.items())}


def _by_status(route: Route) -> list[Errors]:
    found: dict[int, Errors] = {}
    for error in route.errors:
        status = PROBLEMS[error].status
        found[status] = (*found.get(status, ()), error)
    return list(found.values())


def _good(success: Success, limits: Names) -> Json:
    response: Json = {"description": success.says, "headers": _headers((*ALWAYS, *success.sure), (*success.maybe, *limits))}
    schemas = [reference(table) for table in success.tables]
    if schemas:
        schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
        response["content"] = {JSON: {"schema": schema, **_examples(success.examples)}}
    if ORDER_WITH_SAGA in success.tables:
        response["links"] = {name: {"$ref": f"#/components/links/{name}"} for name in NEXT}
    elif success.media_types != (JSON,):
        response["content"] = {media_type: {"schema": {"type": "string"}} for media_type in success.media_types}
    return response


def _bad(route: Route, errors: Errors) -> Json:
    """A shared response, unless it may be a saga's bad end, which has what a good one has."""
    if not problems.ENDINGS.intersection(errors):
        return {"$ref": f"#/components/responses/{_shared_name(errors)}"}
    kept = dict.fromkeys(name for success in route.success.values() for name in (*success.sure, *success.maybe))
    return _problem(errors, (*kept, *LIMITED))


def _shared() -> list[tuple[Errors, Names]]:
    """The answers of several routes, by what they may be."""
    found = dict.fromkeys(errors for route in ROUTES for errors in _by_status(route) if not problems.ENDINGS.intersection(errors))
    return [(errors, () if Unauthorized in errors else LIMITED) for errors in found]


def _shared_name(errors: Errors) -> str:
    return ".".join(problems.name_of(error) for error in errors)


def _problem(errors: Errors, maybe: Names) -> Json:
    sure = [name for name, always in problems.SURE_HEADERS.items() if always.issuperset(errors)]
    at_times = [name for name, always in problems.SURE_HEADERS.items() if always.intersection(errors) and name not in sure]
    content = {"schema": problems.schema(errors), **_examples([problems.name_of(error) for error in errors])}
    return {
        "description": "; ".join(dict.fromkeys(PROBLEMS[error].title for error in errors)) + ".",
        "headers": _headers((*ALWAYS, *sure), (*at_times, *maybe)),
        "content": {problems.MEDIA_TYPE: content},
    }


def _examples(names: Sequence[str]) -> Json:
    return {"examples": {name: {"$ref": f"#/components/examples/{name}"} for name in names}} if names else {}


def _headers(sure: Names, maybe: Names) -> Json:
    return {header_name(name): _header(name, name in sure) for name in (*sure, *maybe)}


def _header(name: str, sure: bool) -> Json:
    shared = {"$ref": f"#/components/headers/{name}"}
    return shared if HEADERS[name]["required"] is sure else {**HEADERS[name], "required": sure}
