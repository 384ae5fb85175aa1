"""What answers show of orders: those known stay, versions only grow, one version has one content."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tests.support.history.model import HISTORY, Document, Found, Request, Rule, Run

ENDED = ("COMPLETED", "COMPENSATED")


class Sight(NamedTuple):
    """An order as one answer shows it, by its version. An answer that is given again shows what was once."""

    order_id: str
    version: int
    request: Request


def sights(run: Run) -> Iterator[Sight]:
    """All that answers show of orders that is of their own time."""
    for request in run.requests:
        if request.replayed:
            continue
        for order in request.shown:
            yield Sight(order["orderId"], order["version"], request)
        if request.kind == HISTORY and request.status == 200 and request.names:
            yield Sight(request.names, request.answer["items"][-1]["version"], request)


def _stay(run: Run) -> Found:
    known: dict[str, Request] = {}
    for request in run.requests:
        for order in request.shown:
            first = known.setdefault(order["orderId"], request)
            if request.end < first.end:
                known[order["orderId"]] = request
    for order_id, first in known.items():
        if order_id not in run.orders:
            yield order_id, f"{first} was answered {first.status}, and the order is not there"
    for request in run.requests:
        seen = known.get(request.names or "")
        if seen and request.status == 404 and seen.end < request.start and _may_read(request, run):
            yield request.names, f"{request} was answered 404 after {seen} had shown the order"


def _may_read(request: Request, run: Run) -> bool:
    order = run.orders.get(request.names or "")
    owned = order is not None and request.role == "customer" and order.document["customerId"] == request.client
    return request.role == "admin" or owned


def _grow(run: Run) -> Found:
    by_order: dict[str, list[Sight]] = {}
    for sight in sights(run):
        by_order.setdefault(sight.order_id, []).append(sight)
    for order_id, seen in by_order.items():
        ended = sorted(seen, key=lambda sight: sight.request.end)
        newest, position = None, 0
        for sight in sorted(seen, key=lambda sight: sight.request.start):
            while position < len(ended) and ended[position].request.end < sight.request.start:
                newest = ended[position] if newest is None or ended[position].version > newest.version else newest
                position += 1
            if newest and sight.version < newest.version:
                before = f"{newest.request} had shown version {newest.version} before it began"
                yield order_id, f"{sight.request} showed version {sight.version}, but {before}"


def _agree(run: Run) -> Found:
    contents: dict[tuple[str, int], tuple[Document, str]] = {}
    for order_id, version, document, source in _contents(run):
        order = run.orders.get(order_id)
        if order is None:
            continue
        if not 1 <= version <= len(order.history):
            yield order_id, f"{source} shows version {version}, the history ends with version {len(order.history)}"
            continue
        entry = order.history[version - 1]
        statuses = (document["orderStatus"], document["paymentStatus"])
        if statuses != (entry["to"], entry["paymentTo"]):
            yield order_id, f"{source} shows version {version} as {'/'.join(statuses)}, the history as {entry['to']}/{entry['paymentTo']}"
        first, where = contents.setdefault((order_id, version), (document, source))
        if document != first:
            yield order_id, f"{source} and {where} show version {version} otherwise: {_difference(document, first)}"
    yield from _histories_agree(run)
    yield from _sagas_agree(run)


def _contents(run: Run) -> Iterator[tuple[str, int, Document, str]]:
    """Every whole order that somebody was shown, with its source."""
    for order_id, order in run.orders.items():
        yield order_id, order.version, order.document, "the table at the end"
    for event in run.events:
        yield event.order_id, event.sequence, event.data["order"], f"{event.type} {event.sequence}"
    for request in run.requests:
        for shown in request.shown:
            yield shown["orderId"], shown["version"], shown, str(request)


def _histories_agree(run: Run) -> Found:
    for request in run.requests:
        order = run.orders.get(request.names or "")
        if order and request.kind == HISTORY and request.status == 200:
            shown = request.answer["items"]
            if list(order.history[: len(shown)]) != shown:
                yield request.names, f"{request} showed a history of {len(shown)} entries that is not how the history begins"


def _sagas_agree(run: Run) -> Found:
    for request in run.requests:
        shown = request.saga
        if shown and shown["status"] in ENDED:
            kept = run.sagas.get(shown["sagaId"])
            if kept and kept.status != shown["status"]:
                yield kept.order_id, f"{request} showed saga {kept.saga_id} as {shown['status']}, and it is {kept.status}"


def _difference(left: Mapping[str, Any], right: Mapping[str, Any]) -> str:
    names = [name for name in {**left, **right} if left.get(name) != right.get(name)]
    return ", ".join(f"{name} {left.get(name)!r} and {right.get(name)!r}" for name in names)


ORDERS_STAY = Rule("orders_stay", "an order that an answer has shown is there from then on", _stay)
VERSIONS_GROW = Rule("versions_grow", "what an answer shows is no older than what was shown before its request began", _grow)
CONTENT_AGREES = Rule(
    "content_agrees", "every answer and event shows an order as it was at one version of its history, the same to all", _agree
)
