"""The endpoints under /api/orders."""

from operator import attrgetter
from typing import Any

from chalice.app import Response

from chalicelib.entrypoints.bodies import AcceptBody, CancelBody, CreateOrderBody, NoBody, StatusBody
from chalicelib.entrypoints.changes import Change
from chalicelib.entrypoints.conditions import answer_if_changed, not_modified
from chalicelib.entrypoints.cursors import Cursor
from chalicelib.entrypoints.http import Request, answer, uuid_of
from chalicelib.entrypoints.links import cursor_links, page_links
from chalicelib.entrypoints.lists import HISTORY, ORDER_CURSOR_PAGE, ORDER_PAGE, Entries, NumberedPage, cursor_page
from chalicelib.entrypoints.parameters import read_order_list
from chalicelib.errors import FieldError, Invalid, NotFound
from chalicelib.ids import new_id
from chalicelib.operations import give_back
from chalicelib.operations.accept import accept_order
from chalicelib.operations.cancel import cancel_order, ended_well
from chalicelib.operations.complete import complete_order
from chalicelib.operations.create import NewOrder, create_order
from chalicelib.operations.explain import TIMELINE, tell
from chalicelib.operations.move_status import move_status
from chalicelib.orders.access import MAY_ASK, Viewer, acting_for, ordering_for, seen
from chalicelib.orders.lists import Filters, list_orders, list_orders_after
from chalicelib.orders.order import ORDER, FoodItem, OrderStatus
from chalicelib.orders.queries import get_order, history_of
from chalicelib.runtime import runtime


def create(request: Request) -> Response:
    """POST /api/orders: place an order; 202, or with `Prefer: wait` what became of it."""
    change = Change(request, "customer", "admin", body=CreateOrderBody, waits=True)
    new, order_id = _new_order(change.body, change.caller), new_id()
    with change.transaction() as session:
        served = create_order(session, change.call, order_id, new)
        change.serve(served, done=201, headers={"Location": f"/api/orders/{order_id}"})
    return change.response()


def list_(request: Request) -> Response:
    """GET /api/orders: one page of what the caller may see, newest first, by page or by cursor."""
    caller = request.caller()
    asked = read_order_list(request.query)
    page, limit = asked.page, asked.limit
    if asked.cursor:
        return _list_by_cursor(request, caller, asked.filters, asked.cursor, limit)
    with runtime().database.transaction() as session:
        found = list_orders(session, caller, asked.filters, page=page, limit=limit)
    shown = NumberedPage(found.orders, found.total, page, limit, None if found.counted else True)
    return answer(200, ORDER_PAGE.document(shown), {"Link": page_links(request, shown, goes_on=found.goes_on)})


def _list_by_cursor(request: Request, caller: Viewer, filters: Filters, cursor: Cursor, limit: int) -> Response:
    with runtime().database.transaction() as session:
        found = list_orders_after(session, caller, filters, after=cursor.after, limit=limit + 1)
    shown = cursor_page(found, limit, attrgetter("order_id"))
    return answer(200, ORDER_CURSOR_PAGE.document(shown), {"Link": cursor_links(request, following=shown.next_cursor, limit=limit)})


def read(request: Request, order_id: str) -> Response:
    """GET /api/orders/{orderId}."""
    caller = request.caller()
    known_id = uuid_of(order_id, "order")
    with runtime().database.transaction() as session:
        order = seen(get_order(session, known_id), caller)
    etag = f'"{order.version}"'
    if not_modified(request.headers, etag):
        return Response("", {"ETag": etag}, 304)
    return answer(200, ORDER.document(order), {"ETag": etag})


def history(request: Request, order_id: str) -> Response:
    """GET /api/orders/{orderId}/history."""
    caller = request.caller()
    known_id = uuid_of(order_id, "order")
    with runtime().database.transaction() as session:
        rows = history_of(session, known_id)
    if not rows or not _may_see(caller, rows[0]):
        raise NotFound("there is no such order")
    return answer(200, HISTORY.document(Entries([row for row in rows if row.version is not None])))


def timeline(request: Request, order_id: str) -> Response:
    """GET /api/orders/{orderId}/timeline: all that happened to it, and what the caller may do now."""
    caller = request.caller()
    known_id = uuid_of(order_id, "order")
    with runtime().database.transaction() as session:
        found = tell(session, runtime().rules.policy, caller, known_id)
    return answer_if_changed(request, TIMELINE.document(found))


def accept(request: Request, order_id: str) -> Response:
    """POST /api/orders/{orderId}/accept: a runner takes the order."""
    change = Change(request, *MAY_ASK["accept"], body=AcceptBody, waits=True)
    runner_id = acting_for(change.caller, change.body.runner_id, "runnerId")
    known_id = uuid_of(order_id, "order")
    with change.transaction() as session:
        change.serve(accept_order(session, change.call, known_id, runner_id))
    return change.response()


def cancel_acceptance(request: Request, order_id: str) -> Response:
    """POST /api/orders/{orderId}/cancel-acceptance: the runner gives the order back."""
    change = Change(request, *MAY_ASK["cancel-acceptance"], body=NoBody, waits=True)
    known_id = uuid_of(order_id, "order")
    with change.transaction() as session:
        change.serve(give_back.cancel_acceptance(session, change.call, known_id))
    return change.response()


def cancel(request: Request, order_id: str) -> Response:
    """POST /api/orders/{orderId}/cancel: cancel the order."""
    change = Change(request, *MAY_ASK["cancel"], body=CancelBody, waits=True)
    known_id = uuid_of(order_id, "order")
    with change.transaction() as session:
        change.serve(cancel_order(session, change.call, known_id, change.body.reason or None), ended_well=ended_well)
    return change.response()


def complete(request: Request, order_id: str) -> Response:
    """POST /api/orders/{orderId}/complete: the food is there, pay the runner."""
    change = Change(request, *MAY_ASK["complete"], body=NoBody, waits=True)
    known_id = uuid_of(order_id, "order")
    with change.transaction() as session:
        change.serve(complete_order(session, change.call, known_id))
    return change.response()


def change_status(request: Request, order_id: str) -> Response:
    """PATCH /api/orders/{orderId}/status: collected, on the way, delivered."""
    change = Change(request, *MAY_ASK["status"], body=StatusBody)
    known_id = uuid_of(order_id, "order")
    with change.transaction() as session:
        order = move_status(session, change.call, known_id, change.body.status)
        change.answer(answer(200, ORDER.document(order), {"ETag": f'"{order.version}"'}))
    return change.response()


def _new_order(body: CreateOrderBody, caller: Viewer) -> NewOrder:
    details = body.order_details
    if details.over_limit():
        raise Invalid("the order costs too much", [FieldError(("orderDetails", "foodItems"), "the total may be at most 9999.99")])
    customer_id = ordering_for(caller, body.customer_id)
    items = tuple(FoodItem(item.name, item.price, item.quantity) for item in details.food_items)
    return NewOrder(customer_id, items, details.store_location, details.delivery_location, details.delivery_fee)


def _may_see(caller: Viewer, row: Any) -> bool:
    return caller.may_see(customer_id=row.customer_id, runner_id=row.runner_id, status=OrderStatus(row.order_status))
