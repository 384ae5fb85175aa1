"""Role × route × ownership: every cell of the table in tests/support/authorization.py, and that refusals tell nothing."""

import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest

from tests.integration.conftest import Service
from tests.support.answers import Answer
from tests.support.authorization import CALLERS, OTHERS, cells, situations
from tests.support.edge import NEW_ORDER, ORDERS, Caller, Edge, Undoing
from tests.support.interleaving import Move, accept, acceptance_timeout, cancel, complete, falls_silent, give_back
from tests.support.scene import Scene, Stage

ABSENT = UUID(int=1)
# The request that a caller makes for a row: method, path, body.
Route = Callable[[Caller | None], tuple[str, str, Any]]
Requests = Mapping[str, Route]


def settled(move: Move) -> Move:
    def done(scene: Scene) -> None:
        move(scene)
        scene.settle()

    return done


def unaccepted(scene: Scene) -> None:
    """Its time is over, and the sweep has seen to it."""
    for move in acceptance_timeout():
        move(scene)
    scene.settle()


def silent_capture(scene: Scene) -> None:
    """The payment service never says whether it took the money."""
    complete()(scene)
    scene.answer_next(scene.holder["saga_id"])
    falls_silent(scene)
    assert (scene.holder["name"], scene.holder["status"]) == ("complete_order", "FAILED")


def asked_to_pay(scene: Scene) -> None:
    """The customer is known, and the payment service is asked."""
    scene.publish()
    scene.answer_next()


# The status that the stage brings an order to, and what happens then.
MADE: dict[str, tuple[str, Move]] = {
    "new": ("NEW", asked_to_pay),
    "open": ("READY_FOR_PICKUP", lambda scene: None),
    "reserved": ("READY_FOR_PICKUP", accept()),
    "accepted": ("ACCEPTED", lambda scene: None),
    "being given back": ("ACCEPTED", give_back()),
    "given back": ("ACCEPTED", settled(give_back())),
    "being cancelled": ("ACCEPTED", cancel()),
    "cancelled": ("ACCEPTED", settled(cancel())),
    "timed out": ("READY_FOR_PICKUP", unaccepted),
    "collected": ("COLLECTED", lambda scene: None),
    "delivered": ("DELIVERED", lambda scene: None),
    "being completed": ("DELIVERED", complete()),
    "suspended": ("DELIVERED", silent_capture),
    "completed": ("DELIVERED", settled(complete())),
}
NEXT = {"accepted": "COLLECTED", "collected": "ON_THE_WAY"}


def made(stage: Stage, situation: str) -> tuple[UUID, UUID]:
    """The ids of an order in that situation and of its latest saga."""
    if situation == "absent":
        return ABSENT, ABSENT
    status, move = MADE[situation]
    scene = stage.scene(status, pool=1)
    move(scene)
    return scene.order_id, scene.sagas()[-1]["saga_id"]


def routes(order_id: UUID, saga_id: UUID, to: str) -> Requests:
    """The request of each row."""
    order, saga = f"{ORDERS}/{order_id}", f"/api/sagas/{saga_id}"
    return {
        "read": lambda _: ("GET", order, None),
        "history": lambda _: ("GET", f"{order}/history", None),
        "timeline": lambda _: ("GET", f"{order}/timeline", None),
        "saga": lambda _: ("GET", saga, None),
        "explain": lambda _: ("GET", f"{saga}/explanation", None),
        "move": lambda _: ("PATCH", f"{order}/status", {"status": to}),
        "accept": lambda caller: ("POST", f"{order}/accept", {"runnerId": caller.sub if caller else "runner_1"}),
        "accept for 2": lambda _: ("POST", f"{order}/accept", {"runnerId": "runner_2"}),
        "give back": lambda _: ("POST", f"{order}/cancel-acceptance", None),
        "cancel": lambda _: ("POST", f"{order}/cancel", None),
        "cancel why": lambda _: ("POST", f"{order}/cancel", {"reason": "the stall is closed"}),
        "complete": lambda _: ("POST", f"{order}/complete", {}),
        "retry": lambda _: ("POST", f"{saga}/retry", None),
        "compensate": lambda _: ("POST", f"{saga}/compensate", None),
        "order": lambda _: ("POST", ORDERS, NEW_ORDER),
        "order for 2": lambda _: ("POST", ORDERS, {**NEW_ORDER, "customerId": "cust_2"}),
        "list": lambda _: ("GET", ORDERS, None),
        "list sagas": lambda _: ("GET", "/api/sagas", None),
        "list letters": lambda _: ("GET", "/api/dead-letters", None),
        "letter": lambda _: ("GET", f"/api/dead-letters/{ABSENT}", None),
        "redrive": lambda _: ("POST", f"/api/dead-letters/{ABSENT}/redrive", None),
        "dismiss": lambda _: ("POST", f"/api/dead-letters/{ABSENT}/dismiss", {"reason": "none of ours"}),
        "board": lambda _: ("GET", "/api/board", None),
        "search": lambda _: ("GET", "/api/search?q=cust_1", None),
        "health": lambda _: ("GET", "/health", None),
    }


