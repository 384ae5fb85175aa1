"""`make bench`: measure every figure of the goals beside its yardstick, print a table, write JSON and plots.

    python -m tests.benchmarks [--against CHECKOUT]… [--rounds N] [--only PART]…

By make: `make bench AGAINST="CHECKOUT …" ROUNDS=… ONLY=… KAFKA_BROKERS=…`. A checkout needs a `.venv` of its own. Never fails because of a
figure; returns 1 where something could not be measured at all, and 130 after Ctrl-C.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from infra.console import complain, say
from infra.stack.files import make_private_folder
from infra.stack.settings import data_dir
from tests.benchmarks import machine, whole_stack
from tests.benchmarks.results import OURS, Results
from tests.benchmarks.stacks import StackError, Subject, running, stack_variables
from tests.benchmarks.table import printed
from tests.support.stack import ROOT

ROUNDS, SECONDS, IDLE_SECONDS = 2, 6.0, 60.0


@dataclass
class Bench:
    """One run: what it is to measure, and what it has measured."""

    results: Results
    folder: Path
    subjects: Sequence[Subject]
    rounds: int
    seconds: float
    idle_seconds: float
    kafka_brokers: str
    begun: float

    def tell(self, what: str) -> None:
        """Print how far it is."""
        seconds = time.monotonic() - self.begun
        say(f"{int(seconds // 60):3d}:{int(seconds % 60):02d}  {what}")

    def calibrate(self) -> None:
        """Time the fixed piece of work once more."""
        self.results.calibrations.append(machine.calibrate())


def whole_stacks(bench: Bench) -> None:
    """Stacks of all checkouts in turns, at each level; latency, and idle for ours alone, in the first round."""
    variables = {"KAFKA_BROKERS": bench.kafka_brokers} if bench.kafka_brokers else {}
    for number in range(bench.rounds):
        for subject in bench.subjects:
            bench.calibrate()
            bench.tell(f"whole stack of {subject.name}, round {number + 1} of {bench.rounds}")
            with running(subject, bench.folder / subject.name, **variables) as stack:
                whole_stack.warm_up(stack)
                for level in whole_stack.LEVELS:
                    figures = whole_stack.throughput(stack, level, bench.seconds)
                    bench.results.add_all(figures, subject.name)
                    bench.tell(f"  {level:2d} in flight: {_load(figures, level)}")
                if number == 0:
                    figures = whole_stack.latency(stack)
                    bench.results.add_all(figures, subject.name)
                    bench.tell(f"  low load: p50 {figures['latency.p50_ms']:.1f} ms, p99 {figures['latency.p99_ms']:.1f} ms")
                if number == 0 and subject.name == OURS:
                    _conditions(bench, stack_variables(stack.data_dir))
                    bench.tell(f"  idle, {bench.idle_seconds:.0f} s")
                    bench.results.add_all(whole_stack.idle(stack, bench.idle_seconds))


PARTS: Mapping[str, Callable[[Bench], None]] = {"stack": whole_stacks}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    home = data_dir() / "benchmarks"
    make_private_folder(home.parent)
    make_private_folder(home)
    with tempfile.TemporaryDirectory(prefix="data-", dir=home) as folder:
        bench = Bench(
            results=Results(),
            folder=Path(folder),
            subjects=_subjects(options.against),
            rounds=options.rounds,
            seconds=options.seconds,
            idle_seconds=options.idle,
            kafka_brokers=os.environ.get("KAFKA_BROKERS", "").strip(),
            begun=time.monotonic(),
        )
        bench.results.conditions |= {"at": datetime.now(UTC).isoformat(timespec="seconds"), **machine.described()}
        bench.results.conditions["commits"] = {subject.name: machine.commit_of(subject.checkout) for subject in bench.subjects}
        bench.results.conditions["broker"] = bench.kafka_brokers or "the embedded one"
        code = _measured(bench, options.only)
    bench.calibrate()
    bench.results.conditions |= {"seconds": round(time.monotonic() - bench.begun), "load_average_at_end": os.getloadavg()[0]}
    file = home / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    bench.results.write(file)
    say("", *printed(bench.results), "", f"figures: {file}")
    return code


def _measured(bench: Bench, parts: Sequence[str]) -> int:
    try:
        for name in parts:
            PARTS[name](bench)
    except KeyboardInterrupt:
        complain("interrupted: what follows is not complete")
        return 130
    except (StackError, RuntimeError, OSError) as error:
        complain(*f"make bench: {error}".split("\n"))
        return 1
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    given = {name: value for name, value in os.environ.items() if value.strip()}
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    against = [Path(text) for text in given.get("AGAINST", "").split()]
    parser.add_argument("--against", type=Path, action="append", default=against, help="another checkout to measure in turns with this one")
    parser.add_argument("--rounds", type=int, default=int(given.get("ROUNDS", ROUNDS)), help=f"of what is measured in turns ({ROUNDS})")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"at each number of orders in flight ({SECONDS:g})")
    parser.add_argument("--idle", type=float, default=IDLE_SECONDS, help=f"seconds to watch an idle stack ({IDLE_SECONDS:g})")
    only = given.get("ONLY", "").split()
    parser.add_argument("--only", action="append", choices=[*PARTS], help="measure this alone; may be given again")
    options = parser.parse_args(arguments)
    options.only = options.only or only or list(PARTS)
    if unknown := set(options.only) - set(PARTS):
        parser.error(f"ONLY knows {', '.join(PARTS)}, not {', '.join(sorted(unknown))}")
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


def _conditions(bench: Bench, variables: Mapping[str, str]) -> None:
    shown = ("SWEEP_SECONDS", "TRIGGER_READINGS", "STEP_TIMEOUT_SECONDS", "DATABASE_POOL_SIZE")
    bench.results.conditions["settings"] = {name: variables[name] for name in shown if name in variables}


def _load(figures: Mapping[str, float], level: int) -> str:
    of = {name.removeprefix(f"stack.{level}."): value for name, value in figures.items()}
    failed = f", {of['failed']:.0f} failed" if of["failed"] else ""
    costs = ", ".join(f"{name.removeprefix('cpu_ms.')} {value:.1f}" for name, value in of.items() if name.startswith("cpu_ms."))
    latency = f"p50 {of['p50_ms']:.0f} ms, p99 {of['p99_ms']:.0f} ms"
    return f"{of['orders_per_s']:.1f}/s, {latency}, {of['cpu_ms']:.1f} ms an order ({costs}){failed}"


if __name__ == "__main__":
    sys.exit(main())
