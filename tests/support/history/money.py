"""One runner an order, and its money once."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from tests.support.history.model import Document, Found, Hold, Payment, Rule, Run

GIVEN_BACK = ("RELEASED", "REFUNDED")
ENDED = ("COMPLETED", "CANCELLED", "TIMED_OUT")


def _runner(run: Run) -> Found:
    yield from _told_to_the_right_one(run)
    yield from _no_two_in_turn(run)
    for order_id, order in run.orders.items():
        holder, taken = None, 0
        for entry in order.history:
            if (entry["from"], entry["to"]) == ("READY_FOR_PICKUP", "ACCEPTED"):
                taken += 1
                saga = run.sagas.get(entry["sagaId"] or "")
                holder = saga.runner_id if saga else None
            elif (entry["from"], entry["to"]) == ("ACCEPTED", "READY_FOR_PICKUP"):
                taken, holder = 0, None
            if taken > 1:
                yield order_id, f"version {entry['version']} accepts the order once more, and nobody gave it back"
        if taken and order.document["runnerId"] != holder:
            yield order_id, f"{holder} was the last to accept it, and its runner is {order.document['runnerId']}"


def _told_to_the_right_one(run: Run) -> Found:
    for request in run.requests:
        if request.kind == "accept" and request.accepted and request.saga:
            saga = run.sagas.get(request.saga["sagaId"])
            if saga and saga.runner_id != request.body["runnerId"]:
                yield saga.order_id, f"{request} was answered {request.status} for an acceptance by {saga.runner_id}"


def _no_two_in_turn(run: Run) -> Found:
    runners: dict[tuple[str, int], str | None] = {
        (order["orderId"], order["version"]): order["runnerId"] for request in run.requests for order in request.shown
    }
    runners |= {(event.order_id, event.sequence): event.data["order"]["runnerId"] for event in run.events}
    for (order_id, version), runner in runners.items():
        before = runners.get((order_id, version - 1))
        if runner and before and runner != before:
            yield order_id, f"version {version - 1} has runner {before}, version {version} has {runner}"


def _money(run: Run) -> Found:
    for order_id, order in run.orders.items() if run.books else ():
        payments = [each for each in run.payments if each.order_id == order_id and each.status not in GIVEN_BACK]
        holds = [each for each in run.holds if each.order_id == order_id and each.status != "REFUNDED"]
        for detail in _wrong(order.document, payments, holds):
            yield order_id, detail


def _wrong(order: Document, payments: Sequence[Payment], holds: Sequence[Hold]) -> Iterator[str]:
    """What is wrong with an order's money that was not given back."""
    status, total = order["orderStatus"], Decimal(order["total"])
    money: list[Payment | Hold] = [*payments, *holds]
    stands = [each.status for each in money]
    if status in ENDED and stands != (["CAPTURED", "RELEASED"] if status == "COMPLETED" else []):
        yield f"it is {status}, and of its money stands: {', '.join(stands) or 'nothing'}"
    elif len(payments) > 1 or len(holds) > 1:
        yield f"the partners have {len(payments)} payments and {len(holds)} holds of it that were not given back"
    for amount in (each.amount for each in money):
        if amount != total:
            yield f"the partners have {amount} of it, its total is {total}"
    for hold in holds:
        if hold.status == "RELEASED" and hold.runner_id != order["runnerId"]:
            yield f"{hold.runner_id} was paid, its runner is {order['runnerId']}"


ONE_RUNNER = Rule("one_runner", "an order has one runner at a time: the one who was told so", _runner)
MONEY_ONCE = Rule("money_once", "the partners' books have an order's money once, for its total, paid to its runner", _money)
