"""Parameters and headers by name, each described once."""

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from chalicelib.entrypoints import parameters
from chalicelib.entrypoints.challenges import BEARER, BEARER_REFUSED
from chalicelib.entrypoints.waiting import LONGEST_WAIT
from chalicelib.fields import CORRELATION, PERSON
from chalicelib.orders.order import OrderStatus, PaymentStatus
from chalicelib.sagas.state import SagaStatus
from infra.documents.openapi import examples

ENTITY_TAGS = r'^(W/)?"[!#-~]*"(, ?(W/)?"[!#-~]*")*$'
KEY = r'^("([!#-\[\]-~]|\\["\\]){1,255}"|[!#-+\--:<-~][!-+\--~]{0,254})$'
CURSOR = r"^([A-Za-z0-9_-]{21}[AQgw])?$"
# Without leap seconds, of which a schema can't tell the real ones.
MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"

Described = dict[str, Any]


def _path(name: str, example: object) -> Described:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": "An id that is no UUID is answered 404, as nothing can have it.",
        "schema": {"type": "string", "format": "uuid"},
        "example": str(example),
    }


def _query(name: str, schema: Described, description: str) -> Described:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _header(name: str, schema: Described, description: str, example: str) -> Described:
    return {"name": name, "in": "header", "description": description, "schema": schema, "example": example}


def _any_of(values: type[StrEnum] | Sequence[str]) -> Described:
    return {"type": "array", "items": {"type": "string", "enum": [str(value) for value in values]}}


def _named(pattern: re.Pattern[str]) -> Described:
    return {"type": "string", "pattern": f"^{pattern.pattern}$"}


_UUID: Described = {"type": "string", "format": "uuid"}
_MOMENT: Described = {"type": "string", "format": "date-time", "pattern": MOMENT}
_TIME = "RFC 3339, with any number of decimals; the + of an offset is written %2B."
_PERSON: Described = dict(PERSON.schema)
_TEXT: Described = {"type": "string"}
_PAGE: Described = {"type": "integer", "minimum": 1, "maximum": parameters.PAGE_MOST, "default": 1}
_LIMIT: Described = {"type": "integer", "minimum": 1, "maximum": parameters.LIMIT_MOST, "default": parameters.LIMIT_DEFAULT}

PARAMETERS: dict[str, Described] = {
    "orderId": _path("orderId", examples.ORDER_ID),
    "sagaId": _path("sagaId", examples.SAGA_ID),
    "deadLetterId": _path("deadLetterId", examples.DEAD_LETTER_ID),
    "status": _query("status", _any_of(OrderStatus), "Only orders in one of these statuses; may be given more than once."),
    "paymentStatus": _query("paymentStatus", {"type": "string", "enum": [str(each) for each in PaymentStatus]}, "Only with this payment."),
    "customerId": _query("customerId", _PERSON, "Only orders of this customer."),
    "runnerId": _query("runnerId", _PERSON, "Only orders of this runner."),
    "createdAfter": _query("createdAfter", _MOMENT, f"Only orders made at this moment or later. {_TIME}"),
    "createdBefore": _query("createdBefore", _MOMENT, f"Only orders made before this moment. {_TIME}"),
    "page": _query("page", _PAGE, "Which page, from 1 on; not together with `cursor`. Pages may shift when orders are made."),
    "limit": _query("limit", _LIMIT, "How many items at most."),
    "cursor": _query(
        "cursor",
        {"type": "string", "pattern": CURSOR},
        "Where to go on: `nextCursor` of the page before, or empty for the first page. What was read before is never shifted or repeated.",
    ),
    "sagaStatus": _query("status", _any_of(SagaStatus), "Only sagas in one of these statuses; may be given more than once."),
    "sagaName": _query("name", _any_of(parameters.SAGA_NAMES), "Only sagas of one of these names; may be given more than once."),
    "sagaOrderId": _query("orderId", _UUID, "Only sagas of this order."),
    "errorClass": _query("errorClass", _named(parameters.ERROR_CLASS), "Only dead letters with an error of this class."),
    "deadLetterOrderId": _query("orderId", _UUID, "Only dead letters of this order."),
    "deadLetterSagaId": _query("sagaId", _UUID, "Only dead letters of this saga."),
    "topic": _query("topic", _named(parameters.TOPIC), "Only dead letters that came by this topic."),
    "redriven": _query("redriven", {"type": "boolean"}, "Only dead letters that were redriven, or only those that wait."),
    "dismissed": _query("dismissed", {"type": "boolean"}, "Only dead letters that were dismissed, or only the others."),
    "file": {
        "name": "file",
        "in": "path",
        "required": True,
        "description": "A name that no file has is answered 404.",
        "schema": {"type": "string", "pattern": r"^[a-z-]+\.(css|js)$"},
        "example": "app.js",
    },
    "q": {**_query("q", dict(CORRELATION.schema), "The id, exactly as it is."), "required": True, "example": str(examples.ORDER_ID)},
    "If-None-Match": _header("If-None-Match", _TEXT, "Entity tags that the caller has; 304 if the current one is among them.", '"4"'),
    "If-Match": _header(
        "If-Match",
        {"anyOf": [{"const": "*"}, {"type": "string", "pattern": ENTITY_TAGS}]},
        "Entity tags of which the order must still have one; else 412, unless the request joins a saga or finds its work done already.",
        '"7"',
    ),
    "Prefer": _header(
        "Prefer",
        _TEXT,
        f"`wait=N` (RFC 7240) holds the answer until the saga ends or N seconds, at most {LONGEST_WAIT}, have passed.",
        "wait=10",
    ),
    "Idempotency-Key": _header(
        "Idempotency-Key",
        {"type": "string", "pattern": KEY},
        "1 to 255 visible ASCII characters: quoted (RFC 9651), or bare without a comma; parameters don't count. For 24 hours the same "
        "caller's same request with this key is answered as the first was, and takes effect once; any other request with it is answered "
        "422.",
        '"8e03978e-40d5-43dd-bc93-6894a57f9324"',
    ),
    "X-Correlation-Id": _header(
        "X-Correlation-Id",
        _TEXT,
        "An id for all that follows from the request: 1 to 128 of `A–Z a–z 0–9 _ . : @ | -`; anything else is replaced by a new id.",
        examples.CORRELATION_ID,
    ),
}


