"""The history checker lets a possible run pass, and names the rule and the order of every impossible one."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.support.history import RULES, Event, Hold, Key, Order, Payment, Request, Run, Saga, violations

ORDER, OTHER = "order-1", "order-2"
DETAILS = {
    "foodItems": [{"name": "Laksa", "price": "5.50", "quantity": 2}],
    "storeLocation": "Koufu",
    "deliveryLocation": "Hall 5",
    "deliveryFee": "1.00",
}
# What happens to the order of these tests: its statuses, its runner, by whom and by which saga.
STORY = (
    ("CREATED", "PENDING", None, "customer:cust_1", "create"),
    ("PENDING_PAYMENT", "PENDING", None, "partner:user", "create"),
    ("PAYMENT_AUTHORIZED", "AUTHORIZED", None, "partner:payment", "create"),
    ("READY_FOR_PICKUP", "AUTHORIZED", None, "partner:escrow", "create"),
    ("READY_FOR_PICKUP", "AUTHORIZED", "runner_1", "runner:runner_1", "accept"),
    ("ACCEPTED", "AUTHORIZED", "runner_1", "partner:escrow", "accept"),
    ("COLLECTED", "AUTHORIZED", "runner_1", "runner:runner_1", None),
    ("ON_THE_WAY", "AUTHORIZED", "runner_1", "runner:runner_1", None),
    ("DELIVERED", "AUTHORIZED", "runner_1", "runner:runner_1", None),
    ("DELIVERED", "AUTHORIZED", "runner_1", "customer:cust_1", "complete"),
    ("DELIVERED", "CAPTURED", "runner_1", "partner:payment", "complete"),
    ("COMPLETED", "CAPTURED", "runner_1", "partner:escrow", "complete"),
)


def shown(version: int, **changed: Any) -> dict[str, Any]:
    """The order at a version, as everybody is shown it."""
    order_status, payment_status, runner, _, saga = STORY[version - 1]
    document = {**DETAILS, "orderId": ORDER, "customerId": "cust_1", "version": version, "total": "12.00", "activeSagaId": saga}
    return {**document, "orderStatus": order_status, "paymentStatus": payment_status, "runnerId": runner, **changed}


def entry(version: int, **changed: Any) -> dict[str, Any]:
    order_status, payment_status, _, actor, saga = STORY[version - 1]
    before = STORY[version - 2] if version > 1 else (None, None)
    moved = {"from": before[0], "to": order_status, "paymentFrom": before[1], "paymentTo": payment_status}
    event = "order.created" if version == 1 else "order.status_changed" if before[0] != order_status else "order.updated"
    return {"version": version, "event": event, **moved, "actor": actor, "sagaId": saga, **changed}


def event(version: int, **changed: Any) -> Event:
    of = entry(version)
    data = {**{name: of[name] for name in ("from", "to", "paymentFrom", "paymentTo")}, "order": shown(version), **changed}
    return Event(ORDER, version, of["event"], data, f"c-{of['sagaId']}" if of["sagaId"] else f"c-move-{version}")


def request(correlation_id: str, start: float, status: int | None, answer: Any = None, **other: Any) -> Request:
    """A request of a second's length, by default the placing of the order."""
    usual = {"client": "cust_1", "role": "customer", "method": "POST", "path": "/api/orders", "body": {"orderDetails": DETAILS}}
    return Request(correlation_id=correlation_id, start=start, end=start + 1, status=status, answer=answer, **{**usual, **other})


def serving(version: int, saga: str, status: str = "RUNNING") -> dict[str, Any]:
    return {"order": shown(version), "saga": {"sagaId": saga, "status": status}}


BY_RUNNER: dict[str, Any] = {"client": "runner_1", "role": "runner"}
ACCEPT: dict[str, Any] = {**BY_RUNNER, "path": f"/api/orders/{ORDER}/accept", "body": {"runnerId": "runner_1"}}
COMPLETE: dict[str, Any] = {"path": f"/api/orders/{ORDER}/complete", "body": None}
READ: dict[str, Any] = {"method": "GET", "path": f"/api/orders/{ORDER}", "body": None}
HISTORY: dict[str, Any] = {**READ, "path": f"/api/orders/{ORDER}/history"}


def move(version: int, start: float) -> Request:
    status = STORY[version - 1][0]
    of = {**BY_RUNNER, "method": "PATCH", "path": f"/api/orders/{ORDER}/status", "body": {"status": status}}
    return request(f"c-move-{version}", start, 200, shown(version), **of)


