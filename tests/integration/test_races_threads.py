"""The same races for real: many connections at once, started together."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier

import pytest
import sqlalchemy as sa

from chalicelib.db.connection import make_engine
from chalicelib.errors import HeldBySaga, Refusal, Taken, TooLate, WrongStatus
from chalicelib.operations.sweep import UnacceptedOrders
from chalicelib.orders.order import OrderStatus
from tests.integration.conftest import RULES
from tests.support.database import World
from tests.support.interleaving import ADMIN, Move, Sweep, accept, cancel, check_at_rest, complete, give_back, is_late, patch
from tests.support.scene import Scene, Stage

AT_ONCE = 40


@pytest.fixture(scope="module")
def stage(database_url: str) -> Iterator[Stage]:
    """A stage with a connection for each thread."""
    engine: sa.Engine = make_engine(database_url, pool_size=AT_ONCE + 1)
    with closing(Stage(World(engine, RULES))) as stage:
        yield stage
    engine.dispose()


def at_once(moves: Sequence[Callable[[], object]]) -> list[Refusal | None]:
    """Make all moves at the same time; for each its refusal, if it was refused."""
    together = Barrier(len(moves))

    def make(move: Callable[[], object]) -> Refusal | None:
        together.wait(10)
        try:
            move()
        except Refusal as refusal:
            return refusal
        return None

    with ThreadPoolExecutor(len(moves)) as threads:
        return list(threads.map(make, moves))


def on(scene: Scene, move: Move) -> Callable[[], object]:
    """The move on a view of its own of the same order, which publishes nothing before all are done."""
    view = Scene(scene.stage, scene.order_id, scene.saga_id)
    view.publish = lambda: None  # type: ignore[method-assign]
    return lambda: move(view)


def test_of_40_runners_at_once_one_has_the_order(stage: Stage) -> None:
    scene = stage.scene(pool=1)
    refusals = at_once([on(scene, accept(f"runner_{number}")) for number in range(AT_ONCE)])
    [winner] = [number for number, refusal in enumerate(refusals) if refusal is None]
    assert {type(refusal) for refusal in refusals if refusal} == {Taken}
    assert [saga["name"] for saga in scene.sagas()].count("accept_order") == 1
    scene.settle()
    assert (scene.order["order_status"], scene.order["runner_id"]) == ("ACCEPTED", f"runner_{winner}")
    check_at_rest(scene)


def test_one_runner_who_asks_40_times_at_once_starts_one_saga(stage: Stage) -> None:
    scene = stage.scene(pool=1)
    assert at_once([on(scene, accept("runner_1"))] * AT_ONCE) == [None] * AT_ONCE
    assert [saga["name"] for saga in scene.sagas()].count("accept_order") == 1
    scene.settle()
    check_at_rest(scene)


def test_accepts_a_cancel_and_two_clocks_at_once_leave_one_saga(stage: Stage) -> None:
    scenes = [stage.scene(pool=6) for _ in range(6)]
    ends: Counter[str] = Counter()
    for scene in scenes:
        is_late(scene)
        clocks = [Sweep(UnacceptedOrders()) for _ in range(2)]
        for clock in clocks:
            clock.read(scene)
        sweeps: list[Move] = [lambda view, clock=clock: clock.hit(view) and None for clock in clocks]  # type: ignore[misc]
        moves = [cancel(), *sweeps, accept("runner_1"), accept("runner_2")]
        refusals = at_once([on(scene, move) for move in moves])
        assert refusals[:3] == [None, None, None], "who comes second joins, or finds nothing due"
        assert {type(refusal) for refusal in refusals[3:]} <= {TooLate, HeldBySaga, WrongStatus}
        assert [saga["name"] for saga in scene.sagas()].count("cancel_order") == 1
        scene.settle()
        ends[scene.order["order_status"]] += 1
        check_at_rest(scene)
    assert set(ends) <= {"CANCELLED", "TIMED_OUT"}


RIVALS: dict[str, tuple[str, list[Move], set[str]]] = {
    "accept against cancel": ("READY_FOR_PICKUP", [accept(), cancel()], {"ACCEPTED", "CANCELLED"}),
    "giving back against collecting": ("ACCEPTED", [give_back(), patch(OrderStatus.COLLECTED)], {"READY_FOR_PICKUP", "COLLECTED"}),
    "completing against cancelling": ("DELIVERED", [complete(), cancel(ADMIN, "lost")], {"COMPLETED", "CANCELLED"}),
    "collecting against cancelling": ("ACCEPTED", [patch(OrderStatus.COLLECTED), cancel()], {"COLLECTED", "CANCELLED"}),
}


@pytest.mark.parametrize(("status", "rivals", "ends"), RIVALS.values(), ids=RIVALS.keys())
def test_of_two_rivals_at_once_one_wins(stage: Stage, status: str, rivals: list[Move], ends: set[str]) -> None:
    for _ in range(5):
        scene = stage.scene(status, pool=5)
        refusals = at_once([on(scene, move) for move in rivals])
        assert [refusal is None for refusal in refusals].count(True) == 1, refusals
        scene.settle()
        assert scene.order["order_status"] in ends
        check_at_rest(scene)


def test_completing_20_times_at_once_pays_once(stage: Stage) -> None:
    scene = stage.scene("DELIVERED", pool=1)
    assert at_once([on(scene, complete())] * 20) == [None] * 20
    scene.settle()
    assert (scene.order["order_status"], scene.order["payment_status"]) == ("COMPLETED", "CAPTURED")
    check_at_rest(scene)


def test_the_same_reply_20_times_at_once_takes_effect_once(stage: Stage) -> None:
    scene = stage.scene(pool=1)
    accept()(scene)
    scene.answer_next()
    record = scene.work(scene.unworked()[0])
    assert record
    assert at_once([on(scene, lambda view: view.take(record.again()))] * 20) == [None] * 20
    scene.publish()
    assert scene.order["order_status"] == "ACCEPTED"
    check_at_rest(scene)
