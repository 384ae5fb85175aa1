"""`make bench`: measure every figure of the goals beside its yardstick, print a table, write JSON and plots.

    python -m tests.benchmarks [--against CHECKOUT]… [--rounds N] [--grown ORDERS] [--only PART]…

By make: `make bench AGAINST="CHECKOUT …" ROUNDS=… GROWN=… ONLY=… KAFKA_BROKERS=… DOCS=1`. A checkout needs a `.venv` of its own. Returns 1
where something could not be measured at all, and 130 after Ctrl-C; a figure that misses its goal is no failure.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from infra.console import complain, say
from infra.stack.files import make_private_folder
from infra.stack.settings import data_dir
from tests.benchmarks import machine
from tests.benchmarks.charts import write_charts
from tests.benchmarks.parts import PARTS, PEERS, Bench, settings
from tests.benchmarks.record import record
from tests.benchmarks.results import OURS, Results
from tests.benchmarks.stacks import StackError, Subject
from tests.benchmarks.table import printed
from tests.support.stack import ROOT

ROUNDS, SECONDS, IDLE_SECONDS = 2, 6.0, 60.0
FEW, MANY = 10_000, 100_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; return the exit code."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    home = data_dir() / "benchmarks"
    make_private_folder(home.parent)
    make_private_folder(home)
    results, code = _measured(options, home)
    if not results.figures:
        return code
    folder = home / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    make_private_folder(folder)
    results.write(folder / "figures.json")
    plots = write_charts(results, folder)
    say("", *printed(results), "", f"figures: {folder / 'figures.json'}", *(f"plot: {plot}" for plot in plots))
    if os.environ.get("DOCS") and code == 0:
        record(folder / "figures.json")
    return code


def _measured(options: argparse.Namespace, home: Path) -> tuple[Results, int]:
    """What was measured until the end, or until it was interrupted or failed; and the exit code."""
    with tempfile.TemporaryDirectory(prefix="data-", dir=home) as folder:
        bench = Bench(
            results=Results(),
            folder=Path(folder),
            subjects=_subjects(options.against),
            rounds=options.rounds,
            seconds=options.seconds,
            idle_seconds=options.idle,
            few=min(FEW, options.grown),
            many=options.grown,
            kafka_brokers=os.environ.get("KAFKA_BROKERS", "").strip(),
            begun=time.monotonic(),
        )
        bench.results.conditions |= {"at": datetime.now(UTC).isoformat(timespec="seconds"), **machine.described()}
        bench.results.conditions["commits"] = {subject.name: machine.commit_of(subject.checkout) for subject in bench.subjects}
        bench.results.conditions |= settings(bench.kafka_brokers)
        code = 0
        try:
            for name in options.only:
                {**PARTS, **PEERS}[name](bench)
            bench.calibrate()
        except KeyboardInterrupt:
            complain("interrupted: what follows is not complete")
            code = 130
        except (StackError, RuntimeError, OSError) as error:
            complain(*f"make bench: {error}".split("\n"))
            code = 1
    bench.results.conditions |= {"seconds": round(time.monotonic() - bench.begun), "load_average_at_end": os.getloadavg()[0]}
    return bench.results, code


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    given = {name: value for name, value in os.environ.items() if value.strip()}
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    against = [Path(text) for text in given.get("AGAINST", "").split()]
    parser.add_argument("--against", type=Path, action="append", default=against, help="another checkout to measure in turns with this one")
    parser.add_argument("--rounds", type=int, default=given.get("ROUNDS", str(ROUNDS)), help=f"of what is measured in turns ({ROUNDS})")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"at each number of orders in flight ({SECONDS:g})")
    parser.add_argument("--idle", type=float, default=IDLE_SECONDS, help=f"seconds to watch an idle stack ({IDLE_SECONDS:g})")
    grown = given.get("GROWN", str(MANY))
    parser.add_argument("--grown", type=int, default=grown, help=f"finished orders to compare {FEW} with, {MANY} by default")
    only = given.get("ONLY", "").split()
    parser.add_argument("--only", action="append", choices=[*PARTS, *PEERS], help="measure this alone; may be given again")
    options = parser.parse_args(arguments)
    options.only = options.only or only or list(PARTS)
    if unknown := set(options.only) - PARTS.keys() - PEERS.keys():
        parser.error(f"ONLY knows {', '.join([*PARTS, *PEERS])}, not {', '.join(sorted(unknown))}")
    return options


def _subjects(against: Sequence[Path]) -> list[Subject]:
    """Ours and the others, each under the name of its folder."""
    subjects = {OURS: Subject(OURS, ROOT)}
    for number, checkout in enumerate(against, start=1):
        name = checkout.resolve().name
        subject = Subject(name if name not in subjects else f"{name}-{number}", checkout.resolve())
        if not Path(subject.python).exists():
            sys.exit(f"make bench: {checkout} has no .venv of its own: `make venv` there makes it")
        subjects[subject.name] = subject
    return list(subjects.values())


if __name__ == "__main__":
    sys.exit(main())