# The customer loses the connection, repeats the request with its key, and is given the first answer.
REQUESTS = (
    request("c-create", 0, None, key="k-1"),
    request("c-create-again", 2, 202, serving(1, "create"), key="k-1", replayed=True),
    request("c-read", 4, 200, shown(4), **READ),
    request("c-accept", 6, 200, serving(6, "accept", "COMPLETED"), **ACCEPT, key="k-2"),
    request("c-late", 8, 409, {"type": "/problems/taken"}, **{**ACCEPT, "client": "runner_2", "body": {"runnerId": "runner_2"}}),
    move(7, 10),
    move(8, 12),
    move(9, 14),
    request("c-list", 15, 200, {"items": [shown(9)]}, **{**READ, "path": "/api/orders?limit=5"}),
    request("c-complete", 16, 202, serving(10, "complete"), **COMPLETE),
    request("c-history", 18, 200, {"items": [entry(version) for version in range(1, 12)]}, **HISTORY),
    request("c-read-again", 20, 200, shown(12), **{**READ, "client": "adm_1", "role": "admin"}),
)
SAGAS = {
    name: Saga(name, ORDER, f"{name}_order", "COMPLETED", f"c-{name}", runner)
    for name, runner in (("create", None), ("accept", "runner_1"), ("complete", None))
}
POSSIBLE = Run(
    requests=REQUESTS,
    orders={ORDER: Order(shown(12), [entry(version) for version in range(1, 13)])},
    sagas=SAGAS,
    keys=[
        Key("cust_1", "k-1", 202, serving(1, "create")),
        Key("runner_1", "k-2", 200, serving(6, "accept", "COMPLETED")),
    ],
    readings=[[event(version) for version in (1, 2, 3, 2, *range(4, 13))]],
    payments=[Payment("pay_1", ORDER, Decimal("12.00"), "CAPTURED")],
    holds=[Hold("esc_1", ORDER, Decimal("12.00"), "RELEASED", "runner_1")],
)


def with_request(made: Request) -> Run:
    return replace(POSSIBLE, requests=(*REQUESTS, made))


def with_answer(correlation_id: str, **changed: Any) -> Run:
    return replace(POSSIBLE, requests=[replace(each, **changed) if each.correlation_id == correlation_id else each for each in REQUESTS])


def with_order(document: dict[str, Any], history: Sequence[dict[str, Any]] = POSSIBLE.orders[ORDER].history) -> Run:  # type: ignore[assignment]
    return replace(POSSIBLE, orders={ORDER: Order(document, history)})


def with_saga(saga: str, **changed: Any) -> Run:
    return replace(POSSIBLE, sagas={**SAGAS, saga: replace(SAGAS[saga], **changed)})


def with_events(*events: Event) -> Run:
    return replace(POSSIBLE, readings=[events])


EVENTS = [event(version) for version in range(1, 13)]
RIVAL: dict[str, Any] = {**ACCEPT, "client": "runner_2", "body": {"runnerId": "runner_2"}}
ACCEPTED_TWICE = [*(entry(version) for version in range(1, 12)), entry(12) | {"from": "READY_FOR_PICKUP", "to": "ACCEPTED"}]
STRAY = Saga("stray", ORDER, "cancel_order", "COMPLETED", "c-late")

