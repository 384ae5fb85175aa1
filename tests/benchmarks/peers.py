"""What others would pick, on the embedded PostgreSQL with the same settings: DBOS, from an environment of its own (`make bench-peers`)."""

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from infra.stack.ports import free_port
from infra.stack.postgres import start_postgres
from tests.benchmarks.machine import cpu_seconds
from tests.support.stack import ROOT

PYTHON = ROOT / ".tools" / "bench-peers" / "bin" / "python"
SCRIPT = Path(__file__).with_name("dbos_orders.py")
# One to four processes of four to sixteen threads were tried; none was clearly faster.
PROCESSES, THREADS = 2, 8
SAMPLES, PAUSE_SECONDS = 200, 0.05
END_PATIENCE_SECONDS = 60


class NoPeersError(RuntimeError):
    """The environment is missing; the message says what makes it."""


def dbos(folder: Path, seconds: float) -> Mapping[str, float]:
    """Orders a second of two processes, processor time an order with PostgreSQL's, and latency of one process at low load."""
    if not PYTHON.exists():
        raise NoPeersError("DBOS is not there: `make bench-peers` brings it")
    folder.mkdir()
    server, postgres = start_postgres(folder, free_port(), folder / "postgres.log")
    try:
        server.ensure_database("dbos")
        url = server.url("dbos").replace("+pg8000", "")
        with _started(url, PROCESSES, "throughput", seconds, THREADS) as processes:
            before = cpu_seconds(postgres.pid)
            done = _answers(processes)
            # A connection that is just ending counts neither as a process nor as one that was waited for.
            time.sleep(0.3)
            used = cpu_seconds(postgres.pid) - before
        orders = sum(each["orders"] for each in done)
        costs = {"python": sum(each["cpu_seconds"] for each in done) * 1000 / orders, "postgres": used * 1000 / orders}
        with _started(url, 1, "latency", SAMPLES, PAUSE_SECONDS) as processes:
            [latency] = _answers(processes)
    finally:
        postgres.stop()
    return {
        "dbos.orders_per_s": orders / max(each["seconds"] for each in done),
        "dbos.cpu_ms": sum(costs.values()),
        **{f"dbos.cpu_ms.{name}": cost for name, cost in costs.items()},
        **{f"dbos.{name}": value for name, value in latency.items()},
    }


@contextmanager
def _started(url: str, number: int, *arguments: object) -> Iterator[list["subprocess.Popen[str]"]]:
    """Processes that are ready to work."""
    with ExitStack() as ending:
        processes = []
        for place in range(number):
            process = subprocess.Popen(
                [str(each) for each in (PYTHON, SCRIPT, url, f"executor-{place}", *arguments)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            ending.callback(process.wait, END_PATIENCE_SECONDS)
            ending.callback(process.kill)
            assert process.stdout
            # One after the other: the first makes the tables.
            if process.stdout.readline() != "ready\n":
                raise RuntimeError("DBOS did not start")
            processes.append(process)
        yield processes


def _answers(processes: list["subprocess.Popen[str]"]) -> list[Mapping[str, float]]:
    """Have all begin at once, and wait for what each has measured."""
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    return [json.loads(process.stdout.readline()) for process in processes if process.stdout]
