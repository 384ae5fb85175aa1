"""Samples: what happened in a minute, read from the orders and sagas of that minute and those that were open before it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from chalicelib.db.lists import first_id_of
from chalicelib.ids import new_id
from chalicelib.messages.envelope import timestamp
from chalicelib.operations import samples
from chalicelib.operations.samples import MINUTE, SETTLED, Measured, take_samples
from infra.stack.clock import scheduled_event
from tests.integration.conftest import Context, Service
from tests.support.database import World
from tests.support.fates import Fates, fates

SECOND = timedelta(seconds=1)
# A minute of the tests, and when it is sampled.
EIGHT = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
QUIET = Measured(0.0, 0, 0)
broken = pytest.mark.breaks_invariants("rows stand for sagas that were never run")


@pytest.fixture
def told(brokerless: Service, database_url: str, tmp_path: Path) -> Iterator[Fates]:
    with fates(brokerless, database_url, tmp_path) as fate:
        yield fate


@pytest.fixture
def minutes(world: World) -> World:
    """Empty tables, and the minute before EIGHT was sampled."""
    assert sample(world, EIGHT) == 1
    return world


def sample(world: World, over: datetime, measured: Measured = QUIET) -> int:
    """Sample what is missing up to `over`, as soon as that is settled."""
    with world.engine.begin() as session:
        return take_samples(session, over + SETTLED, measured)


def rows(world: World) -> list[Mapping[str, Any]]:
    return world.rows("SELECT * FROM campusg.samples ORDER BY at")


def id_of(moment: datetime) -> UUID:
    return UUID(int=first_id_of(moment).int | new_id().int & (1 << 80) - 1)


def step(begun: datetime, ended: datetime | None, status: str = "DONE", command: str | None = "c") -> dict[str, Any]:
    return {
        "name": "a_step",
        "status": status,
        "command_id": command,
        "started_at": timestamp(begun),
        "ended_at": timestamp(ended) if ended else None,
        "attempts": 1,
        "tries": [],
    }


def add_saga(
    world: World,
    begun: datetime,
    ended: datetime | None,
    name: str = "accept_order",
    status: str = "COMPLETED",
    ending: str = "",
    steps: Sequence[Mapping[str, Any]] = (),
) -> UUID:
    """A row for a saga of an order of its own; one that has not ended is suspended."""
    placed, saga_id = world.place(), id_of(begun)
    world.rows("DELETE FROM campusg.sagas WHERE saga_id = :id", id=placed.saga_id)
    world.rows(
        """
        INSERT INTO campusg.sagas (saga_id, order_id, name, definition_version, status, steps, facts, correlation_id, started_at, ended_at)
        VALUES (:saga_id, :order_id, :name, 1, :status, CAST(:steps AS jsonb), jsonb_build_object('ending', CAST(:ending AS text)), 'c',
            :begun, :ended)""",
        saga_id=saga_id,
        order_id=placed.order_id,
        name=name,
        status=status if ended else "FAILED",
        steps=json.dumps(list(steps)),
        ending=ending,
        begun=begun,
        ended=ended,
    )
    return saga_id


def test_the_minutes_add_up_to_what_became_of_the_orders(told: Fates) -> None:
    """Orders of every end, and some without one."""
    world, begun = told.service.world, datetime.now(UTC)
    assert sample(world, begun - MINUTE) == 1
    told.completed(told.delivered(told.accepted()))
    told.cancelled(told.accepted())
    told.opened("declined_1")
    told.compensate(told.place())
    told.timed_out()
    told.compensate(told.completed(told.delivered(told.accepted()), answered=False))
    told.opened()

    assert sample(world, begun + 3 * MINUTE) >= 3

    [total] = world.rows(
        "SELECT sum(orders_created) AS created, sum(orders_completed) AS completed, sum(orders_cancelled) AS cancelled,"
        " sum(orders_timed_out) AS timed_out, sum(sagas_ended) AS sagas, sum(steps_ended) AS steps FROM campusg.samples"
    )
    [orders] = world.rows(
        "SELECT count(*) AS created, count(*) FILTER (WHERE order_status = 'COMPLETED') AS completed,"
        " count(*) FILTER (WHERE order_status = 'CANCELLED') AS cancelled, count(*) FILTER (WHERE order_status = 'TIMED_OUT') AS timed_out"
        " FROM campusg.orders"
    )
    sagas = world.rows("SELECT steps FROM campusg.sagas WHERE ended_at IS NOT NULL")
    ended = [step for saga in sagas for step in saga["steps"] if step["command_id"] and step["ended_at"]]
    assert orders == {"created": 7, "completed": 1, "cancelled": 3, "timed_out": 1}
    assert {name: total[name] for name in orders} == orders
    assert (total["sagas"], total["steps"]) == (len(sagas), len(ended))


@broken
def test_a_saga_that_ends_minutes_after_it_began_is_counted_once_when_it_ends(minutes: World) -> None:
    saga_id = add_saga(minutes, EIGHT + SECOND, None)
    assert sample(minutes, EIGHT + MINUTE) == 1
    assert sample(minutes, EIGHT + 2 * MINUTE) == 1
    minutes.rows("UPDATE campusg.sagas SET status = 'COMPLETED', ended_at = :at WHERE saga_id = :id", at=EIGHT + 125 * SECOND, id=saga_id)
    assert sample(minutes, EIGHT + 4 * MINUTE) == 2
    assert [row["sagas_ended"] for row in rows(minutes)] == [0, 0, 0, 1, 0]
    assert [row["unended"] for row in rows(minutes)] == [[]] * 5


@broken
def test_what_ends_between_a_minutes_end_and_its_sample_belongs_to_the_next(minutes: World) -> None:
    add_saga(minutes, EIGHT + SECOND, EIGHT + 61 * SECOND, "complete_order")
    assert sample(minutes, EIGHT + MINUTE) == 1
    assert sample(minutes, EIGHT + 2 * MINUTE) == 1
    assert [(row["sagas_ended"], row["orders_completed"]) for row in rows(minutes)] == [(0, 0), (0, 0), (1, 1)]


ENDS = {
    ("complete_order", "COMPLETED", ""): "orders_completed",
    ("complete_order", "COMPENSATED", ""): None,
    ("create_order", "COMPLETED", ""): None,
    ("create_order", "COMPENSATED", ""): "orders_cancelled",
    ("cancel_order", "COMPLETED", "CANCELLED"): "orders_cancelled",
    ("cancel_order", "COMPLETED", "TIMED_OUT"): "orders_timed_out",
    ("accept_order", "COMPLETED", ""): None,
    ("accept_order", "COMPENSATED", ""): None,
}


@broken
@pytest.mark.parametrize(("saga", "column"), ENDS.items(), ids=map(str, ENDS))
def test_an_order_ends_with_the_saga_that_ends_it(minutes: World, saga: tuple[str, str, str], column: str | None) -> None:
    name, status, ending = saga
    add_saga(minutes, EIGHT, EIGHT + SECOND, name, status, ending)
    sample(minutes, EIGHT + MINUTE)
    last = rows(minutes)[-1]
    assert [each for each in ("orders_completed", "orders_cancelled", "orders_timed_out") if last[each]] == ([column] if column else [])
    assert last["sagas_ended"] == 1


@broken
def test_the_waits_of_steps_go_from_their_command_to_their_end_and_not_to_their_undo(minutes: World) -> None:
    end = EIGHT + 30 * SECOND
    waits = [step(end - timedelta(milliseconds=number), end) for number in range(1, 101)]
    others = [
        step(EIGHT - MINUTE, EIGHT - SECOND),
        step(EIGHT, EIGHT + MINUTE),
        step(EIGHT, end, command=None),
        step(EIGHT, None, "RUNNING"),
        step(EIGHT - MINUTE, end, "COMPENSATED"),
    ]
    add_saga(minutes, EIGHT, None, steps=[*waits, *others])
    sample(minutes, EIGHT + MINUTE)
    last = rows(minutes)[-1]
    assert (last["steps_ended"], last["step_p50_ms"], last["step_p99_ms"]) == (101, 50, 99)


@broken
def test_a_step_that_failed_was_waited_for_too(minutes: World) -> None:
    add_saga(minutes, EIGHT, None, steps=[step(EIGHT, EIGHT + 7 * SECOND, "FAILED")])
    sample(minutes, EIGHT + MINUTE)
    assert (rows(minutes)[-1]["steps_ended"], rows(minutes)[-1]["step_p50_ms"], rows(minutes)[0]["step_p50_ms"]) == (1, 7000, None)


@broken
def test_orders_are_counted_in_the_minute_of_their_ids(minutes: World) -> None:
    minutes.place()
    minutes.rows("DELETE FROM campusg.order_history")
    minutes.rows("DELETE FROM campusg.sagas")
    minutes.rows("UPDATE campusg.orders SET order_id = :id", id=id_of(EIGHT + 59 * SECOND))
    sample(minutes, EIGHT + 2 * MINUTE)
    assert [row["orders_created"] for row in rows(minutes)] == [0, 1, 0]


def test_a_minute_is_sampled_once_however_often_and_by_however_many(minutes: World) -> None:
    """Also by those who looked before the first of them had committed."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: sample(minutes, EIGHT + 2 * MINUTE, Measured(1.5, 2, 3)), range(8)))
    assert sample(minutes, EIGHT + 2 * MINUTE + 49 * SECOND) == 0
    first, *others = rows(minutes)
    assert [row["at"] for row in (first, *others)] == [EIGHT - MINUTE, EIGHT, EIGHT + MINUTE]
    assert [(row["outbox_age_seconds"], row["dead_letters"], row["violations"]) for row in others] == [(1.5, 2, 3)] * 2


