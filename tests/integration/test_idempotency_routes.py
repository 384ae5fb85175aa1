"""The Idempotency-Key on each route that takes one, and what leaves a key free."""

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest

from infra.documents.openapi.routes import ROUTES
from tests.integration.conftest import Service
from tests.support.edge import ADMIN, NEW_ORDER, ORDERS, OTHER_CUSTOMER, OWNER, RUNNER, Caller, Edge
from tests.support.interleaving import Move, complete, falls_silent
from tests.support.scene import Scene, Stage


def keys(service: Service) -> list[str]:
    return [row["key"] for row in service.world.rows("SELECT key FROM campusg.idempotency_keys ORDER BY key")]


def silent_capture(scene: Scene) -> None:
    complete()(scene)
    scene.answer_next(scene.holder["saga_id"])
    falls_silent(scene)


def nothing(_scene: Scene) -> None:
    """It stays as it is."""


# Where the order is, what happens to it then, and who asks for what with which body.
POSTS: dict[str, tuple[str, Move, Caller, str, Any]] = {
    "accept": ("READY_FOR_PICKUP", nothing, RUNNER, "/api/orders/{order}/accept", {"runnerId": RUNNER.sub}),
    "give back": ("ACCEPTED", nothing, RUNNER, "/api/orders/{order}/cancel-acceptance", None),
    "cancel": ("ACCEPTED", nothing, OWNER, "/api/orders/{order}/cancel", {"reason": "too late"}),
    "cancel while it is created": ("NEW", lambda scene: scene.publish(), OWNER, "/api/orders/{order}/cancel", None),
    "complete": ("DELIVERED", nothing, OWNER, "/api/orders/{order}/complete", None),
    "retry": ("DELIVERED", silent_capture, ADMIN, "/api/sagas/{saga}/retry", None),
    "compensate": ("DELIVERED", lambda scene: complete()(scene) and None, ADMIN, "/api/sagas/{saga}/compensate", {}),
}

# Those whose tests stand where they are tested otherwise.
TRIED_ELSEWHERE = {"/api/orders", "/api/dead-letters/{deadLetterId}/redrive", "/api/dead-letters/{deadLetterId}/dismiss"}


def test_every_route_that_takes_a_key_is_tried() -> None:
    tried = {path.format(order="{orderId}", saga="{sagaId}") for _, _, _, path, _ in POSTS.values()}
    assert {route.path for route in ROUTES if "Idempotency-Key" in route.parameters} == tried | TRIED_ELSEWHERE


@pytest.mark.parametrize("route", POSTS)
def test_every_post_takes_effect_once_and_is_repeated_even_when_the_order_has_moved_on(edge: Edge, stage: Stage, route: str) -> None:
    status, move, caller, path, body = POSTS[route]
    scene = stage.scene(status, pool=1)
    move(scene)
    target = path.format(order=scene.order_id, saga=scene.sagas()[-1]["saga_id"])
    first = edge.post(target, caller, body, Idempotency_Key="k")
    scene.settle()
    after = scene.state()
    again = edge.post(target, caller, body, Idempotency_Key="k")
    assert first.status in (200, 202)
    assert (again.said(), again.replayed) == (first.said(), True)
    assert scene.state() == after
    edge.post(target, caller, {"unlike": 1}, Idempotency_Key="k").problem(422, "invalid")
    edge.post(target, caller, b"{ }", Idempotency_Key="k").problem(422, "key-reused" if route != "accept" else "invalid")


def test_who_joins_keeps_nothing(edge: Edge, stage: Stage, brokerless: Service) -> None:
    scene = stage.scene("DELIVERED", pool=1)
    path = f"{ORDERS}/{scene.order_id}/complete"
    assert edge.post(path, OWNER).status == 202
    joined = edge.post(path, RUNNER, Idempotency_Key="k")
    assert (joined.status, joined.replayed) == (202, False)
    assert keys(brokerless) == []
    scene.settle()
    done = edge.post(path, RUNNER, Idempotency_Key="k")
    assert (done.status, done.replayed, done.json()["order"]["orderStatus"]) == (200, False, "COMPLETED")
    assert keys(brokerless) == []


def refusals(scene: Scene) -> Mapping[str, tuple[int, Caller, str, Any]]:
    """Requests that are turned down: the status, and what was asked by whom. (No POST has a 412.)"""
    order = f"{ORDERS}/{scene.order_id}"
    return {
        "wrong status": (409, OWNER, f"{order}/complete", None),
        "not to be changed by this runner": (403, Caller("cust_1", ("runner",)), f"{order}/complete", None),
        "another person": (403, OWNER, ORDERS, {**NEW_ORDER, "customerId": "cust_2"}),
        "role": (403, RUNNER, ORDERS, NEW_ORDER),
        "not valid": (422, OWNER, ORDERS, {}),
        "no such order": (404, OWNER, f"{ORDERS}/{uuid4()}/cancel", None),
        "no JSON": (400, OWNER, ORDERS, b"{"),
        "no token": (401, None, ORDERS, NEW_ORDER),  # type: ignore[dict-item]
    }


def test_what_is_refused_leaves_the_key_free(edge: Edge, stage: Stage, brokerless: Service) -> None:
    scene = stage.scene("READY_FOR_PICKUP", pool=1)
    for name, (status, caller, path, body) in refusals(scene).items():
        refused = edge.post(path, caller, body, Idempotency_Key="k")
        assert (name, refused.status, refused.replayed) == (name, status, False)
        assert keys(brokerless) == []
    assert edge.place(Idempotency_Key="k").status == 202
    assert keys(brokerless) == ["k"]


def test_the_order_is_looked_at_before_the_key_and_the_key_before_the_status(edge: Edge, stage: Stage) -> None:
    scene = stage.scene("ACCEPTED", pool=1)
    order = f"{ORDERS}/{scene.order_id}"
    assert edge.place(OTHER_CUSTOMER, Idempotency_Key="k").status == 202
    # Used for something else, but the order is not there for this caller.
    edge.post(f"{order}/cancel", OTHER_CUSTOMER, None, Idempotency_Key="k").problem(404, "not-found")
    assert edge.place(Idempotency_Key="k").status == 202
    edge.post(f"{order}/complete", OWNER, None, Idempotency_Key="k").problem(422, "key-reused")
    edge.post(f"{order}/complete", OWNER, None, Idempotency_Key="other").problem(409, "wrong-status")
