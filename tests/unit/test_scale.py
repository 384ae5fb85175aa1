"""The model of scale: both halves agree, the small end is what was measured, knobs move what they should, and the page is today's."""

from dataclasses import replace

import pytest

from tests.benchmarks.scale import figures
from tests.benchmarks.scale.__main__ import main
from tests.benchmarks.scale.bounds import creation, in_batches, throughput
from tests.benchmarks.scale.cost import monthly, tiered
from tests.benchmarks.scale.deployment import PURGED_A_MINUTE, Deployment
from tests.benchmarks.scale.home import MEASURED, Measured, home
from tests.benchmarks.scale.limits import TARGET, breaking_points, capacity, grown, uses
from tests.benchmarks.scale.page import PAGE, calculated, marks, renewed
from tests.benchmarks.scale.pictures import pictures
from tests.benchmarks.scale.place import Delay, Work
from tests.benchmarks.scale.report import LOADS, SMALLEST, Table
from tests.benchmarks.scale.simulation import arriving, in_flight

ORDERS = 500
# How many times more or less than measured the model may say. At 16 in flight the stack waits for something that is not in the model.
WITHIN = {1: 1.5, 4: 1.5, 16: 2.5, 64: 1.5}


def share(deployment: Deployment, name: str, per_minute: float = 10_000) -> float:
    return next(use.share for use in uses(deployment, per_minute) if use.name == name)


@pytest.mark.parametrize("per_minute", [1_000, 10_000])
def test_both_halves_agree(per_minute: int) -> None:
    place = grown(per_minute, SMALLEST).deployment.place
    found, run = creation(place, per_minute / 60), arriving(place, per_minute / 60, ORDERS)

    assert found.mean_ms == pytest.approx(run.mean_ms, rel=0.04)
    assert found.p50_ms == pytest.approx(run.percentile(50), rel=0.05)
    assert found.p99_ms == pytest.approx(run.percentile(99), rel=0.15)
    assert found.batches.size == pytest.approx(run.batch, rel=0.2)


@pytest.mark.parametrize("measured", MEASURED, ids=lambda measured: f"{measured.in_flight} in flight")
def test_the_small_end_is_what_the_stack_was_measured_to_do(measured: Measured) -> None:
    within = WITHIN[measured.in_flight]
    for said in (throughput(home(), measured.in_flight), in_flight(home(), measured.in_flight, 200)):
        assert measured.per_second / within < said.per_second < measured.per_second * within


def test_counted_figures_are_those_that_tests_hold() -> None:
    from tests.integration.test_growth import MOST_BYTES
    from tests.integration.test_statements import CROSSINGS

    assert figures.BATCH_CROSSINGS == CROSSINGS
    assert MOST_BYTES * 0.85 < figures.WAL_BYTES < MOST_BYTES


def test_clients_and_orders_a_second_and_their_time_obey_littles_law() -> None:
    found = throughput(home(), 16)

    assert found.per_second * found.mean_ms / 1000 == pytest.approx(16, rel=0.01)


def test_a_request_that_does_not_wait_is_answered_before_its_saga_ends() -> None:
    at_once = arriving(replace(SMALLEST, waits=False).place, 20, 200)

    assert at_once.mean_ms < 100 < arriving(SMALLEST.place, 20, 200).mean_ms
    assert len(at_once.batches) > 500


def test_a_simulation_can_be_repeated() -> None:
    place = SMALLEST.place

    assert arriving(place, 20, 60).answered_ms == arriving(place, 20, 60).answered_ms
    assert arriving(place, 20, 60).answered_ms != arriving(place, 20, 60, seed=2).answered_ms


def test_a_request_for_which_no_function_is_free_is_refused() -> None:
    assert arriving(replace(SMALLEST.place, concurrency=5), 50, 200).refused > 50
    assert arriving(SMALLEST.place, 50, 200).refused == 0


def test_transactions_wait_for_a_connection() -> None:
    few = arriving(replace(SMALLEST.place, connections=1), 50, 200)
    many = arriving(SMALLEST.place, 50, 200)

    assert few.most_connections == 1 < many.most_connections
    assert few.mean_ms > many.mean_ms


def test_a_batch_holds_what_arrives_while_the_one_before_is_worked_on() -> None:
    taken = in_batches(0.5, 500, Work(20, 1))

    assert taken.size == pytest.approx(0.5 * taken.work_ms)
    assert in_batches(0.5, 10, Work(20, 1)).size == 10
    assert in_batches(0.001, 500, Work(20, 1)).size == 1


