"""The clock's two sweeps over orders: nobody accepted in time, nobody completed."""

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from chalicelib.db.pages import first_page
from chalicelib.errors import TooLate
from chalicelib.ids import new_id_source
from chalicelib.messaging.outbox import Written
from chalicelib.operations.sweep import MOST_AT_ONCE, Job, Sweeper, UnacceptedOrders, UncompletedOrders
from chalicelib.orders.due import read_unaccepted
from chalicelib.orders.order import OrderStatus
from chalicelib.orders.timeouts import Timeouts
from chalicelib.sagas.engine import UnitOfWork
from tests.support.database import World
from tests.support.interleaving import accept, cancel, check_at_rest, complete, falls_silent, give_back, is_late, patch, runner
from tests.support.scene import Scene, Stage


def sweep(scene: Scene, most_at_once: int = MOST_AT_ONCE) -> set[UUID]:
    """What the clock's function does; the orders that it had something published for."""
    published: list[Written] = []
    Sweeper(scene.world.database, scene.world.rules, published.extend, new_id_source, most_at_once).sweep()
    scene.publish()
    return orders_of(published)


def orders_of(written: Iterable[Written]) -> set[UUID]:
    return {row.ordering_key for each in written for rows in each.rows() for row in rows}


def test_an_open_order_times_out_and_its_customer_is_told_why(stage: Stage) -> None:
    scene = stage.scene(pool=3)
    assert sweep(scene) == set()
    is_late(scene)
    assert sweep(scene) == {scene.order_id}
    assert (scene.order["order_status"], scene.order["active_saga_id"]) == ("READY_FOR_PICKUP", scene.saga("cancel_order")["saga_id"])
    assert sweep(scene) == set(), "the order is held, and its commands are not due"
    scene.settle()
    order = scene.order
    assert (order["order_status"], order["payment_status"], order["cancelled_at"]) == ("TIMED_OUT", "RELEASED", None)
    assert order["cancel_reason"] == "nobody accepted the order in time"
    assert [message.data["notificationType"] for message in scene.sent if message.type == "notification.send"] == ["ORDER_TIMED_OUT"]
    assert {entry["actor"] for entry in scene.history()[4:]} == {"system", "partner:payment"}
    check_at_rest(scene)


def test_in_the_last_moment_an_order_can_be_accepted_and_from_then_on_not(stage: Stage) -> None:
    in_time, too_late = stage.scene(pool=2), stage.scene()
    accept()(in_time)
    is_late(in_time)
    is_late(too_late)
    with pytest.raises(TooLate):
        accept()(too_late)
    assert sweep(in_time) == {too_late.order_id}
    in_time.settle()
    assert (in_time.order["order_status"], in_time.order["runner_id"]) == ("ACCEPTED", "runner_1")


@pytest.mark.parametrize("how", ["rejected", "silent"])
def test_an_accept_undone_after_its_time_leaves_the_order_due_at_once(stage: Stage, how: str) -> None:
    scene = stage.scene(pool=1)
    accept_by = scene.order["accept_by"]
    accept()(scene)
    if how == "silent":
        falls_silent(scene)
    else:
        scene.unwilling["user.validate_runner"] = 1
        scene.answer_next()
    assert (scene.order["runner_id"], scene.order["accept_by"]) == (None, accept_by), "the time limit is the old one"
    is_late(scene)
    assert sweep(scene) == {scene.order_id}
    scene.settle()
    assert scene.order["order_status"] == "TIMED_OUT"
    check_at_rest(scene)


def test_held_orders_are_left_alone_however_late(stage: Stage) -> None:
    held = [stage.scene(pool=3) for _ in range(2)]
    accept()(held[0])
    cancel()(held[1])
    back = stage.scene("ACCEPTED", pool=1)
    give_back()(back)
    for scene in (*held, back):
        is_late(scene)
    with stage.world.engine.begin() as session:
        assert read_unaccepted(session, first_page(session, 10)) == []
    assert sweep(back) == set()
    back.settle()
    assert back.order["order_status"] == "READY_FOR_PICKUP", "an order given back has a new time limit"


