"""Put a run into the docs: `python -m tests.benchmarks.record FIGURES.json`: its figures, its plots, and its table in benchmarks.md."""

import re
import sys
from pathlib import Path

from infra.console import plain
from tests.benchmarks.charts import charts
from tests.benchmarks.results import Results
from tests.benchmarks.table import printed
from tests.support.stack import ROOT

DOCS = ROOT / "infra" / "docs"
FIGURES, PAGE = DOCS / "benchmarks.json", DOCS / "benchmarks.md"
TABLE = re.compile(r"(?<=```text\n).*?(?=```\n)", re.DOTALL)


def table(results: Results) -> str:
    """The lines of the table as they stand in the page."""
    return "".join(f"{plain(line).rstrip()}\n" for line in printed(results))


def record(figures: Path) -> None:
    """Replace what the docs have of the last run."""
    results = Results.read(figures)
    results.write(FIGURES)
    for name, svg in charts(results).items():
        (DOCS / f"benchmarks-{name}").write_text(svg)
    text = table(results)
    PAGE.write_text(TABLE.sub(lambda _: text, PAGE.read_text()))


if __name__ == "__main__":
    record(Path(sys.argv[1]))
