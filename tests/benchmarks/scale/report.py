"""The model's answers as rows of text: the same for the terminal and for the page."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tests.benchmarks.plots import short
from tests.benchmarks.scale import figures
from tests.benchmarks.scale.bounds import throughput
from tests.benchmarks.scale.cost import SECONDS, monthly
from tests.benchmarks.scale.deployment import Deployment, pollers_for
from tests.benchmarks.scale.home import MEASURED, home
from tests.benchmarks.scale.limits import Plan, Use, breaking_points, capacity, grown
from tests.benchmarks.scale.simulation import Run, arriving, in_flight
from tests.benchmarks.scale.sizes import BROKERS, INSTANCES

LOADS = (10, 100, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
# Loads up to this one are also simulated, with so many orders: about a second each.
SIMULATED_MOST, SIMULATED_ORDERS = 30_000, 2_500
SMALLEST = Deployment()


@dataclass(frozen=True)
class Table:
    """A heading and rows of as many cells."""

    heading: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> Iterator[str]:
        """The table as the page has it."""
        yield f"| {' | '.join(self.heading)} |"
        yield f"| {' | '.join('---' for _ in self.heading)} |"
        yield from (f"| {' | '.join(row)} |" for row in self.rows)

    def text(self) -> Iterator[str]:
        """The table for a terminal: columns as wide as they need."""
        widths = [max(len(row[column]) for row in (self.heading, *self.rows)) for column in range(len(self.heading))]
        for row in (self.heading, *self.rows):
            yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))


def plans(loads: Sequence[float] = LOADS) -> list[Plan]:
    """A plan for each load, turned up from the smallest deployment."""
    return [grown(load, SMALLEST) for load in loads]


def loads_table(chosen: Sequence[Plan]) -> Table:
    """What each load is like on the deployment that was turned up for it."""
    heading = (
        "orders/min",
        "p50 ms",
        "p99 ms",
        "replies a batch",
        "functions at a time",
        "nearest limits",
        "USD a month",
        "USD per 1,000 orders",
    )
    return Table(heading, [_load_row(plan) for plan in chosen])


def knobs_table(chosen: Sequence[Plan]) -> Table:
    """What each load's deployment has, and which knobs were turned for it."""
    heading = (
        "orders/min",
        "copies",
        "instance",
        "partitions",
        "pollers",
        "functions",
        "volume",
        "brokers",
        "purged after",
        "turned since the load before",
    )
    rows, before = [], frozenset[str]()
    for plan in chosen:
        rows.append(_knob_row(plan, [knob for knob in plan.turned if knob not in before] if before else list(plan.turned)))
        before = frozenset(plan.turned)
    return Table(heading, rows)


def breaking_table(deployment: Deployment) -> Table:
    """At which load each resource of a deployment breaks."""
    rows = [(short(_three(load)), use.name, f"{_amount(use)}", use.knob) for load, use in breaking_points(deployment) if load < 1e7]
    return Table(("orders/min", "breaks", "limit", "the knob that moves it"), rows)


def waiting_table(loads: Sequence[float]) -> Table:
    """What it costs that requests wait for their saga (`Prefer: wait`), against 202 at once."""
    rows = []
    for load in loads:
        waiting, at_once = grown(load, SMALLEST), grown(load, replace(SMALLEST, waits=False))
        cells = (short(load), *(f"{sum(monthly(plan).values()):,.0f}" for plan in (waiting, at_once)))
        rows.append((*cells, _running(waiting), _running(at_once), waiting.deployment.database.name, at_once.deployment.database.name))
    heading = ("orders/min", "USD a month, waiting", "202 at once", "functions at a time, waiting", "202", "instance, waiting", "202")
    return Table(heading, rows)


def memory_table(per_minute: float, sizes: Sequence[int]) -> Table:
    """What the functions' memory, and with it their processor, changes at a load."""
    rows = []
    for size in sizes:
        plan = grown(per_minute, replace(SMALLEST, memory_mb=size))
        times = (f"{plan.expected.p50_ms:.0f}", f"{plan.expected.p99_ms:.0f}", f"{plan.expected.batches.work_ms:.0f}")
        rows.append((f"{size:,}", *times, f"{sum(monthly(plan).values()):,.0f}"))
    return Table(("memory MB", "p50 ms", "p99 ms", "a batch ms", "USD a month"), rows)


def partitions_table(per_minute: float, numbers: Sequence[int]) -> Table:
    """What more partitions change at a load: smaller batches, which cost the database more."""
    rows = []
    start = grown(per_minute, SMALLEST)
    for number in numbers:
        changed = replace(start.deployment, partitions=number, pollers=pollers_for(number))
        plan = Plan(changed, (), start.copies, per_minute)
        shares = {use.name: use.share for use in plan.uses}
        times = (f"{plan.expected.p50_ms:.0f}", f"{plan.expected.batches.size:.1f}")
        rows.append((str(number), *times, *(f"{shares[name]:.0%}" for name in ("batches of a topic", "processors of the database"))))
    return Table(("partitions a topic", "p50 ms", "replies a batch", "batches of a topic", "processors of the database"), rows)


def cost_table(chosen: Sequence[Plan]) -> Table:
    """The cost by item."""
    costs = [monthly(plan) for plan in chosen]
    rows = [(item, *(f"{cost[item]:,.0f}" for cost in costs)) for item in costs[0]]
    total = ("all", *(f"{sum(cost.values()):,.0f}" for cost in costs))
    return Table(("USD a month", *(f"{short(plan.per_minute)}/min" for plan in chosen)), [*rows, total])


