"""Races for an open order, in every interleaving of their transactions: one wins, and the losers leave no trace."""

from collections.abc import Callable, Sequence

import pytest

from chalicelib.errors import HeldBySaga, Taken, TooLate, WrongStatus
from tests.support.interleaving import (
    Race,
    Side,
    accept,
    acceptance_timeout,
    cancel,
    check_books,
    every_interleaving,
    expire,
)
from tests.support.scene import Stage

# What the partners refuse first, and with that which fate the first saga has.
UNWILLING = {"willing partners": [], "a runner rejected": ["user.validate_runner"], "an assignment refused": ["escrow.assign_runner"]}


def races(stage: Stage, unwilling: Sequence[str], *sides: Callable[[], Side]) -> Sequence[Race]:
    """All runs between these sides, each settled and its books checked."""

    def begin() -> Race:
        scene = stage.scene()
        scene.unwilling.update(unwilling)
        return Race(scene, [side() for side in sides])

    run = []
    for race in every_interleaving(begin):
        race.scene.settle()
        check_books(race)
        run.append(race)
    return run


def takes(runner_id: str) -> Callable[[], Side]:
    return lambda: Side(runner_id, [accept(runner_id)])


def times_out() -> Side:
    return Side("clock", acceptance_timeout())


def calls_off() -> Side:
    return Side("customer", [cancel(reason="too long")])


@pytest.mark.parametrize("unwilling", UNWILLING.values(), ids=UNWILLING.keys())
def test_of_two_runners_one_has_the_order_and_the_other_hears_that_it_is_taken(shared_stage: Stage, unwilling: list[str]) -> None:
    runs = races(shared_stage, unwilling, takes("runner_1"), takes("runner_2"))
    assert len(runs) >= 4
    for race in runs:
        order = race.scene.order
        if len(race.winners) == 1:
            [loser] = [side for side in race.sides if side.refused]
            assert isinstance(loser.refused, Taken), race
            has_it = None if unwilling else race.winners[0]
        else:
            # The first saga was refused and undone before the second runner asked.
            has_it = race.path[-1]
        expected = ("ACCEPTED", has_it) if has_it else ("READY_FOR_PICKUP", None)
        assert (order["order_status"], order["runner_id"]) == expected, race


@pytest.mark.parametrize("unwilling", UNWILLING.values(), ids=UNWILLING.keys())
def test_an_accept_reserved_in_time_is_confirmed_later_and_a_late_one_finds_the_order_timed_out(
    shared_stage: Stage, unwilling: list[str]
) -> None:
    runs = races(shared_stage, unwilling, takes("runner_1"), times_out)
    for race in runs:
        order, refused = race.scene.order, race.side("runner_1").refused
        if refused:
            assert isinstance(refused, (TooLate, HeldBySaga, WrongStatus)), race
        accepted = refused is None and not unwilling
        cancelled = "cancel_order" in {saga["name"] for saga in race.scene.sagas()}
        assert cancelled == (order["order_status"] == "TIMED_OUT"), race
        # An accept undone after its time is due at once; here the sweep had looked before, so that the next one will find it.
        assert order["order_status"] in (["ACCEPTED"] if accepted else ["TIMED_OUT", "READY_FOR_PICKUP"]), race
        assert order["runner_id"] == ("runner_1" if accepted else None), race
    assert {race.scene.order["order_status"] for race in runs} >= {"TIMED_OUT"}


@pytest.mark.parametrize("unwilling", UNWILLING.values(), ids=UNWILLING.keys())
def test_a_customer_who_cancels_while_a_runner_accepts_is_refused_and_the_other_way_round(
    shared_stage: Stage, unwilling: list[str]
) -> None:
    for race in races(shared_stage, unwilling, takes("runner_1"), calls_off):
        order = race.scene.order
        refused = {side.name: type(side.refused) for side in race.sides if side.refused}
        expected: tuple[str, str | None]
        if refused == {"customer": HeldBySaga}:
            expected = ("READY_FOR_PICKUP", None) if unwilling else ("ACCEPTED", "runner_1")
        elif race.path.index("customer") < race.path.index("runner_1"):
            assert set(refused.values()) <= {HeldBySaga, WrongStatus}, race
            assert list(refused) == ["runner_1"], race
            expected = ("CANCELLED", None)
        else:
            assert refused == {}, race
            expected = ("CANCELLED", None if unwilling else "runner_1")
        assert (order["order_status"], order["runner_id"]) == expected, race


def test_a_customer_who_cancels_while_the_clock_does_joins_it(shared_stage: Stage) -> None:
    for race in races(shared_stage, [], calls_off, times_out):
        [cancelling] = [saga for saga in race.scene.sagas() if saga["name"] == "cancel_order"]
        status = race.scene.order["order_status"]
        assert race.side("customer").refused is None, race
        assert status == ("CANCELLED" if race.side("customer").saga_id == cancelling["saga_id"] else "TIMED_OUT"), race


@pytest.mark.parametrize("unwilling", UNWILLING.values(), ids=UNWILLING.keys())
def test_an_authorization_that_expires_during_an_accept_cancels_the_order_when_the_accept_has_ended(
    shared_stage: Stage, unwilling: list[str]
) -> None:
    for race in races(shared_stage, unwilling, takes("runner_1"), lambda: Side("bank", [expire])):
        order, names = race.scene.order, [saga["name"] for saga in race.scene.sagas()]
        assert (order["order_status"], order["payment_status"]) == ("CANCELLED", "RELEASED"), race
        assert names.count("cancel_order") == 1, race
