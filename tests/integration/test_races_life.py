"""Races along an order's life, in every interleaving of their transactions: creation, giving back, moving on, completing, expiry."""

from collections.abc import Callable, Iterable, Sequence

import pytest

from chalicelib.errors import Forbidden, HeldBySaga, NotFound, Taken, WrongStatus
from chalicelib.orders.access import Viewer
from chalicelib.orders.order import OrderStatus
from tests.support.interleaving import (
    ADMIN,
    Move,
    Race,
    Side,
    accept,
    acceptance_timeout,
    cancel,
    check_books,
    complete,
    created,
    every_interleaving,
    expire,
    give_back,
    patch,
    time_out,
)
from tests.support.scene import RUNNER, Scene, Stage

REFUSED = (HeldBySaga, WrongStatus, Taken)


def runs(stage: Stage, status: str, sides: dict[str, Sequence[Move]], *, unwilling: Iterable[str] = ()) -> list[Race]:
    """All runs between these sides on orders in that status, each settled and its books checked."""

    def begin() -> Race:
        scene = stage.scene(status)
        scene.unwilling.update(unwilling)
        return Race(scene, [Side(name, moves) for name, moves in sides.items()])

    run = []
    for race in every_interleaving(begin):
        race.scene.settle()
        check_books(race)
        run.append(race)
    return run


def statuses(race: Race) -> tuple[str, str]:
    return race.scene.order["order_status"], race.scene.order["payment_status"]


CREATION = {"none": [], "validate": ["user.validate_customer"], "authorize": ["payment.authorize"], "hold": ["escrow.hold"]}


@pytest.mark.parametrize("unwilling", CREATION.values(), ids=CREATION.keys())
def test_a_cancel_at_any_step_of_the_creation_ends_it_and_gives_the_money_back(shared_stage: Stage, unwilling: list[str]) -> None:
    seen = set()
    for race in runs(shared_stage, "NEW", {"creation": [created], "customer": [cancel(reason="changed my mind")]}, unwilling=unwilling):
        assert statuses(race)[0] == "CANCELLED", race
        assert race.side("customer").refused is None, race
        reason, saga = race.scene.order["cancel_reason"], race.scene.sagas()[-1]
        compensating = saga["name"] == "create_order" and saga["error"]["code"] == "cancelled"
        if compensating or saga["name"] == "cancel_order":
            assert reason == "changed my mind", race
        seen.add((saga["name"], statuses(race)[1]))
    # Cancelled before anything was authorized, between, and by a saga of its own once the order was open.
    assert ("create_order", "FAILED") in seen
    assert (("cancel_order", "RELEASED") in seen) == (unwilling == [])


@pytest.mark.parametrize("unwilling", CREATION.values(), ids=CREATION.keys())
def test_an_expiry_at_any_step_of_the_creation_cancels_the_order(shared_stage: Stage, unwilling: list[str]) -> None:
    for race in runs(shared_stage, "NEW", {"creation": [created], "bank": [expire]}, unwilling=unwilling):
        assert statuses(race)[0] == "CANCELLED", race
        details = [entry["detail"] for entry in race.scene.history()]
        expired = sum(detail.get("cause") == "payment.authorization_expired" for detail in details)
        # Once the payment has failed or was released, an expiry is no news.
        assert expired == 1 or unwilling, race


def test_cancel_and_expiry_during_the_creation_together_compensate_it_once(shared_stage: Stage) -> None:
    for race in runs(shared_stage, "NEW", {"creation": [created], "customer": [cancel()], "bank": [expire]}):
        assert statuses(race)[0] == "CANCELLED", race
        undone = [
            step["name"] for saga in race.scene.sagas() for step in saga["steps"] if len([one for one in step["tries"] if one["undo"]]) > 1
        ]
        assert undone == [], race


