"""What an OpenAPI document can't say about requests, told to schemathesis, which loads this module by itself.

Each is a rule across fields, or one about the state of the service; other tests hold the rules themselves.
"""

import itertools
import os
import re
from typing import Any, TypeAlias

import schemathesis
from schemathesis import Case, CheckContext, HookContext, Response
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.meta import CoveragePhaseData
from schemathesis.schemas import APIOperation

from chalicelib.orders.pricing import DEFAULT_DELIVERY_FEE, HIGHEST_TOTAL
from infra.documents.openapi.parameters import KEY
from tests.support.words import FOREIGN, own_words

ROLE = os.environ["SCHEMATHESIS_ROLE"]
KNOWN = {"orderId": os.environ["SCHEMATHESIS_ORDERS"].split(), "sagaId": os.environ["SCHEMATHESIS_SAGAS"].split()}
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
AnyCase: TypeAlias = Case[APIOperation[Any, Any, Any, Any]]
_keys, _ids = itertools.count(), itertools.count()
_tried: set[tuple[Any, ...]] = set()


@schemathesis.hook
def before_call(context: HookContext, case: AnyCase, kwargs: dict[str, Any]) -> None:
    """Send half of the requests to what there is, and make a well-formed one keep these rules; a malformed one stays as it is."""
    _what_there_is(case)
    if case.meta is not None and case.meta.generation.mode.is_positive:
        _one_way_of_paging(case)
        _key_of_its_own(case)
        _customer_named_by_admin(case)


@schemathesis.check
def says_nothing_of_its_inside(context: CheckContext, response: Response, case: AnyCase) -> None:
    """No error text names what only the inside of the service has."""
    if response.headers.get("content-type", [""])[0] == "application/problem+json":
        assert not [text for text in own_words(response.json()) if FOREIGN.search(text)]


@schemathesis.hook
def filter_case(context: HookContext, case: AnyCase) -> bool:
    """Leave out orders that cost more than an order may, and what the coverage phase has tried before."""
    details = case.body.get("orderDetails") if isinstance(case.body, dict) else None
    return not (isinstance(details, dict) and _costs_too_much(details)) and not _was_tried(case)


def _was_tried(case: AnyCase) -> bool:
    """Whether it is another value for the same rule of a parameter, which the same code reads for all routes, or of one route's body."""
    if case.meta is None or not isinstance(data := case.meta.phase.data, CoveragePhaseData):
        return False
    is_shared = data.parameter is not None and data.parameter_location is not ParameterLocation.BODY
    route = None if is_shared else case.operation.label
    rule = (case.meta.generation.mode, data.parameter_location, data.parameter, data.location, data.description, route)
    if rule in _tried:
        return True
    _tried.add(rule)
    return False


def _what_there_is(case: AnyCase) -> None:
    """Nothing has a made-up id, and behind 404 there is little to find."""
    for name, ids in KNOWN.items():
        if UUID.fullmatch(str((case.path_parameters or {}).get(name, ""))):
            number = next(_ids)
            if number % 2:
                case.path_parameters[name] = ids[number // 2 % len(ids)]


def _one_way_of_paging(case: AnyCase) -> None:
    """`page` with `cursor` is refused."""
    if "cursor" in (case.query or {}):
        case.query.pop("page", None)


def _key_of_its_own(case: AnyCase) -> None:
    """A key that another request has used is refused, and small generators love to repeat themselves."""
    if case.headers and re.fullmatch(KEY, str(case.headers.get("Idempotency-Key", ""))):
        case.headers["Idempotency-Key"] = f"key-{ROLE}-{next(_keys)}"


def _customer_named_by_admin(case: AnyCase) -> None:
    """An admin who is no customer must say for whom the order is."""
    if ROLE == "admin" and case.operation.label == "POST /api/orders" and isinstance(case.body, dict):
        case.body["customerId"] = case.body.get("customerId") or "cust_1"


def _costs_too_much(details: dict[str, Any]) -> bool:
    try:
        items = [float(item["price"]) * item["quantity"] for item in details["foodItems"]]
        fee = details.get("deliveryFee")
        return bool(sum(items) + float(DEFAULT_DELIVERY_FEE if fee is None else fee) > HIGHEST_TOTAL)
    except (KeyError, TypeError, ValueError):
        return False