def _answered(schema: Described, description: str, example: object, *, required: bool = False) -> Described:
    return {"description": description, "required": required, "schema": schema, "example": example}


def header_name(described: str) -> str:
    """The header that an entry of HEADERS is about: of some there are several, which say the same of different answers."""
    return described.partition(".")[0]


# By name; behind a dot, of which answers it is.
HEADERS: dict[str, Described] = {
    "X-Correlation-Id": _answered(
        dict(CORRELATION.schema),
        "The caller's if it was well formed, else a new one.",
        examples.CORRELATION_ID,
        required=True,
    ),
    "ETag": _answered({"type": "string", "pattern": r'^"[0-9]+"$'}, "The order's version, quoted.", '"4"', required=True),
    "ETag.hash": _answered(
        {"type": "string", "pattern": r'^"[0-9a-f]{64}"$'},
        "A hash of the content, quoted.",
        f'"{"0" * 64}"',
        required=True,
    ),
    "Location": _answered(
        {"type": "string", "pattern": r"^/api/orders/[0-9a-f-]{36}$"},
        "Where the new order is.",
        f"/api/orders/{examples.ORDER_ID}",
        required=True,
    ),
    "Location.console": _answered(
        {"type": "string", "pattern": r"^(\./|\./[^/]+/|\.\./)console$"}, "Where the page is.", "./console", required=True
    ),
    "Link": _answered(
        {"type": "string"}, "The other pages (RFC 8288), with the same filters.", '</api/orders?page=2&limit=10>; rel="next"', required=True
    ),
    "Preference-Applied": _answered({"type": "string", "pattern": r"^wait=[0-9]{1,2}$"}, "The wait that was granted.", "wait=10"),
    "Idempotency-Replayed": _answered({"type": "string", "const": "true"}, "This is the first request's answer.", "true"),
    "Retry-After": _answered({"type": "integer", "minimum": 1}, "How many seconds to wait before trying again.", 2),
    "WWW-Authenticate": _answered(
        {"type": "string", "enum": [BEARER, BEARER_REFUSED]},
        "How to authenticate; with an error where there was a token (RFC 6750).",
        BEARER,
        required=True,
    ),
    "Accept-Encoding": _answered({"type": "string", "const": "identity"}, "The one coding that a body may have.", "identity"),
    "RateLimit": _answered({"type": "string"}, "What is left of the caller's minute; only where a limit is set.", '"default";r=599;t=42'),
    "RateLimit-Policy": _answered({"type": "string"}, "The limit; only where one is set.", '"default";q=600;w=60'),
}
