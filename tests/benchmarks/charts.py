"""The plots of a run, for the docs."""

from collections.abc import Mapping
from pathlib import Path

from tests.benchmarks.goals import PROCESSES
from tests.benchmarks.parts import BATCHES
from tests.benchmarks.plots import Axis, Series, line_plot, stacked_bars
from tests.benchmarks.results import OURS, Results
from tests.benchmarks.whole_stack import LEVELS

IN_FLIGHT = Axis("orders in flight", least=0)


def charts(results: Results) -> Mapping[str, str]:
    """SVG by file name, of what was measured."""
    drawn = {}
    if results.values("stack.64.orders_per_s"):
        subjects = [subject for subject in results.conditions["commits"] if results.values("stack.64.orders_per_s", subject)]
        lines = [Series(subject, _over_load(results, subject, "orders_per_s")) for subject in subjects]
        drawn["throughput.svg"] = line_plot("Throughput of the whole stack", IN_FLIGHT, Axis("orders a second", least=0), lines)
        lines = [
            Series(f"{subject}, {name}", _over_load(results, subject, f"{name}_ms")) for subject in subjects for name in ("p50", "p99")
        ]
        drawn["latency.svg"] = line_plot("From POST with Prefer: wait to 201", IN_FLIGHT, Axis("milliseconds", least=0), lines)
        parts = {name: [results.median(f"stack.{level}.cpu_ms.{name}") or 0.0 for level in LEVELS] for name in PROCESSES}
        names = [str(level) for level in LEVELS]
        drawn["processor.svg"] = stacked_bars("Processor time an order", IN_FLIGHT.label, Axis("milliseconds"), names, parts)
    if results.values("engine.100.sagas_per_s"):
        lines = [
            Series("ceiling in Python", _over_batch(results, "ceiling")),
            Series("engine, with Kafka", _over_batch(results, "engine")),
            Series("pgbench, no batches", [(batch, results.median("pgbench.sagas_per_s") or 0.0) for batch in BATCHES]),
        ]
        axes = Axis("sagas a batch", log=True), Axis("sagas a second", log=True)
        drawn["batches.svg"] = line_plot("Throughput of one process", *axes, lines)
    return drawn


def write_charts(results: Results, folder: Path) -> list[Path]:
    """Write each plot to a file of its own and return them."""
    files = []
    for name, svg in charts(results).items():
        files.append(folder / name)
        files[-1].write_text(svg)
    return files


def _over_load(results: Results, subject: str, name: str) -> list[tuple[float, float]]:
    return [(level, results.median(f"stack.{level}.{name}", subject) or 0.0) for level in LEVELS]


def _over_batch(results: Results, name: str) -> list[tuple[float, float]]:
    return [(batch, results.median(f"{name}.{batch}.sagas_per_s", OURS) or 0.0) for batch in BATCHES]
