"""The made parts of infra/docs/scale.md: tables between marks, and pictures beside the page. The rest is written by hand."""

from collections.abc import Iterator, Sequence

from tests.benchmarks.scale import report
from tests.benchmarks.scale.limits import Plan
from tests.benchmarks.scale.pictures import pictures
from tests.benchmarks.scale.simulation import Run
from tests.support.stack import ROOT

PAGE = ROOT / "infra" / "docs" / "scale.md"
WAITING_LOADS = (1_000, 10_000, 100_000, 1_000_000)
MEMORY_MB = (256, 512, 1_024, 1_769)
PARTITIONS = (3, 6, 12, 24, 48)
COST_LOADS = (10, 1_000, 10_000, 100_000, 1_000_000)


def write(runs: Sequence[tuple[Plan, Run]]) -> Iterator[str]:
    """Write all that is made anew, and name each file."""
    page = PAGE.read_text(encoding="utf-8")
    for name, table in {**calculated(), **simulated(runs)}.items():
        page = renewed(page, name, table)
    PAGE.write_text(page, encoding="utf-8")
    yield PAGE.name
    for name, picture in pictures().items():
        (PAGE.parent / name).write_text(picture, encoding="utf-8")
        yield name


def calculated() -> dict[str, report.Table]:
    """The tables of the analytic half, by the name of their place on the page."""
    return {
        "loads": report.loads_table(report.plans()),
        "knobs": report.knobs_table(report.plans()),
        "breaking": report.breaking_table(report.SMALLEST),
        "costs": report.cost_table(report.plans(COST_LOADS)),
        "waiting": report.waiting_table(WAITING_LOADS),
        "memory": report.memory_table(10_000, MEMORY_MB),
        "partitions": report.partitions_table(100_000, PARTITIONS),
        "sizes": report.sizes_table(),
        "figures": report.figures_table(),
    }


def simulated(runs: Sequence[tuple[Plan, Run]]) -> dict[str, report.Table]:
    """The tables for which something is simulated."""
    return {"simulated": report.simulated_table(runs), "home": report.home_table()}


def renewed(page: str, name: str, table: report.Table) -> str:
    """The page with this table between its marks; raises ValueError where the marks are gone."""
    begin, end = marks(name)
    before, found, rest = page.partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise ValueError(f"{PAGE.name} has lost the marks of the table {name}")
    made = "\n".join(table.markdown())
    return f"{before}{begin}\n{made}\n{end}{after}"


def marks(name: str) -> tuple[str, str]:
    """What stands before and after a table."""
    return f"<!-- {name}: made by `make scale DOCS=1`, don't edit. -->\n", f"\n<!-- end of {name} -->"
