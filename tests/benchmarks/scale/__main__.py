"""`make scale`: what the service can carry on AWS at 10 to 1,000,000 orders a minute, what breaks first, and what it costs.

`make scale ORDERS_PER_MINUTE=…` looks at one load; with `DOCS=1` the page's tables and pictures are written anew.
"""

import os
import sys
from collections.abc import Iterable

from infra.console import complain, say
from tests.benchmarks.scale import report
from tests.benchmarks.scale.limits import Plan, grown
from tests.benchmarks.scale.page import write
from tests.benchmarks.scale.simulation import Run

MOST_ORDERS = 10_000_000


def main() -> int:
    """Print the tables; 2 if the load is no number between 1 and ten million."""
    asked = os.environ.get("ORDERS_PER_MINUTE", "")
    if asked:
        if not asked.isdecimal() or not 1 <= int(asked) <= MOST_ORDERS:
            complain(f"make scale: ORDERS_PER_MINUTE must be a whole number from 1 to {MOST_ORDERS:,}")
            return 2
        one_load(int(asked))
        return 0
    runs = all_loads()
    if os.environ.get("DOCS"):
        say("", *(f"wrote {name}" for name in write(runs)))
    return 0


def all_loads() -> list[tuple[Plan, Run]]:
    """Every load of the page."""
    chosen = report.plans()
    say("list prices of us-east-1, November 2026; assumptions and sources: infra/docs/scale.md", "")
    _show("turned up until no resource is above 70 %", report.loads_table(chosen))
    _show("what that takes", report.knobs_table(chosen))
    _show("cost by item", report.cost_table(chosen))
    _show("the smallest deployment, as declared", report.breaking_table(report.SMALLEST))
    say(report.summary(report.SMALLEST), "")
    runs = _simulated(chosen)
    _show("calculated against simulated", report.simulated_table(runs))
    _show("the stack at home, measured, calculated and simulated", report.home_table())
    return runs


def one_load(per_minute: int) -> None:
    """One load in full: on the smallest deployment as far as that goes, and on one turned up for it."""
    plan = grown(per_minute, report.SMALLEST)
    _show(f"{per_minute:,} orders a minute on the smallest deployment", report.uses_table(Plan(report.SMALLEST, (), 1, per_minute)))
    _show("turned up for it", report.knobs_table([plan]))
    _show("then", report.loads_table([plan]))
    _show("its resources", report.uses_table(plan))
    _show("its cost", report.cost_table([plan]))
    if runs := _simulated([plan]):
        _show("calculated against simulated", report.simulated_table(runs))


def _simulated(chosen: Iterable[Plan]) -> list[tuple[Plan, Run]]:
    runs = []
    for plan in chosen:
        if plan.per_minute <= report.SIMULATED_MOST:
            say(f"simulating {report.SIMULATED_ORDERS:,} orders at {plan.per_minute:,} a minute …")
            runs.append((plan, report.simulate(plan)))
    return runs


def _show(title: str, table: report.Table) -> None:
    say(title, *(f"  {line}" for line in table.text()), "")


if __name__ == "__main__":
    sys.exit(main())