# Which rule is broken, what its sentence says, and a run that breaks it.
IMPOSSIBLE: dict[str, tuple[str, str, Run]] = {
    "a bug is answered": ("possible_answers", "answered 500", with_request(request("c-x", 30, 500, {}))),
    "a partner failed, and no saga": ("possible_answers", "without the saga", with_request(request("c-x", 30, 502, {}))),
    "an accepted order vanished": ("orders_stay", "is not there", replace(POSSIBLE, orders={})),
    "an order shown is not found later": ("orders_stay", "404", with_request(request("c-x", 30, 404, {}, **READ))),
    "a stale read": ("versions_grow", "showed version 9", with_request(request("c-x", 30, 200, shown(9), **READ))),
    "a stale list": (
        "versions_grow",
        "showed version 9",
        with_request(request("c-x", 30, 200, {"items": [shown(9)]}, **{**READ, "path": "/api/orders"})),
    ),
    "a stale history": (
        "versions_grow",
        "showed version 2",
        with_request(request("c-x", 30, 200, {"items": [entry(1), entry(2)]}, **HISTORY)),
    ),
    "a version that there never was": (
        "content_agrees",
        "the history ends with version 12",
        with_request(request("c-x", 30, 200, {**shown(12), "version": 13}, **READ)),
    ),
    "a status that the version never had": (
        "content_agrees",
        "shows version 4 as CANCELLED",
        with_answer("c-read", answer=shown(4, orderStatus="CANCELLED")),
    ),
    "two contents of one version": ("content_agrees", "runnerId 'runner_9'", with_answer("c-read", answer=shown(4, runnerId="runner_9"))),
    "an event unlike the answers": (
        "content_agrees",
        "'12.00' and '99.00'",
        with_events(*EVENTS[:3], event(4, order=shown(4, total="99.00")), *EVENTS[4:]),
    ),
    "a history that was rewritten": (
        "content_agrees",
        "not how the history begins",
        with_answer("c-history", answer={"items": [entry(1, actor="admin:adm_1"), *(entry(version) for version in range(2, 12))]}),
    ),
    "a saga that had ended otherwise": ("content_agrees", "and it is COMPENSATED", with_saga("accept", status="COMPENSATED")),
    "an acceptance without its saga": (
        "changes_kept",
        "it names is not there",
        replace(POSSIBLE, sagas={"create": SAGAS["create"], "complete": SAGAS["complete"]}),
    ),
    "another saga than asked for": ("changes_kept", "answered with cancel_order", with_saga("accept", name="cancel_order")),
    "a status change that was lost": (
        "changes_kept",
        "where the history has",
        with_order(
            shown(12),
            [*(entry(version) for version in range(1, 7)), entry(7, actor="system"), *(entry(version) for version in range(8, 13))],
        ),
    ),
    "done, and the order is not there": (
        "changes_kept",
        "has not brought the order there",
        with_answer("c-complete", status=200, answer=serving(6, "accept", "COMPLETED"), path=f"/api/orders/{ORDER}/cancel"),
    ),
    "a change by somebody else": (
        "changes_kept",
        "by system",
        with_order(shown(12), [*(entry(version) for version in range(1, 10)), entry(10, actor="system"), entry(11), entry(12)]),
    ),
    "refused, and a saga has begun": (
        "refusals_change_nothing",
        "started cancel_order",
        replace(POSSIBLE, sagas={**SAGAS, "stray": STRAY}),
    ),
    "refused, and an event tells of it": (
        "refusals_change_nothing",
        "has left order.status_changed 7",
        with_events(*EVENTS[:6], replace(event(7), correlation_id="c-late"), *EVENTS[7:]),
    ),
    "unknown, a saga without its order": ("whole_or_not", "but no order", replace(POSSIBLE, orders={})),
    "unknown, a saga without its first entry": (
        "whole_or_not",
        "whose history begins with nothing",
        with_order(
            shown(12), [entry(version, sagaId=None) if entry(version)["sagaId"] == "create" else entry(version) for version in range(1, 13)]
        ),
    ),
    "unknown, an order with half its items": ("whole_or_not", "another foodItems", with_order(shown(12, foodItems=[]))),
    "unknown, an order over another total": ("whole_or_not", "another total", with_order(shown(12, total="11.00"))),
    "unknown, and no event of it": ("whole_or_not", "no event of it", with_events(*EVENTS[1:])),
    "unknown, and its key is gone": ("whole_or_not", "key is not kept", replace(POSSIBLE, keys=POSSIBLE.keys[1:])),
    "a key without what it stands for": (
        "whole_or_not",
        "names saga gone",
        replace(POSSIBLE, keys=[*POSSIBLE.keys, Key("cust_1", "k-3", 202, serving(1, "gone"))]),
    ),
    "a repeat that took effect again": (
        "repeats_once",
        "both have started something",
        replace(POSSIBLE, sagas={**SAGAS, "again": Saga("again", OTHER, "create_order", "COMPLETED", "c-create-again")}),
    ),
    "a repeat with another answer": ("repeats_once", "give other answers", with_answer("c-create-again", answer=serving(2, "create"))),
    "one runner was told of another's acceptance": (
        "one_runner",
        "for an acceptance by runner_1",
        with_request(request("c-x", 30, 202, serving(12, "accept"), **RIVAL)),
    ),
    "two runners in turn": (
        "one_runner",
        "version 7 has runner runner_1, version 8 has runner_2",
        with_events(*EVENTS[:7], event(8, order=shown(8, runnerId="runner_2")), *EVENTS[8:]),
    ),
    "accepted twice": ("one_runner", "nobody gave it back", with_order(shown(12), ACCEPTED_TWICE)),
    "not the runner who accepted": ("one_runner", "runner_9 was the last to accept", with_saga("accept", runner_id="runner_9")),
    "captured twice": (
        "money_once",
        "CAPTURED, CAPTURED",
        replace(POSSIBLE, payments=[*POSSIBLE.payments, replace(POSSIBLE.payments[0], payment_id="p2")]),
    ),
    "never captured": ("money_once", "stands: RELEASED", replace(POSSIBLE, payments=[replace(POSSIBLE.payments[0], status="RELEASED")])),
    "over another amount": (
        "money_once",
        "have 1.00 of it",
        replace(POSSIBLE, payments=[replace(POSSIBLE.payments[0], amount=Decimal("1.00"))]),
    ),
    "paid to somebody else": (
        "money_once",
        "runner_2 was paid",
        replace(POSSIBLE, holds=[replace(POSSIBLE.holds[0], runner_id="runner_2")]),
    ),
    "authorized twice while under way": (
        "money_once",
        "2 payments and 1 holds",
        replace(
            with_order(shown(11), POSSIBLE.orders[ORDER].history[:11]),  # type: ignore[arg-type]
            payments=[*POSSIBLE.payments, replace(POSSIBLE.payments[0], payment_id="p2")],
        ),
    ),
    "a gap": ("events_in_order", "event 5 comes after that of 3", with_events(*EVENTS[:3], *EVENTS[4:])),
    "out of order": ("events_in_order", "event 4 comes after that of 5", with_events(*EVENTS[:3], EVENTS[4], EVENTS[3], *EVENTS[5:])),
    "no last event": ("events_in_order", "there is no event of [12]", with_events(*EVENTS[:11])),
    "an event of no order": ("events_in_order", "and no order", with_events(*EVENTS, replace(event(1), order_id=OTHER))),
    "an event of no version": ("events_in_order", "the history ends with", with_events(*EVENTS, replace(event(12), sequence=13))),
    "an event that says something else": ("events_in_order", "says", with_events(*EVENTS[:3], event(4, to="CANCELLED"), *EVENTS[4:])),
}