def test_a_time_limit_that_was_renewed_after_the_sweep_looked_is_not_taken_for_the_old_one(stage: Stage) -> None:
    scene = stage.scene(pool=1)
    is_late(scene)
    job = UnacceptedOrders()
    with stage.world.engine.begin() as session:
        due = job.read(session, stage.world.rules, first_page(session, 10))
    stage.rows("UPDATE campusg.orders SET accept_by = clock_timestamp() + interval '5 minutes'")
    state = scene.state()
    with stage.world.engine.begin() as session:
        written = job.do(session, stage.world.rules, [(each, new_id_source()) for each in due])
    assert orders_of(written) == set()
    assert scene.state() == state


def test_many_orders_time_out_in_one_sweep(stage: Stage) -> None:
    scenes = [stage.scene(pool=60) for _ in range(60)]
    for scene in scenes:
        is_late(scene)
    assert sweep(scenes[0]) == {scene.order_id for scene in scenes}
    started = stage.rows("SELECT count(DISTINCT order_id) AS orders, count(*) AS sagas FROM campusg.sagas WHERE name = 'cancel_order'")
    assert started == [{"orders": 60, "sagas": 60}]


def patient(stage: Stage, scene: Scene, seconds: float) -> None:
    """Let the order have been as it is for that many seconds."""
    stage.rows(
        "UPDATE campusg.orders SET updated_at = clock_timestamp() - make_interval(secs => :seconds) WHERE order_id = :id",
        seconds=seconds,
        id=scene.order_id,
    )


def test_a_delivered_order_that_nobody_completes_is_completed_by_the_clock(stage: Stage) -> None:
    scene = stage.scene("DELIVERED", pool=2)
    patience = stage.world.rules.timeouts.complete.total_seconds()
    patient(stage, scene, patience - 60)
    assert sweep(scene) == set()
    patient(stage, scene, patience + 1)
    assert sweep(scene) == {scene.order_id}
    assert [entry["actor"] for entry in scene.history()][-1] == "system"
    scene.settle()
    assert (scene.order["order_status"], scene.order["payment_status"]) == ("COMPLETED", "CAPTURED")
    check_at_rest(scene)


def test_a_completion_by_the_clock_that_was_undone_is_tried_again_only_after_the_same_time(stage: Stage) -> None:
    scene = stage.scene("DELIVERED", pool=1)
    patient(stage, scene, stage.world.rules.timeouts.complete.total_seconds() + 1)
    sweep(scene)
    scene.unwilling["user.validate_runner"] = 1
    scene.settle()
    assert (scene.order["order_status"], scene.order["active_saga_id"]) == ("DELIVERED", None)
    assert sweep(scene) == set()
    patient(stage, scene, stage.world.rules.timeouts.complete.total_seconds() + 1)
    assert sweep(scene) == {scene.order_id}


@pytest.mark.breaks_invariants("an order's last change is set back")
def test_an_order_that_is_being_completed_or_cancelled_is_left_alone_by_the_clock(stage: Stage) -> None:
    scenes = [stage.scene("DELIVERED", pool=3) for _ in range(2)]
    complete()(scenes[0])
    complete()(scenes[1])
    scenes[1].settle()
    for scene in scenes:
        patient(stage, scene, stage.world.rules.timeouts.complete.total_seconds() + 1)
    assert sweep(scenes[0]) == set()


def test_orders_on_their_way_wait_for_their_runner_without_end(world: World) -> None:
    rules = replace(world.rules, timeouts=Timeouts(world.rules.timeouts.accept, timedelta(microseconds=1)))
    with closing(Stage(replace(world, rules=rules))) as stage:
        scene = stage.scene("ON_THE_WAY", pool=1)
        assert sweep(scene) == set()
        patch(OrderStatus.DELIVERED, runner())(scene)
        assert sweep(scene) == {scene.order_id}