def test_minutes_missed_are_made_up_for_but_not_without_end(minutes: World) -> None:
    assert sample(minutes, EIGHT + 60 * MINUTE) == 5
    assert [row["at"] for row in rows(minutes)][1:] == [EIGHT + number * MINUTE for number in range(55, 60)]


def test_a_clock_that_was_put_back_samples_nothing(minutes: World) -> None:
    assert sample(minutes, EIGHT - 30 * MINUTE) == 0
    assert len(rows(minutes)) == 1


def test_samples_are_kept_for_a_day(minutes: World) -> None:
    columns = "taken_at, 0, 0, 0, 0, 0, 0, 0, 0, false, 0, 0, 0, '{}' FROM campusg.samples"
    for age in (timedelta(hours=24), timedelta(hours=24) - MINUTE):
        minutes.rows(f"INSERT INTO campusg.samples SELECT :at, {columns} LIMIT 1", at=EIGHT - age)
    sample(minutes, EIGHT + MINUTE)
    assert [EIGHT - row["at"] for row in rows(minutes)] == [timedelta(hours=24) - MINUTE, MINUTE, timedelta(0)]


@broken
def test_a_sample_of_more_than_is_looked_at_says_so(minutes: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "MOST_READ", 2)
    add_saga(minutes, EIGHT, EIGHT + SECOND)
    sample(minutes, EIGHT + MINUTE)
    for _ in range(3):
        add_saga(minutes, EIGHT + MINUTE, EIGHT + 61 * SECOND)
    sample(minutes, EIGHT + 2 * MINUTE)
    assert [(row["sagas_ended"], row["at_least"]) for row in rows(minutes)] == [(0, False), (1, False), (2, True)]


def test_the_scheduled_function_samples_what_it_has_measured(brokerless: Service) -> None:
    brokerless.world.place()
    brokerless.world.rows("UPDATE campusg.outbox SET created_at = clock_timestamp() - interval '90 seconds'")

    brokerless.app.audit_invariants(scheduled_event("audit_invariants", datetime.now(UTC)), Context())

    [row] = rows(brokerless.world)
    assert 90 <= row["outbox_age_seconds"] < 150
    assert (row["dead_letters"], row["violations"]) == (0, 0)
    assert timedelta(seconds=70) <= row["taken_at"] - row["at"] < timedelta(seconds=131)
