"""The results as lines of text: under which conditions, and each figure beside its goal."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from statistics import median

from infra.console import Line, Styled
from tests.benchmarks import goals
from tests.benchmarks.results import OURS, Results

STYLES = {"met": "good", "missed": "bad", "not measured": "under way", "": "time"}


def printed(results: Results) -> Iterator[Line]:
    """The table."""
    yield from conditions(results)
    for section, of in groupby(goals.lines(results), key=lambda line: line.section):
        lines = list(of)
        yield from ("", (Styled(section, "title"),))
        if not any(line.values for line in lines):
            yield ("  ", Styled("not measured", STYLES["not measured"]))
            continue
        for line in lines:
            value = "–" if line.median is None else f"{_number(line.median)} {line.figure.unit}".rstrip()
            yield _row(line.figure.says, value, line.values, line.figure.goal, line.verdict)
    yield from against(results)


def conditions(results: Results) -> Iterator[str]:
    """How the machine was, and what ran."""
    known, tries = results.conditions, [taken * 1000 for taken, _ in results.calibrations]
    shares = [worked / taken for taken, worked in results.calibrations]
    loads = f"load average {known['load_average']:.1f} before, {known['load_average_at_end']:.1f} at the end"
    yield f"{known['cpus']} processors ({known['cpu_model']}), {loads}"
    spread = f"{max(tries) / min(tries):.2f} times between the fastest and the slowest of {len(tries)}"
    yield f"noise: a fixed piece of work took {min(tries):.0f} to {max(tries):.0f} ms, {spread}"
    yield f"it had a processor {min(shares):.0%} to {max(shares):.0%} of that time, other programs the rest"
    most = f"{known['trigger_batch_size']} (partners {known['partners_batch_size']})"
    batches = f"batches up to {most}, window {known['trigger_window_seconds']} s"
    yield f"broker: {known['broker']}; fetch_max_wait_ms {known['fetch_max_wait_ms']:.0f}; {batches}"
    yield from [f"PostgreSQL {known['server_version']}: {known['commit']}"] if "server_version" in known else []
    yield f"{known['seconds']} s in all; median of the rounds, (least–most) where there were several"
    yield from results.notes


def against(results: Results) -> Iterator[Line]:
    """Ours over each other checkout, round by round."""
    for subject, commit in results.conditions["commits"].items():
        if subject == OURS:
            continue
        yield from ("", (Styled(f"ours over {subject} ({commit})", "title"),))
        for name in (f"stack.{level}.{what}" for level in (64, 16, 1) for what in ("orders_per_s", "cpu_ms", "p50_ms", "p99_ms")):
            ratios = list(results.ratios(name, OURS, subject))
            figure = goals.EARLIER_CODE.get(commit.rstrip("+")) if name == "stack.64.orders_per_s" else None
            if ratios:
                middle = median(ratios)
                yield _row(name, f"{_number(middle)}×", ratios, figure.goal if figure else "", figure.judged(middle) if figure else "")


def _row(says: str, value: str, values: Sequence[float], goal: str, verdict: goals.Verdict) -> Line:
    return (f"  {says:<48} {value:>14}  {_range(values):<18} {goal:<8} ", Styled(verdict, STYLES[verdict]))


def _range(values: Sequence[float]) -> str:
    return f"({_number(min(values))}–{_number(max(values))})" if len(values) > 1 else ""


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 100 else f"{value:.4g}"