class Spoiled:
    """A bug: no saga can be started for these orders. `tried` are those for which it was tried alone."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, orders: Sequence[Scene]) -> None:
        self.orders = {scene.order_id for scene in orders}
        self.tried: list[UUID] = []
        start = UnitOfWork.start

        def fail_or_start(batch: UnitOfWork, definition: Any, order: Any, *arguments: Any) -> Any:
            if order.order_id not in self.orders:
                return start(batch, definition, order, *arguments)
            if len(batch.orders) == 1:
                self.tried.append(order.order_id)
            raise ZeroDivisionError("a bug")

        monkeypatch.setattr(UnitOfWork, "start", fail_or_start)


def setbacks(stage: Stage) -> list[int]:
    """How often each of the orders that failed was set back."""
    return [row["setbacks"] for row in stage.rows("SELECT setbacks FROM campusg.order_setbacks")]


def put_off_until(stage: Stage) -> datetime:
    """Until when the order that failed last is left alone."""
    [row] = stage.rows("SELECT max(put_off_until) AS until FROM campusg.order_setbacks")
    until: datetime = row["until"]
    return until


def let_pauses_pass(stage: Stage) -> None:
    stage.rows("UPDATE campusg.order_setbacks SET put_off_until = clock_timestamp()")


@pytest.mark.parametrize("status", ["READY_FOR_PICKUP", "DELIVERED"])
def test_orders_that_fail_alone_step_back_further_each_time_and_go_on_once_mended(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    """More of them than a batch holds, and all due for longer than the sound one."""
    scenes = [stage.scene(status, pool=5) for _ in range(5)]
    for scene in scenes:
        is_late(scene)
        patient(stage, scene, stage.world.rules.timeouts.complete.total_seconds() + 1)
    sound = scenes[-1]
    spoiled = Spoiled(monkeypatch, scenes[:-1])
    states = [scene.state() for scene in scenes[:-1]]
    begun = stage.world.now()
    assert sweep(sound, 2) == {sound.order_id}
    for time, pause in ((1, 1), (2, 2), (3, 4)):
        assert sorted(spoiled.tried) == sorted(spoiled.orders)
        assert setbacks(stage) == [time] * 4
        assert begun <= put_off_until(stage) - timedelta(seconds=pause) <= stage.world.now()
        spoiled.tried.clear()
        let_pauses_pass(stage)
        begun = stage.world.now()
        assert sweep(sound, 2) == set()
    assert [scene.state() for scene in scenes[:-1]] == states
    mended = set(spoiled.orders)
    spoiled.orders.clear()
    assert sweep(sound, 2) == set()
    let_pauses_pass(stage)
    assert sweep(sound, 2) == mended


@pytest.mark.breaks_invariants("orders' last changes are set back")
@pytest.mark.parametrize(("status", "job"), [("READY_FOR_PICKUP", UnacceptedOrders()), ("DELIVERED", UncompletedOrders())])
def test_an_order_whose_pause_is_over_comes_after_those_that_fell_due_meanwhile(stage: Stage, status: str, job: Job) -> None:
    failed, other = (stage.scene(status, pool=2) for _ in range(2))
    for scene in (failed, other):
        is_late(scene)
        patient(stage, scene, stage.world.rules.timeouts.complete.total_seconds() + 1)
    found = []
    for _ in range(2):
        with stage.world.engine.begin() as session:
            [due] = job.read(session, stage.world.rules, first_page(session, 1))
            job.put_off(session, due, counted=True)
        let_pauses_pass(stage)
        found.append(due.order_id)
    assert found == [failed.order_id, other.order_id]


def test_an_order_that_was_put_off_is_due_at_once_when_it_has_changed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = stage.scene(pool=1)
    is_late(scene)
    spoiled = Spoiled(monkeypatch, [scene])
    sweep(scene)
    stage.rows("UPDATE campusg.order_setbacks SET put_off_until = clock_timestamp() + interval '5 minutes'")
    spoiled.orders.clear()
    assert sweep(scene) == set()
    stage.rows("UPDATE campusg.orders SET accept_by = clock_timestamp() + interval '5 minutes'")
    accept()(scene)
    scene.unwilling["user.validate_runner"] = 1
    scene.answer_next()
    is_late(scene)
    assert sweep(scene) == {scene.order_id}


def test_setbacks_of_an_order_that_went_on_are_forgotten_after_an_hour(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    went_on, fails = (stage.scene(pool=2) for _ in range(2))
    for scene in (went_on, fails):
        is_late(scene)
    spoiled = Spoiled(monkeypatch, [went_on, fails])
    sweep(fails)
    spoiled.orders.remove(went_on.order_id)
    cancel()(went_on)
    stage.rows("UPDATE campusg.order_setbacks SET put_off_until = clock_timestamp() - interval '1 hour'")
    sweep(fails)
    assert stage.rows("SELECT order_id FROM campusg.order_setbacks") == [{"order_id": fails.order_id}]