def uses_table(plan: Plan) -> Table:
    """Every resource of a plan, the one nearest to its limit first."""
    broken = any(use.share > 1 and not (use.rank or use.slow) for use in plan.uses)
    rows = []
    for use in sorted(plan.uses, key=lambda use: bool(broken and use.rank)):
        asked = ("–", "waits for what is broken") if broken and use.rank else (f"{use.share:.0%}", _asked(use))
        rows.append((use.name, *asked, _amount(use), use.knob))
    return Table(("resource", "used", "asked for", "limit", "the knob that moves it"), rows)


def simulate(plan: Plan) -> Run:
    """The same load, order by order."""
    return arriving(plan.deployment.place, plan.per_minute / plan.copies / 60, SIMULATED_ORDERS)


def simulated_table(runs: Sequence[tuple[Plan, Run]]) -> Table:
    """Both halves side by side."""
    rows = []
    for plan, run in runs:
        found = plan.expected
        calculated = (f"{found.p50_ms:.0f}", f"{found.p99_ms:.0f}", f"{found.batches.size:.1f}")
        rows.append((short(plan.per_minute), *calculated, f"{run.percentile(50):.0f}", f"{run.percentile(99):.0f}", f"{run.batch:.1f}"))
    return Table(("orders/min", "p50 ms, calculated", "p99", "batch", "p50 ms, simulated", "p99", "batch"), rows)


def home_table() -> Table:
    """The small end: what the stack at home has been measured to do, and what the model says of it."""
    rows = []
    for measured in MEASURED:
        found, run = throughput(home(), measured.in_flight), in_flight(home(), measured.in_flight, 600)
        ratios = f"{found.per_second / measured.per_second:.2f}, {run.per_second / measured.per_second:.2f}"
        speeds = (f"{measured.per_second:.1f}", f"{found.per_second:.1f}", f"{run.per_second:.1f}", ratios)
        medians = (f"{measured.p50_ms:.0f}", f"{found.p50_ms:.0f}", f"{run.percentile(50):.0f}")
        last = (f"{measured.p99_ms:,.0f}", f"{found.p99_ms:,.0f}", f"{run.percentile(99):,.0f}")
        rows.append((str(measured.in_flight), *speeds, *medians, *last))
    heading = (
        "in flight",
        "orders/s measured",
        "calculated",
        "simulated",
        "over measured",
        "p50 ms measured",
        "calc.",
        "sim.",
        "p99 ms measured",
        "calc.",
        "sim.",
    )
    return Table(heading, rows)


def sizes_table() -> Table:
    """The sizes that AWS offers, an instance and a broker a row."""
    rows = []
    for instance, broker in zip(INSTANCES, BROKERS, strict=True):
        of_instance = (
            instance.name,
            str(instance.vcpus),
            f"{instance.memory_gib} GiB",
            f"{instance.ebs_mb_s:g} MB/s, {instance.ebs_iops:,} /s",
        )
        rows.append((*of_instance, f"{instance.usd_hour:g}", broker.name, f"{broker.ingress_mb_s:g} MB/s", f"{broker.usd_hour:g}"))
    return Table(("instance", "vCPUs", "memory", "EBS, baseline", "USD an hour", "broker", "bytes in", "USD an hour"), rows)


def figures_table() -> Table:
    """Every figure that the model starts from, except sizes."""
    rows = [(each.says, f"{_plain(each)} {each.unit}".rstrip(), each.kind, each.source) for each in figures.figures()]
    return Table(("figure", "value", "kind", "source"), rows)


def summary(deployment: Deployment) -> str:
    """What the smallest deployment carries, in a sentence."""
    first = next(use for _, use in breaking_points(deployment) if not use.slow)
    return f"It answers up to {short(_three(capacity(deployment)))} orders a minute; what a request meets first is: {first.name}."


def _load_row(plan: Plan) -> Sequence[str]:
    found, cost = plan.expected, sum(monthly(plan).values())
    nearest = ", ".join(f"{use.name} {use.share:.0%}" for use in plan.uses[:3])
    per_thousand = cost / (plan.per_minute / 60 * SECONDS) * 1000
    times = (f"{found.p50_ms:.0f}", f"{found.p99_ms:.0f}", f"{found.batches.size:.1f}", _running(plan))
    return (short(plan.per_minute), *times, nearest, f"{cost:,.0f}", f"{per_thousand:.3f}")


def _knob_row(plan: Plan, turned: Sequence[str]) -> Sequence[str]:
    deployment, load = plan.deployment, plan.per_minute / plan.copies
    given = deployment.storage_gb(load), deployment.storage_iops(load), deployment.storage_throughput(load)
    volume = "{} GB, {} IOPS, {} MB/s".format(*(short(_three(number)) for number in given))
    brokers = f"{deployment.brokers} × {deployment.kafka.name.removeprefix('express.')}"
    sizes = (str(deployment.partitions), str(deployment.pollers), short(deployment.concurrency), volume, brokers)
    days = f"{deployment.purge_after_days} d, {deployment.purge_schedules}×"
    return (short(plan.per_minute), str(plan.copies), deployment.database.name, *sizes, days, ", ".join(turned) or "–")


def _running(plan: Plan) -> str:
    running = next(use for use in plan.uses if use.name == "functions at a time")
    return f"{running.asked * plan.copies:,.0f}" if running.asked * plan.copies >= 10 else f"{running.asked:.1f}"


def _amount(use: Use) -> str:
    return f"{short(_three(use.given))} {use.unit}".rstrip()


def _asked(use: Use) -> str:
    return f"{short(_three(use.asked))} {use.unit}".rstrip()


def _three(value: float) -> float:
    """The number with three digits that count."""
    return float(f"{value:.3g}")


def _plain(value: float) -> str:
    if 0 < value < 1e-4:
        return f"{value * 1e6:g}e-6"
    return f"{value:,.0f}" if value >= 1000 else f"{value:g}"
