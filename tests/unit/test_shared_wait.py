"""One look for all requests that wait: when it comes, who does it, and that nobody waits longer than he asked for."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest

from chalicelib.operations.shared_wait import (
    FIRST_GUESS,
    LATEST_FIRST_LOOK,
    LONGEST_GUESS,
    LONGEST_PAUSE,
    SHORTEST_PAUSE,
    SLOWNESS,
    SharedWait,
)
from chalicelib.sagas.create_order import CREATE_ORDER
from chalicelib.sagas.queries import SagaWithOrder
from chalicelib.sagas.state import Saga, SagaStatus
from tests.support.examples import NOW, a_saga, an_order
from tests.support.virtual_time import VirtualTime


def saga(number: int) -> Saga:
    return replace(a_saga(CREATE_ORDER), saga_id=UUID(int=number))


class World:
    """Sagas that come to rest at given times, and the looks at them."""

    def __init__(self, ends: dict[int, float], status: SagaStatus = SagaStatus.COMPLETED) -> None:
        self.time = VirtualTime()
        self.ends = ends
        self.begins: dict[int, float] = {}
        self.status = status
        self.looks: list[tuple[float, set[int]]] = []
        self.away: tuple[float, float] = (0, 0)
        self.shared_wait = SharedWait(self.look, self.time.clock, self.time.pause)

    def look(self, saga_ids: Iterable[UUID]) -> list[SagaWithOrder]:
        numbers = {saga_id.int for saga_id in saga_ids}
        self.looks.append((self.time.now, numbers))
        if self.away[0] <= self.time.now < self.away[1]:
            raise OSError("the database is away")
        return [SagaWithOrder(self.rested(each), an_order()) for each in numbers if self.ends.get(each, 1e9) <= self.time.now]

    def rested(self, number: int) -> Saga:
        took = timedelta(seconds=self.ends[number] - self.begins[number])
        return replace(saga(number), status=self.status, started_at=NOW, ended_at=NOW + took)

    def waits(self, number: int, at: float, seconds: float = 20) -> Any:
        """A request for the saga of that number, which returns when it was answered and with which."""
        self.begins[number] = at

        def wait() -> tuple[float, int | None]:
            seen = self.shared_wait.wait(saga(number), at, at + seconds)
            return self.time.now, seen.saga.saga_id.int if seen else None

        return at, wait


@pytest.mark.parametrize("end", [SagaStatus.COMPLETED, SagaStatus.COMPENSATED, SagaStatus.FAILED])
def test_waiting_ends_soon_after_the_saga_rests(end: SagaStatus) -> None:
    world = World({1: 0.5}, end)
    [(answered, seen)] = world.time.run(world.waits(1, 0))
    assert seen == 1
    assert 0.5 <= answered <= 0.5 * 1.1


def test_nobody_looks_right_after_the_request_and_the_pauses_grow() -> None:
    world = World({})
    [(answered, seen)] = world.time.run(world.waits(1, 0))
    looks = [at for at, _ in world.looks]
    pauses = [later - earlier for earlier, later in pairwise(looks)]
    assert (answered, seen) == (20, None)
    assert looks[0] == FIRST_GUESS
    assert pauses[0] == pytest.approx(SHORTEST_PAUSE)
    assert pauses == sorted(pauses, key=lambda pause: round(pause, 6))
    assert max(pauses) <= LONGEST_PAUSE + 1e-9
    assert len(looks) < 200


def test_one_look_is_for_all_who_wait() -> None:
    ends = {number: 0.4 + number / 1000 for number in range(1, 31)}
    world = World(ends)
    results = world.time.run(*(world.waits(number, number / 1000) for number in ends))
    assert [seen for _, seen in results] == list(ends)
    assert all(ends[seen] <= answered <= 1.1 * ends[seen] for answered, seen in results)
    assert world.looks[0][1] != {1}
    assert len(world.looks) < 60


def test_the_first_look_comes_when_a_saga_of_that_name_has_usually_come_to_rest() -> None:
    world = World({number: 10 * number + 0.12 for number in range(1, 60)} | {60: 600.11})
    for number in range(1, 60):
        world.time.run(world.waits(number, 10 * number))
    world.looks.clear()
    [(answered, _)] = world.time.run(world.waits(60, 600))
    assert [at for at, _ in world.looks] == [pytest.approx(600.12, abs=0.01)]
    assert answered == pytest.approx(600.12, abs=0.01)


def test_the_first_saga_of_a_process_which_is_slow_delays_the_next_hardly() -> None:
    world = World({1: 0.5, 2: 10.03})
    world.time.run(world.waits(1, 0))
    [(answered, _)] = world.time.run(world.waits(2, 10))
    assert answered <= 10 + FIRST_GUESS + 0.5 * SLOWNESS


def test_the_first_after_a_rush_waits_a_moment_at_most() -> None:
    world = World({number: 20 * number + 1 for number in range(1, 61)} | {61: 1220.03})
    for number in range(1, 61):
        world.time.run(world.waits(number, 20 * number))
    [(answered, _)] = world.time.run(world.waits(61, 1220))
    assert answered == pytest.approx(1220 + LATEST_FIRST_LOOK)


def test_a_saga_that_took_very_long_delays_nobody_for_long() -> None:
    world = World({1: -300.0, 2: 10.05, 3: 20.05})
    joined = world.waits(1, 0)
    world.begins[1] = -900
    world.time.run(joined)
    [(answered, _)] = world.time.run(world.waits(2, 10))
    assert answered <= 10.05 + LONGEST_GUESS * SLOWNESS
    [(answered, _)] = world.time.run(world.waits(3, 20))
    assert answered == pytest.approx(20.05, abs=0.01)


def test_who_comes_while_the_leader_rests_for_long_is_not_kept_waiting() -> None:
    world = World({2: 15.05})
    _, (answered, seen) = world.time.run(world.waits(1, 0), world.waits(2, 15))
    assert seen == 2
    assert 15.05 <= answered <= 15.06


def test_a_leader_who_is_served_hands_over() -> None:
    world = World({1: 0.1, 2: 0.5, 3: 0.7})
    results = world.time.run(*(world.waits(number, 0) for number in (1, 2, 3)))
    assert [seen for _, seen in results] == [1, 2, 3]
    assert all(answered <= 1.1 * world.ends[seen] for answered, seen in results)


def test_a_leader_whose_time_is_over_hands_over() -> None:
    world = World({2: 2.0})
    results = world.time.run(world.waits(1, 0, seconds=1), world.waits(2, 0))
    assert results[0] == (1, None)
    assert results[1] == (pytest.approx(2.0, abs=LONGEST_PAUSE), 2)


def test_nobody_waits_beyond_his_own_time_whoever_leads() -> None:
    world = World({})
    results = world.time.run(*(world.waits(number, 0, seconds) for number, seconds in enumerate((3, 0.001, 1, 2.5), 1)))
    assert [answered for answered, _ in results] == [3, 0.001, 1, 2.5]


def test_waiting_no_time_takes_no_look() -> None:
    world = World({1: 0})
    assert world.time.run(world.waits(1, 0, seconds=0)) == [(0, None)]
    assert world.looks == []


def test_two_requests_for_one_saga_are_both_served() -> None:
    world = World({1: 0.1})
    assert [seen for _, seen in world.time.run(world.waits(1, 0), world.waits(1, 0))] == [1, 1]


def test_who_was_served_is_asked_for_no_more() -> None:
    world = World({1: 0.1, 2: 0.5})
    world.time.run(world.waits(1, 0), world.waits(2, 0))
    later = [numbers for at, numbers in world.looks if at > 0.12]
    assert later == [{2}] * len(later) != []


def test_an_error_of_a_look_reaches_all_whom_it_was_for_and_nobody_who_comes_later() -> None:
    world = World({number: 1.05 for number in (1, 2, 3)})
    world.away = (0.5, 0.9)
    first, second, third = world.time.run(world.waits(1, 0), world.waits(2, 0), world.waits(3, 1))
    assert isinstance(first, OSError)
    assert second is first
    assert third == (pytest.approx(1.05, abs=0.01), 3)