def ask(edge: Edge, route: Route, name: str) -> Answer:
    caller = CALLERS[name]
    method, path, body = route(caller)
    return edge.call(method, path, caller, body)


def answers(edge: Edge, requests: Requests, asked: Sequence[tuple[str, str]]) -> list[Answer]:
    """Ask for each route as each caller; some at once, as most of the time goes by waiting for the database."""
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda each: ask(edge, requests[each[0]], each[1]), asked))


def found(edge: Edge, requests: Requests, expected: Sequence[tuple[str, str, int]]) -> list[tuple[str, str, int]]:
    """The cells as they really are."""
    asked = [(route, caller) for route, caller, _ in expected]
    return [(*cell, answer.status) for cell, answer in zip(asked, answers(edge, requests, asked), strict=True)]


@pytest.mark.parametrize("situation", situations())
def test_everybody_is_answered_by_their_roles_and_whose_the_order_is(edge: Edge, stage: Stage, brokerless: Service, situation: str) -> None:
    requests = routes(*made(stage, situation), NEXT.get(situation, "DELIVERED"))
    brokerless.runtime.database = Undoing(brokerless.world.engine)
    expected = list(cells(situations()[situation]))
    assert found(edge, requests, expected) == expected
    others = {route for route, _, _ in cells(OTHERS.strip("\n").splitlines())}
    assert {route for route, _, _ in expected} | {"cancel why"} == set(requests) - others


def test_everybody_is_answered_by_their_roles_where_there_is_no_order_yet(edge: Edge, brokerless: Service) -> None:
    brokerless.runtime.database = Undoing(brokerless.world.engine)
    expected = list(cells(OTHERS.strip("\n").splitlines()))
    assert found(edge, routes(ABSENT, ABSENT, "DELIVERED"), expected) == expected


OPEN_TO_ALL = {"/health", "/health/ready", "/openapi.json", "/asyncapi.json", "/docs", "/", "/console", "/console/{file}"}


def test_every_route_of_the_application_has_a_row(brokerless: Service) -> None:
    """A route that is added and forgotten here would be one that nobody checked."""
    rows = [route(None) for route in routes(ABSENT, ABSENT, "DELIVERED").values()]
    checked = {(method, path.partition("?")[0].replace(str(ABSENT), "{}")) for method, path, _ in rows}
    application = brokerless.app.app.routes
    declared = {
        (method, re.sub(r"{\w+}", "{}", path))
        for path, methods in application.items()
        for method, entry in methods.items()
        if path not in OPEN_TO_ALL
    }
    assert declared - checked == set()
    guarded = {path for path, methods in application.items() if all(entry.authorizer for entry in methods.values())}
    assert set(application) - guarded <= OPEN_TO_ALL


@pytest.mark.parametrize("situation", ["new", "reserved", "accepted"])
def test_what_is_not_yours_to_see_looks_like_what_is_not_there(edge: Edge, stage: Stage, brokerless: Service, situation: str) -> None:
    """To those whom the order is hidden from, and to those whose token or role may not ask at all."""
    there, nowhere = routes(*made(stage, situation), "COLLECTED"), routes(ABSENT, ABSENT, "COLLECTED")
    brokerless.runtime.database = Undoing(brokerless.world.engine)
    table = list(cells(situations()[situation]))
    readers = {caller for route, caller, status in table if (route, status) == ("read", 200)}
    hidden = [(route, caller) for route, caller, status in table if status == 404 or (status in (401, 403) and caller not in readers)]
    assert len(hidden) > 50
    told = zip(hidden, answers(edge, there, hidden), answers(edge, nowhere, hidden), strict=True)
    assert [cell for cell, one, other in told if one.reveals() != other.reveals()] == []


HEADERS = [{"If-None-Match": "*"}, {"If-Match": '"1"'}, {"Idempotency-Key": "k"}, {"Prefer": "wait=1"}]


@pytest.mark.parametrize("headers", HEADERS, ids=lambda headers: next(iter(headers)))
def test_no_header_makes_a_hidden_order_show(edge: Edge, stage: Stage, headers: dict[str, str]) -> None:
    there = routes(*made(stage, "accepted"), "COLLECTED")
    nowhere = routes(ABSENT, ABSENT, "COLLECTED")
    for route in ("read", "history", "timeline", "saga", "explain", "move", "give back", "complete"):
        asked = [
            edge.call(*requests[route](CALLERS["run2"])[:2], CALLERS["run2"], there[route](CALLERS["run2"])[2], **headers)
            for requests in (there, nowhere)
        ]
        assert asked[0].status == 404
        assert asked[0].reveals() == asked[1].reveals()