def test_the_late_replies_of_an_acceptance_that_a_time_out_undid_do_not_touch_the_next_runner(shared_stage: Stage) -> None:
    """The first runner is assigned, but the reply stays away until any later moment; a time-out undoes it; another runner asks."""

    def begin() -> Race:
        scene = shared_stage.scene()
        Side("runner_1", [accept("runner_1")]).step(scene)
        first = scene.holder["saga_id"]
        scene.answer_next(first)
        assigned = scene.work(scene.unworked(first)[0])
        assert assigned
        scene.spend_attempts()
        passes, read, act = time_out()
        undoing = Side("time-out", [lambda scene: passes(scene) or read(scene), act, lambda _scene: first])
        return Race(scene, [undoing, Side("late reply", [lambda scene: scene.take(assigned)]), Side("runner_2", [accept("runner_2")])])

    fates = set()
    for race in every_interleaving(begin):
        race.scene.settle()
        check_books(race)
        undone = [saga for saga in race.scene.sagas() if saga["status"] == "COMPENSATED"]
        second = race.side("runner_2").refused is None
        # The reply counts if it came before the sweep acted; the second runner if they asked after all was undone.
        expected = "runner_2" if second else None if undone else "runner_1"
        assert not second or undone, race
        assert (race.scene.order["order_status"], race.scene.order["runner_id"]) == (
            "ACCEPTED" if expected else "READY_FOR_PICKUP",
            expected,
        ), race
        fates.add(expected)
    assert fates == {"runner_1", "runner_2", None}


def test_a_reply_that_comes_before_the_sweep_acts_is_not_taken_for_a_time_out(shared_stage: Stage) -> None:
    """All copies are spent, and the sweep has perhaps looked already; after the reply it is another command that is awaited."""

    def begin() -> Race:
        scene = shared_stage.scene("NEW")
        scene.publish()
        scene.answer_next()
        authorized = scene.work(scene.unworked()[0])
        assert authorized
        scene.spend_attempts()
        return Race(scene, [Side("time-out", time_out()), Side("reply", [lambda scene: scene.take(authorized)])])

    ends = set()
    for race in every_interleaving(begin):
        race.scene.settle()
        check_books(race)
        in_time = race.path[-1] == "time-out"
        expected = ("READY_FOR_PICKUP", "AUTHORIZED") if in_time else ("CANCELLED", "FAILED")
        assert statuses(race) == expected, race
        ends.add(in_time)
    assert ends == {True, False}


def test_two_sweeps_send_one_copy(shared_stage: Stage) -> None:
    def begin() -> Race:
        scene = shared_stage.scene("NEW")
        scene.publish()
        scene.make_due()
        return Race(scene, [Side(name, time_out()[1:]) for name in ("one", "other")])

    for race in every_interleaving(begin):
        [saga] = race.scene.sagas()
        assert saga["pending"]["attempts"] == 2, race
        assert [message.type for message in race.scene.sent].count("user.validate_customer") == 2, race


def test_of_giving_back_and_collecting_one_wins(shared_stage: Stage) -> None:
    for race in runs(shared_stage, "ACCEPTED", {"back": [give_back()], "on": [patch(OrderStatus.COLLECTED)]}):
        back = race.side("back").refused is None
        assert statuses(race)[0] == ("READY_FOR_PICKUP" if back else "COLLECTED"), race
        [refused] = [side.refused for side in race.sides if side.refused]
        # Once given back, the order is no longer the runner's to change.
        assert isinstance(refused, (*REFUSED, Forbidden)), race


def test_an_order_given_back_may_be_taken_at_once_and_the_old_runner_does_not_come_between(shared_stage: Stage) -> None:
    for race in runs(shared_stage, "ACCEPTED", {"back": [give_back()], "runner_2": [accept("runner_2")]}):
        second = race.side("runner_2").refused is None
        expected = ("ACCEPTED", "runner_2") if second else ("READY_FOR_PICKUP", None)
        assert (race.scene.order["order_status"], race.scene.order["runner_id"]) == expected, race


def test_an_order_given_back_has_a_new_time_limit_so_that_no_old_timeout_ends_it(shared_stage: Stage) -> None:
    for race in runs(shared_stage, "ACCEPTED", {"back": [give_back()], "clock": acceptance_timeout()}):
        late_again = race.path.index("clock") > max(number for number, name in enumerate(race.path) if name == "back")
        assert statuses(race)[0] == ("TIMED_OUT" if late_again else "READY_FOR_PICKUP"), race


def test_of_giving_back_and_cancelling_one_goes_first_and_the_other_is_held_off_or_follows(shared_stage: Stage) -> None:
    for race in runs(shared_stage, "ACCEPTED", {"back": [give_back()], "customer": [cancel()]}):
        cancelled = race.side("customer").refused is None
        assert statuses(race)[0] == ("CANCELLED" if cancelled else "READY_FOR_PICKUP"), race
        for side in race.sides:
            assert side.refused is None or isinstance(side.refused, REFUSED), race


