"""What became of requests for a change: kept where the answer said so, without effect where refused, whole or not at all, and once."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from tests.support.history.model import CREATE, MOVE, SERVED_BY, Document, Found, Request, Rule, Run, Saga

# Where the saga takes the order that serves a request which is answered as done.
GOALS = {
    CREATE: ("READY_FOR_PICKUP",),
    "accept": ("ACCEPTED",),
    "cancel-acceptance": ("READY_FOR_PICKUP",),
    "cancel": ("CANCELLED", "TIMED_OUT"),
    "complete": ("COMPLETED",),
}
DONE = (200, 201)
SENT = ("foodItems", "storeLocation", "deliveryLocation")


def _kept(run: Run) -> Found:
    for request in run.requests:
        if request.accepted and not request.replayed:
            yield from ((request.names or _shown_id(request), detail) for detail in _missing(request, run))


def _missing(request: Request, run: Run) -> Iterator[str]:
    """What the answer promised and is not there."""
    if request.kind == MOVE:
        yield from _move_missing(request, run)
        return
    shown = request.saga
    saga = run.sagas.get(shown["sagaId"]) if shown else None
    if saga is None:
        yield f"{request} was answered {request.status}, and the saga it names is not there"
        return
    if saga.name not in SERVED_BY[request.kind] or saga.order_id != (request.names or _shown_id(request)):
        yield f"{request} was answered with {saga.name} of order {saga.order_id}"
    if saga.correlation_id == request.correlation_id:
        yield from _unfinished(request, saga, run)
    if request.status in DONE and not any(entry["to"] in GOALS[request.kind] for entry in _entries(run, saga)):
        yield f"{request} was answered {request.status}, and {saga.name} {saga.saga_id} has not brought the order there"


def _move_missing(request: Request, run: Run) -> Iterator[str]:
    [order] = request.shown
    kept = run.orders.get(order["orderId"])
    entry = kept.history[order["version"] - 1] if kept and order["version"] <= len(kept.history) else None
    if entry is None or (entry["to"], entry["actor"]) != (request.body["status"], request.actor):
        yield f"{request} was answered {request.status} at version {order['version']}, where the history has {_told(entry)}"


def _unfinished(request: Request, saga: Saga, run: Run) -> Iterator[str]:
    """What a change that has begun has not left behind."""
    order = run.orders.get(saga.order_id)
    if order is None:
        yield f"{request} has left saga {saga.saga_id}, but no order"
        return
    begun = _entries(run, saga)
    if not begun or begun[0]["actor"] != request.actor:
        yield f"{request} has left saga {saga.saga_id}, whose history begins with {_told(begun[0] if begun else None)}"
    if request.kind == CREATE:
        yield from _wrong_content(request, order.document)
    if begun and run.readings and not run.may_lose and (saga.order_id, begun[0]["version"]) not in run.told:
        yield f"{request} has left version {begun[0]['version']}, but no event of it"


def _wrong_content(request: Request, order: Document) -> Iterator[str]:
    asked = request.body["orderDetails"]
    wrong = [name for name in SENT if order[name] != asked[name]]
    wrong += [] if order["customerId"] == request.body.get("customerId", request.client) else ["customerId"]
    fee = Decimal(str(asked.get("deliveryFee", "3.99")))
    total = sum((Decimal(item["price"]) * item["quantity"] for item in asked["foodItems"]), fee)
    wrong += [] if Decimal(order["total"]) == total else ["total"]
    if wrong:
        yield f"{request} has left an order with another {', '.join(wrong)}"


def _refused(run: Run) -> Found:
    for request in run.requests:
        if request.refused:
            for saga in run.started_by.get(request.correlation_id, ()):
                yield saga.order_id, f"{request} was answered {request.status}, and has started {saga.name}"
    refused = {request.correlation_id: request for request in run.requests if request.refused}
    for event in run.events:
        if event.correlation_id in refused:
            request = refused[event.correlation_id]
            yield event.order_id, f"{request} was answered {request.status}, and has left {event.type} {event.sequence}"


def _whole(run: Run) -> Found:
    for request in run.requests:
        if request.unknown and request.kind in SERVED_BY:
            for saga in run.started_by.get(request.correlation_id, ())[:1]:
                yield from ((saga.order_id, detail) for detail in _unfinished(request, saga, run))
    kept = {(key.client, key.key): key for key in run.keys}
    for name, requests in run.attempts.items():
        sagas = [saga for request in requests for saga in run.started_by.get(request.correlation_id, ())]
        if sagas and name not in kept:
            yield sagas[0].order_id, f"{requests[0]} has started {sagas[0].name}, and its idempotency key is not kept"
    for key in run.keys:
        named = _saga_of(key.answer)
        if named is not None and named not in run.sagas:
            yield _order_of(key.answer), f"the answer kept for {key.client}'s key {key.key} names saga {named}, which is not there"


def _repeats(run: Run) -> Found:
    kept = {(key.client, key.key): key for key in run.keys}
    for name, requests in run.attempts.items():
        effects = [request for request in requests if run.started_by.get(request.correlation_id)]
        order_id = run.started_by[effects[0].correlation_id][0].order_id if effects else requests[0].names
        if len(effects) > 1:
            yield order_id, f"{effects[0]} and {effects[1]} have the same idempotency key, and both have started something"
        given = [request for request in requests if request.replayed or (request in effects and request.accepted)]
        said = [(request.status, request.answer, str(request)) for request in given]
        said += [(kept[name].status, kept[name].answer, "the table at the end")] if name in kept and given else []
        for status, answer, source in said[1:]:
            if (status, answer) != said[0][:2]:
                yield order_id, f"{said[0][2]} and {source} give other answers for one idempotency key: {said[0][0]} and {status}"


def _entries(run: Run, saga: Saga) -> Sequence[Document]:
    """What a saga has done to its order."""
    order = run.orders.get(saga.order_id)
    return [entry for entry in order.history if entry["sagaId"] == saga.saga_id] if order else []


def _told(entry: Document | None) -> str:
    return f"{entry['event']} to {entry['to']} by {entry['actor']}" if entry else "nothing"


def _shown_id(request: Request) -> str | None:
    return request.shown[0]["orderId"] if request.shown else None


def _saga_of(answer: Any) -> str | None:
    saga = answer.get("saga") if isinstance(answer, dict) else None
    return saga["sagaId"] if saga else None


def _order_of(answer: Any) -> str | None:
    order = answer.get("order") if isinstance(answer, dict) else None
    return order["orderId"] if order else None


CHANGES_KEPT = Rule("changes_kept", "a change that was answered as done, or as under way, is in the history, by whoever asked", _kept)
REFUSALS_CHANGE_NOTHING = Rule("refusals_change_nothing", "a request that was refused has changed nothing", _refused)
WHOLE_OR_NOT = Rule("whole_or_not", "a request whose answer never came has happened wholly or not at all", _whole)
REPEATS_ONCE = Rule("repeats_once", "requests with one idempotency key take effect once, and get one answer", _repeats)
