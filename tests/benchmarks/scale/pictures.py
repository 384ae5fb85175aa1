"""The page's pictures, from the analytic half alone: the same figures give the same files."""

from collections.abc import Mapping

from tests.benchmarks.plots import Axis, Series, line_plot
from tests.benchmarks.scale.bounds import throughput
from tests.benchmarks.scale.cost import monthly
from tests.benchmarks.scale.home import MEASURED, home
from tests.benchmarks.scale.limits import capacity, expected, uses
from tests.benchmarks.scale.report import LOADS, SMALLEST, plans

ORDERS = Axis("orders a minute", log=True)
SHOWN_LIMITS = 7
STEPS_A_DECADE = 6


def pictures() -> Mapping[str, str]:
    """Each file's name and what is in it."""
    return {
        "scale-throughput.svg": _throughput(),
        "scale-latency.svg": _latency(),
        "scale-limits.svg": _limits(),
        "scale-cost.svg": _cost(),
        "scale-home.svg": _home(),
    }


def _dense(most: float) -> list[float]:
    loads = [10 ** (1 + step / STEPS_A_DECADE) for step in range(5 * STEPS_A_DECADE + 1)]
    return [load for load in loads if load < most] + ([most] if most < LOADS[-1] else [])


def _throughput() -> str:
    most = capacity(SMALLEST)
    turned = [(plan.per_minute, plan.per_minute) for plan in plans()]
    smallest = Series("smallest", [(load, min(load, most)) for load in (*_dense(most), float(LOADS[-1]))])
    axes = Axis("orders asked for, a minute", log=True), Axis("orders answered, a minute", log=True)
    return line_plot("Throughput: the smallest deployment, and one turned up", *axes, [Series("turned up", turned), smallest])


def _latency() -> str:
    chosen, most = plans(), capacity(SMALLEST)
    small = [(load, expected(SMALLEST, load)) for load in _dense(most)]
    series = [
        Series("p99, turned up", [(plan.per_minute, plan.expected.p99_ms) for plan in chosen]),
        Series("p50, turned up", [(plan.per_minute, plan.expected.p50_ms) for plan in chosen]),
        Series("p99, smallest", [(load, found.p99_ms) for load, found in small]),
        Series("p50, smallest", [(load, found.p50_ms) for load, found in small]),
    ]
    return line_plot("From POST to 201", ORDERS, Axis("ms", least=0.0, most=2_000.0), series)


def _limits() -> str:
    names = [use.name for use in uses(SMALLEST, capacity(SMALLEST))[:SHOWN_LIMITS]]
    shares = {load: {use.name: use.share for use in uses(SMALLEST, load)} for load in _dense(capacity(SMALLEST) * 1.9)}
    series = [Series(name, [(load, share[name]) for load, share in shares.items()]) for name in names]
    return line_plot("The smallest deployment's resources: at 1 they break", ORDERS, Axis("asked for ÷ limit", least=0.0, most=1.5), series)


def _cost() -> str:
    costs = {plan.per_minute: monthly(plan) for plan in plans()}
    items = sorted(costs[LOADS[-1]], key=lambda item: -costs[LOADS[-1]][item])
    series = [Series("all", [(load, sum(cost.values())) for load, cost in costs.items()])]
    series += [Series(item, [(load, cost[item]) for load, cost in costs.items()]) for item in items[:7]]
    return line_plot("Cost by item", ORDERS, Axis("USD a month", log=True), series)


def _home() -> str:
    levels = [measured.in_flight for measured in MEASURED]
    series = [
        Series("measured", [(measured.in_flight, measured.per_second) for measured in MEASURED]),
        Series("calculated", [(level, throughput(home(), level).per_second) for level in levels]),
    ]
    return line_plot("The stack at home, 2 cores", Axis("orders in flight", log=True), Axis("orders/s", least=0.0), series)