def test_a_delay_has_its_mean_and_variance() -> None:
    delay = Delay.of(120, 400)

    assert (delay.mean, delay.variance) == (pytest.approx(120), pytest.approx(400))
    assert delay.p50 < 120 < delay.p99


@pytest.mark.parametrize(
    ("resource", "turned"),
    [
        ("functions at a time", {"concurrency": 2_000}),
        ("batches of a topic", {"partitions": 12}),
        ("processors of the database", {"instance": 3}),
        ("connections to the database", {"instance": 3}),
        ("bytes into the brokers", {"broker": 1}),
        ("operations of the volume", {"iops": 24_000}),
        ("bytes to the volume", {"storage_mb_s": 1_000}),
        ("requests of API Gateway", {"api_requests": 20_000}),
        ("bytes through a topic's pollers", {"pollers": 6}),
        ("size of the volume", {"purge_after_days": 7}),
        ("orders that the purge deletes", {"purge_schedules": 2}),
    ],
)
def test_a_knob_moves_its_limit(resource: str, turned: dict[str, int]) -> None:
    before = replace(SMALLEST, instance=2)
    assert share(replace(before, **turned), resource) < share(before, resource) / 1.3


def test_without_a_proxy_connections_break_before_anything_else_that_a_request_meets() -> None:
    first = next(use for _, use in breaking_points(replace(SMALLEST, proxy=False)) if not use.slow)

    assert first.name == "connections to the database"


def test_more_memory_is_faster_and_answering_at_once_needs_fewer_functions() -> None:
    def running(deployment: Deployment) -> float:
        return next(use.asked for use in uses(deployment, 1_000) if use.name == "functions at a time")

    assert creation(replace(SMALLEST, memory_mb=256).place, 10).p50_ms > creation(SMALLEST.place, 10).p50_ms
    assert running(replace(SMALLEST, waits=False)) < running(SMALLEST) / 3


@pytest.mark.parametrize("load", LOADS)
def test_a_plan_leaves_room_in_every_resource(load: int) -> None:
    plan = grown(load, SMALLEST)

    assert plan.uses[0].share <= TARGET
    assert plan.expected.stable
    assert capacity(plan.deployment) * plan.copies > load


def test_one_database_is_not_enough_for_a_million_orders_a_minute() -> None:
    assert (grown(500_000, SMALLEST).copies, grown(1_000_000, SMALLEST).copies) == (1, 2)


def test_a_schedule_purges_what_its_function_deletes_a_call() -> None:
    assert share(SMALLEST, "orders that the purge deletes", PURGED_A_MINUTE) == pytest.approx(1)


def test_what_is_paid_by_the_call_grows_with_the_load_and_what_is_rented_does_not() -> None:
    once, twice = monthly(grown(10, SMALLEST)), monthly(grown(20, SMALLEST))

    for item in ("API Gateway", "Lambda: API", "Lambda: replies", "logs"):
        assert twice[item] == pytest.approx(2 * once[item], rel=0.01)
    for item in ("event pollers", "database instances", "RDS Proxy"):
        assert twice[item] == once[item] > 0
    assert tiered(150, ((100, 2.0), (float("inf"), 1.0))) == 250


def test_every_figure_has_a_source() -> None:
    assert [figure.says for figure in figures.figures() if not figure.source] == []


def test_the_page_has_todays_tables_and_pictures() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for name, table in calculated().items():
        assert page == renewed(page, name, table), f"the table {name} of infra/docs/scale.md is stale: make scale DOCS=1"
    for name, picture in pictures().items():
        assert (PAGE.parent / name).read_text(encoding="utf-8") == picture, f"{name} is stale: make scale DOCS=1"
        assert f"]({name})" in page


def test_a_page_without_a_tables_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="marks of the table loads"):
        renewed("no marks", "loads", Table(("a",), [("1",)]))
    begin, end = marks("loads")
    assert renewed(f"x {begin}old{end} y", "loads", Table(("a",), [("1",)])) == f"x {begin}\n| a |\n| --- |\n| 1 |\n{end} y"


def test_a_load_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in ("many", "0", "-5", "1e6", "99999999999"):
        monkeypatch.setenv("ORDERS_PER_MINUTE", wrong)
        assert main() == 2
    assert "ORDERS_PER_MINUTE must be a whole number" in capsys.readouterr().err


def test_one_load_is_shown_in_full(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("ORDERS_PER_MINUTE", "100000")

    assert main() == 0
    shown = capsys.readouterr().out
    assert "100,000 orders a minute on the smallest deployment" in shown
    assert "waits for what is broken" in shown
    assert "database instances" in shown
