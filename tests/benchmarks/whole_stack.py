"""The whole stack: orders from POST with `Prefer: wait` to 201, their latency, and what the stack costs under load and idle."""

import re
import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.benchmarks.load import Load, connect, disconnect, one_after_another, orders_in_flight
from tests.benchmarks.machine import cpu_seconds
from tests.benchmarks.routes import READS
from tests.benchmarks.stacks import MemoryWatch, Running, database
from tests.support.api import Api

LEVELS = (1, 16, 64)
WARM_UP_SECONDS = 2.5
LATENCY_SAMPLES, LATENCY_PAUSE_SECONDS = 200, 0.05
# PostgreSQL counts what an idle connection has done ten seconds later at most.
SETTLE_SECONDS = 11.0
# A statement of the log, whichever of PostgreSQL's protocols it came by.
LOGGED = re.compile(r" LOG:  (?:statement|execute [^:]+): (.*)")
ON, OFF = "ALTER SYSTEM SET log_statement = 'all'", "ALTER SYSTEM RESET log_statement"
SCANS = "SELECT relname, coalesce(seq_scan, 0) FROM pg_stat_user_tables WHERE schemaname IN ('campusg', 'partners')"


def warm_up(stack: Running) -> None:
    """Have each connection made and each statement seen before anything is measured."""
    _loaded(stack, 8, WARM_UP_SECONDS)


def throughput(stack: Running, level: int, seconds: float) -> Mapping[str, float]:
    """Orders a second with so many in flight, their latency, and processor time an order by part; memory at its peak."""
    before = stack.cpu()
    with MemoryWatch(stack.pids) as memory:
        load = _loaded(stack, level, seconds)
    used = _since(before, stack)
    orders = len(load.milliseconds)
    costs = {name: seconds * 1000 / orders for name, seconds in used.items()}
    return {
        f"stack.{level}.orders_per_s": orders / load.seconds,
        f"stack.{level}.p50_ms": load.percentile(0.5),
        f"stack.{level}.p99_ms": load.percentile(0.99),
        f"stack.{level}.p99_over_p50": load.percentile(0.99) / load.percentile(0.5),
        f"stack.{level}.cpu_ms": sum(costs.values()),
        **{f"stack.{level}.cpu_ms.{name}": cost for name, cost in costs.items()},
        f"stack.{level}.client_cpu_ms": load.client_cpu_seconds * 1000 / orders,
        f"stack.{level}.failed": sum(load.others.values()),
        **{f"stack.{level}.rss_mb.{name}": size for name, size in memory.resident.items()},
        **{f"stack.{level}.pss_mb.{name}": size for name, size in memory.proportional.items()},
        f"stack.{level}.pss_mb": sum(memory.proportional.values()),
    }


def latency(stack: Running) -> Mapping[str, float]:
    """Milliseconds of 200 orders, one after the other with pauses."""
    [client] = clients = connect(stack.port, stack.token(), 1)
    load = _checked(one_after_another(client.place_order, LATENCY_SAMPLES, LATENCY_PAUSE_SECONDS))
    disconnect(clients)
    return {
        "latency.p50_ms": load.percentile(0.5),
        "latency.p90_ms": load.percentile(0.9),
        "latency.p99_ms": load.percentile(0.99),
        "latency.mean_ms": statistics.fmean(load.milliseconds),
    }


def idle(stack: Running, seconds: float) -> Mapping[str, float]:
    """Processor time, statements and sequential scans a minute with nothing to do, by part and table."""
    time.sleep(SETTLE_SECONDS)
    with _statements_logged(stack) as log:
        scans, size, cpu, begun = _scans(stack), log.stat().st_size, stack.cpu(), time.monotonic()
        time.sleep(seconds)
        minutes, used = (time.monotonic() - begun) / 60, _since(cpu, stack)
        with log.open() as file:
            file.seek(size)
            statements = len([text for text in LOGGED.findall(file.read()) if text != SCANS])
        scanned = {table: number - scans.get(table, 0) for table, number in _scans(stack).items()}
    return {
        "idle.cpu_percent": sum(used.values()) / minutes / 60 * 100,
        **{f"idle.cpu_percent.{name}": spent / minutes / 60 * 100 for name, spent in used.items()},
        "idle.statements_per_minute": statements / minutes,
        "idle.sequential_scans_per_minute": sum(scanned.values()) / minutes,
        **{f"idle.sequential_scans_per_minute.{table}": number / minutes for table, number in scanned.items() if number},
    }


def reads(stack: Running, number: int) -> Mapping[str, float]:
    """Reads over the gateway, one after the other on one connection: how many a second, and the slowest route's median."""
    created = Api(stack.url, stack.data_dir, "cust_1").order(wait=20).json()
    medians, requests, seconds, cpu = {}, 0, 0.0, cpu_seconds(stack.pids["gateway"])
    for path, caller in READS.items():
        target = path.format(order=created["order"]["orderId"], saga=created["saga"]["sagaId"])
        [client] = clients = connect(stack.port, stack.token(caller.roles[0], caller.sub), 1)
        load = _checked(one_after_another(partial(client.get, target), number, 0.0, expected=200))
        disconnect(clients)
        medians[path] = load.percentile(0.5)
        requests, seconds = requests + number, seconds + load.seconds
    return {
        "gateway.reads_per_s": requests / seconds,
        "gateway.read_p50_ms": statistics.median(medians.values()),
        "gateway.read_cpu_ms": (cpu_seconds(stack.pids["gateway"]) - cpu) * 1000 / requests,
        **{f"gateway.read_p50_ms.{path}": value for path, value in medians.items()},
    }


def _since(before: Mapping[str, float], stack: Running) -> Mapping[str, float]:
    return {name: seconds - before.get(name, 0.0) for name, seconds in stack.cpu().items()}


def _loaded(stack: Running, level: int, seconds: float) -> Load:
    clients = connect(stack.port, stack.token(), level)
    try:
        return _checked(orders_in_flight(clients, seconds))
    finally:
        disconnect(clients)


def _checked(load: Load) -> Load:
    if not load.milliseconds:
        raise RuntimeError(f"no order has ended well: {dict(load.others)}")
    return load


@contextmanager
def _statements_logged(stack: Running) -> Iterator[Path]:
    """Have the embedded server write every statement to its log while the block runs; the log."""
    with database(stack.database_url) as cursor:
        cursor.execute(ON)
        cursor.execute("SELECT pg_reload_conf()")
    try:
        # What the reload itself writes is not counted.
        time.sleep(0.5)
        yield stack.data_dir / "logs" / "postgres.log"
    finally:
        with database(stack.database_url) as cursor:
            cursor.execute(OFF)
            cursor.execute("SELECT pg_reload_conf()")


def _scans(stack: Running) -> Mapping[str, int]:
    with database(stack.database_url) as cursor:
        cursor.execute(SCANS)
        return {str(table): int(number) for table, number in cursor.fetchall()}
