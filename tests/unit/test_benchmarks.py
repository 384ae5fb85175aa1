"""The benchmarks' table and file, from figures that a run has left."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from infra.console import plain
from tests.benchmarks.charts import charts, write_charts
from tests.benchmarks.goals import FIGURES, Figure
from tests.benchmarks.parts import settings
from tests.benchmarks.record import FIGURES as RECORDED
from tests.benchmarks.record import PAGE, TABLE, table
from tests.benchmarks.results import OURS, Results
from tests.benchmarks.table import printed


@pytest.fixture
def results() -> Results:
    """Two rounds, in turns with earlier code."""
    known = {"cpus": 2, "cpu_model": "some", "load_average": 0.5, "load_average_at_end": 2.0, "seconds": 60}
    known |= {"server_version": "18.6", "commit": "synchronous_commit on, fsync on", **settings("")}
    results = Results({**known, "commits": {OURS: "0123456", "before": "3c3973d"}}, ["a note"], [(0.25, 0.25), (0.5, 0.2)])
    for ours, before in ((160.0, 40.0), (150.0, 50.0)):
        results.add("stack.64.orders_per_s", ours)
        results.add("stack.64.orders_per_s", before, "before")
        results.add("stack.64.cpu_ms", 12.0)
    return results


def rows(results: Results) -> list[str]:
    return [" ".join(plain(line).split()) for line in printed(results)]


def test_each_figure_stands_beside_its_goal(results: Results) -> None:
    printed = rows(results)

    assert "orders 155 1/s (150–160) ≥ 150 met" in printed
    assert "processor time an order 12 ms (12–12) ≤ 10 missed" in printed
    assert "latency, p50 –" in printed
    assert printed[printed.index("growth") + 1] == "not measured"
    assert "noise: a fixed piece of work took 250 to 500 ms, 2.00 times between the fastest and the slowest of 2" in printed
    assert "it had a processor 40% to 100% of that time, other programs the rest" in printed
    assert "a note" in printed


def test_other_checkouts_are_compared_round_by_round(results: Results) -> None:
    assert "stack.64.orders_per_s 3.5× (3–4) ≥ 2.5 met" in rows(results)


def test_what_was_written_is_read_again(results: Results, tmp_path: Path) -> None:
    results.write(tmp_path / "figures.json")

    assert rows(Results.read(tmp_path / "figures.json")) == rows(results)


def test_plots_are_drawn_of_what_was_measured(results: Results, tmp_path: Path) -> None:
    assert [file.name for file in write_charts(results, tmp_path)] == ["throughput.svg", "latency.svg", "processor.svg"]
    drawn = (tmp_path / "throughput.svg").read_text()
    assert ElementTree.fromstring(drawn).tag.endswith("svg")  # noqa: S314 - drawn by this test
    assert drawn.count("<polyline") == 2


def test_the_docs_have_the_table_and_the_plots_of_their_figures() -> None:
    """`python -m tests.benchmarks.record infra/docs/benchmarks.json` mends it, where only goals or words have changed."""
    recorded = Results.read(RECORDED)
    found = TABLE.search(PAGE.read_text())
    assert found
    assert found[0] == table(recorded)
    for name, svg in charts(recorded).items():
        assert PAGE.with_name(f"benchmarks-{name}").read_text() == svg


def test_no_figure_stands_twice() -> None:
    names = [figure.name for figures in FIGURES.values() for figure in figures]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("figure", "value", "verdict"),
    [
        (Figure("x", "x", at_most=2), 2, "met"),
        (Figure("x", "x", at_most=2), 2.1, "missed"),
        (Figure("x", "x", at_least=2), 2, "met"),
        (Figure("x", "x", at_least=2), 1.9, "missed"),
        (Figure("x", "x", at_least=2), None, "not measured"),
        (Figure("x", "x"), 1, ""),
    ],
)
def test_a_goal_is_met_up_to_its_bound(figure: Figure, value: float | None, verdict: str) -> None:
    assert figure.judged(value) == verdict
