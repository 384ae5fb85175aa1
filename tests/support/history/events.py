"""Events of an order: one a version, first copies in order and without gaps, as the history has it."""

from collections.abc import Sequence

from tests.support.history.model import Event, Found, Rule, Run


def _events(run: Run) -> Found:
    for number, reading in enumerate(run.readings):
        yield from _in_order(reading, from_the_first=number == 0, may_lose=run.may_lose)
    for event in run.events:
        yield from _of_the_history(event, run)
    if run.readings and not run.may_lose:
        for order_id, order in run.orders.items():
            missing = [version for version in range(1, order.version + 1) if (order_id, version) not in run.told]
            if missing:
                yield order_id, f"it is at version {order.version}, and there is no event of {missing}"


def _in_order(reading: Sequence[Event], *, from_the_first: bool, may_lose: bool) -> Found:
    newest: dict[str, int] = {}
    seen: set[tuple[str, int]] = set()
    for event in reading:
        if (event.order_id, event.sequence) in seen:
            continue
        seen.add((event.order_id, event.sequence))
        before = newest.get(event.order_id, 0 if from_the_first else event.sequence - 1)
        if event.sequence <= before or (event.sequence > before + 1 and not may_lose):
            yield event.order_id, f"the first copy of event {event.sequence} comes after that of {before}"
        newest[event.order_id] = max(before, event.sequence)


def _of_the_history(event: Event, run: Run) -> Found:
    order = run.orders.get(event.order_id)
    if order is None:
        yield event.order_id, f"there is {event.type} {event.sequence}, and no order"
        return
    if event.sequence > len(order.history):
        yield event.order_id, f"there is {event.type} {event.sequence}, the history ends with version {len(order.history)}"
        return
    entry = order.history[event.sequence - 1]
    told = (event.type, *(event.data[name] for name in ("from", "to", "paymentFrom", "paymentTo")))
    kept = (entry["event"], *(entry[name] for name in ("from", "to", "paymentFrom", "paymentTo")))
    if told != kept:
        yield event.order_id, f"event {event.sequence} says {told}, the history {kept}"


EVENTS_IN_ORDER = Rule("events_in_order", "each version of an order has its event, first copies in order and without gaps", _events)
