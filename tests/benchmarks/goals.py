"""What is to be reached: the figures in the order of the table, each with its goal if it has one. They stand here and nowhere else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tests.benchmarks.results import Results

Verdict = Literal["met", "missed", "not measured", ""]


@dataclass(frozen=True)
class Figure:
    """A line of the table. `at_most` and `at_least` are its goal."""

    name: str
    says: str
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None

    @property
    def goal(self) -> str:
        """The goal in words."""
        if self.at_most is not None:
            return f"≤ {self.at_most:g}"
        return f"≥ {self.at_least:g}" if self.at_least is not None else ""

    def judged(self, value: float | None) -> Verdict:
        """Whether a value meets the goal; empty where there is none."""
        if not self.goal:
            return ""
        if value is None:
            return "not measured"
        met = (self.at_most is None or value <= self.at_most) and (self.at_least is None or value >= self.at_least)
        return "met" if met else "missed"


TABLES, KINDS = ("orders", "sagas", "order_history", "partner_ids", "outbox"), ("inserted", "updated", "deleted")
# As they are called in a stack's figures; `rest` is what is of none of them.
PROCESSES = ("gateway", "triggers", "partners", "broker", "postgres", "rest")


def _by_process(level: int) -> list[Figure]:
    return [Figure(f"stack.{level}.cpu_ms.{name}", f"  of which {name}", "ms") for name in PROCESSES]


FIGURES: Mapping[str, Sequence[Figure]] = {
    "a batch of replies, with 1 and with 500 sagas": (
        Figure("batch.statements", "statements", at_most=7),
        Figure("batch.transactions", "transactions", at_most=2),
        Figure("batch.round_trips", "crossings of the network", at_most=3),
    ),
    "whole stack, 64 in flight": (
        Figure("stack.64.orders_per_s", "orders", "1/s", at_least=150),
        Figure("stack.64.cpu_ms", "processor time an order", "ms", at_most=10),
        *_by_process(64),
        Figure("stack.64.p50_ms", "latency, p50", "ms"),
        Figure("stack.64.p99_ms", "latency, p99", "ms"),
    ),
    "whole stack, 16 in flight": (
        Figure("stack.16.orders_per_s", "orders", "1/s", at_least=110),
        Figure("stack.16.cpu_ms", "processor time an order", "ms", at_most=13),
        *_by_process(16),
        Figure("stack.16.p50_ms", "latency, p50", "ms"),
        Figure("stack.16.p99_ms", "latency, p99", "ms"),
        Figure("stack.16.p99_over_p50", "p99 over p50", at_most=3),
    ),
    "whole stack, 1 in flight": (
        Figure("stack.1.orders_per_s", "orders", "1/s"),
        Figure("stack.1.cpu_ms", "processor time an order", "ms"),
        *_by_process(1),
    ),
    "latency at low load": (
        Figure("latency.p50_ms", "p50", "ms", at_most=28),
        Figure("latency.p99_ms", "p99", "ms", at_most=60),
    ),
    "beside DBOS, whose five steps are local functions": (
        Figure("peers.times_dbos", "orders at 64 in flight, times DBOS", at_least=3),
        Figure("dbos.orders_per_s", "DBOS: orders", "1/s"),
        Figure("dbos.cpu_ms", "DBOS: processor time an order", "ms"),
        Figure("dbos.p50_ms", "DBOS at low load: p50", "ms"),
        Figure("dbos.p99_ms", "DBOS at low load: p99", "ms"),
    ),
    "engine": (
        Figure("engine.100.of_ceiling", "batch 100, of the ceiling of one Python process", at_least=0.35),
        Figure("engine.100.cpu_ms", "batch 100, Python a saga", "ms", at_most=1.0),
        Figure("engine.100.postgres_cpu_ms", "batch 100, PostgreSQL a saga", "ms", at_most=0.5),
        Figure("engine.100.of_pgbench", "batch 100, of pgbench with small transactions", at_least=1),
        *(Figure(f"engine.{batch}.sagas_per_s", f"batch {batch}", "sagas/s") for batch in (1, 10, 100, 500)),
        *(Figure(f"ceiling.{batch}.sagas_per_s", f"ceiling, batch {batch}", "sagas/s") for batch in (1, 10, 100, 500)),
        Figure("pgbench.sagas_per_s", "pgbench", "sagas/s"),
    ),
    "one POST in process": (
        Figure("post.cpu_ms", "processor time", "ms", at_most=2.5),
        Figure("post.p50_ms", "p50", "ms"),
    ),
    "reads": (
        Figure("read.statements", "statements a request, at most", at_most=1),
        Figure("read.p50_ms", "in process, p50 of the slowest route", "ms", at_most=3),
        Figure("gateway.read_p50_ms", "over the gateway, p50", "ms"),
        Figure("gateway.reads_per_s", "over the gateway, one connection", "1/s"),
        Figure("gateway.read_cpu_ms", "over the gateway, its processor time a request", "ms", at_most=3),
    ),
    "growth": (Figure("growth", "times as slow with many finished orders, worst", at_most=1.2),),
    "idle": (
        Figure("idle.cpu_percent", "of one core", "%", at_most=5),
        Figure("idle.statements_per_minute", "statements a minute"),
        Figure("idle.sequential_scans_per_minute", "sequential scans a minute", at_most=0),
    ),
    "memory, peak at 64 in flight": (
        Figure("stack.64.rss_mb.gateway", "API: resident, largest process", "MB", at_most=130),
        Figure("stack.64.rss_mb.triggers", "triggers: resident, largest process", "MB", at_most=130),
        Figure("stack.64.pss_mb", "whole stack, proportional", "MB"),
        *(Figure(f"stack.64.pss_mb.{name}", f"  of which {name}", "MB") for name in PROCESSES[:-1]),
    ),
    "cold start, import of the functions": (
        Figure("cold.http.of_naive", "HTTP, of the naive package", at_most=0.25),
        Figure("cold.authorizer.of_naive", "authorizer, of the naive package", at_most=0.12),
        Figure("cold.replies.of_naive", "functions that take replies, of the naive package"),
        Figure("cold.schedules.of_naive", "scheduled functions, of the naive package"),
        Figure("cold.compiled.of_naive", "all imported by each, with compiled files"),
        Figure("cold.chalice.of_naive", "the same without, as Chalice packages it"),
        Figure("cold.naive.cpu_ms", "naive package", "ms"),
        Figure("cold.naive.mb", "naive package", "MB"),
        Figure("cold.http.mb", "HTTP", "MB"),
        Figure("cold.authorizer.mb", "authorizer", "MB"),
    ),
    "bytes, one create_order": (
        Figure("saga.wal_bytes", "log of PostgreSQL, without whole pages", at_most=15_000),
        Figure("bytes.payment.authorize", "a command, payment.authorize"),
        Figure("bytes.order.status_changed", "an event, order.status_changed"),
        *(Figure(f"saga.{table}.{kind}", f"rows of {table} {kind}") for table in TABLES for kind in KINDS),
    ),
}
# How many times the throughput at 64 in flight of earlier code is to be reached, by its commit.
EARLIER_CODE = {
    "fa22587": Figure("orders_per_s", "times the code before any of this was measured", at_least=4),
    "3c3973d": Figure("orders_per_s", "times the code before publishing from memory", at_least=2.5),
}


@dataclass(frozen=True)
class Line:
    """A figure with what was measured; `values` are the rounds'."""

    section: str
    figure: Figure
    values: Sequence[float]
    median: float | None

    @property
    def verdict(self) -> Verdict:
        """Whether the goal is met."""
        return self.figure.judged(self.median)


def lines(results: Results) -> list[Line]:
    """The table's lines, also of what was not measured."""
    return [
        Line(section, figure, results.values(figure.name), results.median(figure.name))
        for section, figures in FIGURES.items()
        for figure in figures
    ]