def test_completing_twice_pays_once(shared_stage: Stage) -> None:
    for race in runs(shared_stage, "DELIVERED", {"customer": [complete()], "runner": [complete(ADMIN)]}):
        assert statuses(race) == ("COMPLETED", "CAPTURED"), race
        assert race.winners == ["customer", "runner"], race
        assert [saga["name"] for saga in race.scene.sagas()].count("complete_order") == 1, race


def test_of_completing_and_cancelling_a_delivered_order_one_wins(shared_stage: Stage) -> None:
    for race in runs(shared_stage, "DELIVERED", {"customer": [complete()], "admin": [cancel(ADMIN, "never came")]}):
        completed = race.side("customer").refused is None
        assert statuses(race) == (("COMPLETED", "CAPTURED") if completed else ("CANCELLED", "RELEASED")), race
        assert len(race.winners) == 1, race


def moves_on(*to: str) -> list[Move]:
    return [patch(OrderStatus(status)) for status in to]


EXPIRIES: dict[str, tuple[str, Callable[[], Sequence[Move]]]] = {
    "giving back": ("ACCEPTED", lambda: [give_back()]),
    "cancelling": ("ACCEPTED", lambda: [cancel()]),
    "timing out": ("READY_FOR_PICKUP", acceptance_timeout),
}


@pytest.mark.parametrize(("status", "other"), EXPIRIES.values(), ids=EXPIRIES.keys())
def test_an_expiry_before_collection_cancels_the_order_whatever_else_happens_to_it(
    shared_stage: Stage, status: str, other: Callable[[], Sequence[Move]]
) -> None:
    def begin() -> Race:
        return Race(shared_stage.scene(status), [Side("bank", [expire]), Side("other", other())])

    for race in every_interleaving(begin):
        race.scene.settle()
        check_books(race)
        assert statuses(race)[0] in ("CANCELLED", "TIMED_OUT"), race
        assert statuses(race)[1] == "RELEASED", race
        assert [saga["name"] for saga in race.scene.sagas()].count("cancel_order") == 1, race


def test_an_expiry_and_the_collection_of_the_food_leave_either_a_cancelled_order_or_one_for_the_operator(shared_stage: Stage) -> None:
    for race in every_interleaving(
        lambda: Race(shared_stage.scene("ACCEPTED"), [Side("bank", [expire]), Side("runner", moves_on("COLLECTED"))])
    ):
        race.scene.settle()
        letters = race.scene.dead_letters()
        collected = race.side("runner").refused is None
        assert statuses(race) == (("COLLECTED", "AUTHORIZED") if collected else ("CANCELLED", "RELEASED")), race
        assert [letter["error_class"] for letter in letters] == (["AuthorizationExpired"] if collected else []), race


def test_an_expiry_during_a_completion_leaves_an_entry_and_a_dead_letter_until_the_payment_is_captured(shared_stage: Stage) -> None:
    seen = set()
    for race in every_interleaving(lambda: Race(shared_stage.scene("DELIVERED"), [Side("bank", [expire]), Side("customer", [complete()])])):
        race.scene.settle()
        letters = race.scene.dead_letters()
        captured = statuses(race) == ("COMPLETED", "CAPTURED")
        assert len(letters) == (0 if captured else 1), race
        assert captured or statuses(race) == ("DELIVERED", "AUTHORIZED"), race
        seen.add(captured)
    assert seen == {True, False}


def test_nobody_but_its_people_and_admins_may_cancel_complete_or_give_back(shared_stage: Stage) -> None:
    stranger, other_runner = Viewer("cust_2", frozenset({"customer"})), Viewer("runner_9", frozenset({"runner"}))
    attempts: list[Move] = [cancel(stranger), complete(stranger), give_back(other_runner), patch(OrderStatus.COLLECTED, other_runner)]
    for attempt in attempts:
        scene: Scene = shared_stage.scene("ACCEPTED")
        side = Side("stranger", [attempt])
        side.step(scene)
        assert isinstance(side.refused, (NotFound, Forbidden))
        assert scene.order["runner_id"] == RUNNER