def test_a_possible_run_breaks_no_rule() -> None:
    assert violations(POSSIBLE) == []


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_an_impossible_run_is_rejected_by_its_rule_which_names_the_order(name: str) -> None:
    rule, sentence, run = IMPOSSIBLE[name]

    found = [each for each in violations(run) if each.rule == rule and sentence in each.detail]

    assert found, violations(run)
    assert found[0].order_id in (ORDER, OTHER) or rule == "possible_answers"
    assert str(found[0]).startswith(f"{rule}: order ")


def test_every_rule_rejects_something() -> None:
    assert {rule.name for rule in RULES} == {rule for rule, _, _ in IMPOSSIBLE.values()}


@pytest.mark.parametrize(
    "lacking",
    [lambda: with_events(*EVENTS[:3], *EVENTS[5:11]), lambda: with_events(*EVENTS[1:])],
    ids=["in the middle and at the end", "the first"],
)
def test_events_may_be_missing_where_the_broker_may_lose_them_but_never_come_in_another_order(lacking: Callable[[], Run]) -> None:
    assert violations(replace(lacking(), may_lose=True)) == []
    swapped = with_events(*EVENTS[:3], EVENTS[4], EVENTS[3])
    assert [each.rule for each in violations(replace(swapped, may_lose=True))] == ["events_in_order"]


def test_a_later_reading_may_begin_with_any_event_that_is_left() -> None:
    assert violations(replace(POSSIBLE, readings=[EVENTS, EVENTS[5:]])) == []
    assert [each.rule for each in violations(replace(POSSIBLE, readings=[EVENTS, [*EVENTS[5:7], *EVENTS[8:]]]))] == ["events_in_order"]


def test_an_answer_between_two_versions_that_others_saw_meanwhile_is_possible() -> None:
    overlapping = replace(request("c-x", 19.5, 200, shown(11), **READ), end=30)
    assert violations(with_request(overlapping)) == []


def test_without_the_partners_books_money_is_not_judged() -> None:
    assert violations(replace(POSSIBLE, payments=[], holds=[], books=False)) == []
