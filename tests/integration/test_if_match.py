"""If-Match on every request that changes an order which is there: judged under the lock, behind the key and before the state."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from tests.integration.test_idempotency_routes import POSTS
from tests.support.answers import Answer
from tests.support.edge import ADMIN, OTHER_RUNNER, OWNER, RUNNER, Edge
from tests.support.scene import Scene, Stage


def authorizing(scene: Scene) -> None:
    """The order's creation has something to undo."""
    scene.publish()
    scene.answer_next()


ROUTES = {**POSTS, "cancel while it is created": ("NEW", authorizing, *POSTS["cancel while it is created"][2:])}
JOINABLE = ["accept", "give back", "cancel", "cancel while it is created", "complete"]


def tag(scene: Scene) -> str:
    return f'"{scene.order["version"]}"'


class Asking:
    """One of the POSTs, and an order that is ready for it."""

    def __init__(self, edge: Edge, stage: Stage, route: str) -> None:
        status, move, self._caller, path, self._body = ROUTES[route]
        self._edge, self.scene = edge, stage.scene(status, pool=1)
        move(self.scene)
        self._path = path.format(order=self.scene.order_id, saga=self.scene.sagas()[-1]["saga_id"])

    def __call__(self, **headers: str | list[str]) -> Answer:
        return self._edge.post(self._path, self._caller, self._body, **headers)


@pytest.mark.parametrize("route", ROUTES)
def test_a_post_changes_nothing_where_the_order_has_changed(edge: Edge, stage: Stage, route: str) -> None:
    asking = Asking(edge, stage, route)
    before, current = asking.scene.state(), tag(asking.scene)
    for stale in ('"1000"', f"W/{current}", f'"0", "x{current[1:]}'):
        asking(If_Match=stale, Idempotency_Key="k").problem(412, "precondition-failed")
    asking(If_Match="1").problem(400, "invalid")
    asking(If_Match=["*", current]).problem(400, "invalid")
    assert asking.scene.state() == before
    # Nothing was done, so the key is free.
    done = asking(If_Match=['"1000"', current], Idempotency_Key="k")
    assert (done.status, done.replayed) == (202, False)
    # The key comes before the tag, which is no longer current.
    assert asking(If_Match=current, Idempotency_Key="k").replayed


@pytest.mark.parametrize("route", JOINABLE)
def test_whoever_joins_or_finds_the_work_done_needs_no_current_tag(edge: Edge, stage: Stage, route: str) -> None:
    asking = Asking(edge, stage, route)
    current = tag(asking.scene)
    assert asking(If_Match=current).status == 202
    assert asking(If_Match=current).status == 202
    asking.scene.settle()
    assert tag(asking.scene) != current
    assert asking(If_Match=current).status == 200


@pytest.mark.parametrize("route", ["retry", "compensate"])
def test_an_operators_repeat_joins_nothing(edge: Edge, stage: Stage, route: str) -> None:
    asking = Asking(edge, stage, route)
    current = tag(asking.scene)
    assert asking(If_Match=current).status == 202
    asking(If_Match=current).problem(412, "precondition-failed")
    asking(If_Match=tag(asking.scene)).problem(409, "wrong-status")


def conflicts(scene: Scene) -> dict[str, tuple[str, Any, Any, str]]:
    """What the state of an accepted order that somebody is completing refuses: path, caller, body, problem."""
    order, saga = f"/api/orders/{scene.order_id}", f"/api/sagas/{scene.saga_id}"
    return {
        "taken": (f"{order}/accept", OTHER_RUNNER, {"runnerId": OTHER_RUNNER.sub}, "held-by-saga"),
        "give back": (f"{order}/cancel-acceptance", RUNNER, None, "held-by-saga"),
        "cancel": (f"{order}/cancel", ADMIN, {"reason": "late"}, "held-by-saga"),
        "retry": (f"{saga}/retry", ADMIN, None, "wrong-status"),
        "compensate": (f"{saga}/compensate", ADMIN, None, "wrong-status"),
    }


def test_a_stale_tag_is_said_before_what_the_state_refuses(edge: Edge, stage: Stage) -> None:
    completing = Asking(edge, stage, "complete")
    assert completing().status == 202
    before = completing.scene.state()
    for path, caller, body, problem in conflicts(completing.scene).values():
        edge.post(path, caller, body, If_Match='"1"').problem(412, "precondition-failed")
        edge.post(path, caller, body, If_Match=tag(completing.scene)).problem(409, problem)
    assert completing.scene.state() == before


def test_an_order_that_may_not_be_changed_is_said_before_a_stale_tag(edge: Edge, stage: Stage) -> None:
    scene = stage.scene("READY_FOR_PICKUP", pool=1)
    path = f"/api/orders/{scene.order_id}"
    edge.post(f"{path}/complete", RUNNER, None, If_Match='"1"').problem(403, "forbidden")
    edge.post(f"{path}/accept", OWNER, {"runnerId": OWNER.sub}, If_Match='"1"').problem(403, "forbidden")
    edge.post(f"/api/sagas/{scene.order_id}/retry", ADMIN, None, If_Match='"1"').problem(404, "not-found")


def test_of_two_requests_at_once_with_one_tag_one_is_served(edge: Edge, stage: Stage) -> None:
    """Judged before the lock, both conditions would hold, and the loser be told of a saga and not of its tag."""
    scene = stage.scene("READY_FOR_PICKUP", pool=1)
    begun, current, path = Barrier(2), tag(scene), f"/api/orders/{scene.order_id}"
    asked = [(f"{path}/accept", RUNNER, {"runnerId": RUNNER.sub}), (f"{path}/cancel", OWNER, None)]
    for _, caller, _ in asked:
        edge.token(caller)

    def ask(which: int) -> int:
        begun.wait(10)
        return edge.post(*asked[which], If_Match=current).status

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(ask, range(2))) == [202, 412]
