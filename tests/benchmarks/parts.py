"""What `make bench` measures, a function a part: which servers it needs, what takes turns with what, and the names of its figures."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from kafka import KafkaConsumer, OffsetAndMetadata, TopicPartition

from chalicelib.db.migrations import upgrade
from chalicelib.messages.topics import PARTITIONS, SETTINGS, TRIGGERS
from infra.console import say
from infra.esm.fetch_request import LONGEST_WAIT_SECONDS
from infra.partners.service import GROUP, MAX_BATCH
from infra.stack.broker import EMBEDDED_TOPIC_CONFIG, ensure_topics
from infra.stack.devkeys import jwks_file
from infra.stack.ports import free_port
from infra.stack.postgres import start_postgres
from tests.benchmarks import cold_start, machine, peers, whole_stack
from tests.benchmarks.results import OURS, Results
from tests.benchmarks.stacks import Running, Subject, database, program_at, running
from tests.benchmarks.workers import Worker, worker
from tests.support.servers import running_broker

BATCHES = (1, 10, 100, 500)
ENGINE_SECONDS, PGBENCH_SECONDS = 1.5, 2
POSTS, READS, JOBS = 100, 30, 5
GROWTH_ROUNDS = 5
READS_OVER_GATEWAY = 60
SAGAS_COUNTED = 40
RELOAD_SECONDS = 0.5
COLD_STARTS = 3
PEER_LEVELS = (16, 64)
# The databases of growth.
FEW, MANY = "few", "many"


@dataclass
class Bench:
    """One run: what it is to measure, and what it has measured."""

    results: Results
    folder: Path
    subjects: Sequence[Subject]
    rounds: int
    seconds: float
    idle_seconds: float
    few: int
    many: int
    kafka_brokers: str
    begun: float

    def tell(self, what: str) -> None:
        """Print how far it is."""
        seconds = int(time.monotonic() - self.begun)
        say(f"{seconds // 60:3d}:{seconds % 60:02d}  {what}")

    def note_server(self, url: str) -> None:
        """Keep what the server of a database promises of a commit."""
        with database(url) as cursor:
            cursor.execute("SELECT current_setting('server_version'), current_setting('synchronous_commit'), current_setting('fsync')")
            version, commit, fsync = cursor.fetchone()
        self.results.conditions |= {"server_version": version, "commit": f"synchronous_commit {commit}, fsync {fsync}"}

    def calibrate(self) -> None:
        """Time the fixed piece of work once more."""
        self.results.calibrations.append(machine.calibrate())


def settings(kafka_brokers: str) -> Mapping[str, str | int | float]:
    """What the speed of messages hangs on."""
    return {
        "broker": f"{kafka_brokers} ({program_at(kafka_brokers)})" if kafka_brokers else "the embedded one",
        "fetch_max_wait_ms": LONGEST_WAIT_SECONDS * 1000,
        "trigger_batch_size": TRIGGERS[0].batch_size,
        "trigger_window_seconds": TRIGGERS[0].window_seconds,
        "partners_batch_size": MAX_BATCH,
    }


def whole_stacks(bench: Bench) -> None:
    """Stacks of all checkouts in turns, at each level, and their latency; our own idle and asked to read in the first round."""
    variables = {"KAFKA_BROKERS": bench.kafka_brokers} if bench.kafka_brokers else {}
    for number in range(bench.rounds):
        for subject in bench.subjects:
            bench.calibrate()
            bench.tell(f"whole stack of {subject.name}, round {number + 1} of {bench.rounds}")
            with running(subject, bench.folder / f"{subject.name}-{number}", **variables) as stack:
                bench.note_server(stack.database_url)
                whole_stack.warm_up(stack)
                for level in whole_stack.LEVELS:
                    figures = whole_stack.throughput(stack, level, bench.seconds)
                    bench.results.add_all(figures, subject.name)
                    bench.tell(f"  {level:2d} in flight: {_load(figures, level)}")
                if number == 0:
                    _calm(bench, stack)


def _calm(bench: Bench, stack: Running) -> None:
    """What is measured of a stack with little or nothing to do."""
    figures = whole_stack.latency(stack)
    bench.results.add_all(figures, stack.subject.name)
    bench.tell(f"  low load: p50 {figures['latency.p50_ms']:.1f} ms, p99 {figures['latency.p99_ms']:.1f} ms")
    if stack.subject.name != OURS:
        return
    bench.tell(f"  idle, {bench.idle_seconds:.0f} s")
    figures = whole_stack.idle(stack, bench.idle_seconds)
    bench.results.add_all(figures)
    scans = {name.rpartition(".")[2]: number for name, number in figures.items() if name.startswith("idle.sequential_scans_per_minute.")}
    if scans:
        told = ", ".join(f"{table} {number:.0f}" for table, number in scans.items())
        bench.results.notes.append(f"idle, sequential scans a minute: {told}")
    figures = whole_stack.reads(stack, READS_OVER_GATEWAY)
    bench.results.add_all(figures)
    bench.tell(f"  reads over the gateway: {figures['gateway.reads_per_s']:.0f}/s, p50 {figures['gateway.read_p50_ms']:.1f} ms")


def engine(bench: Bench) -> None:
    """The engine in batches, in turns with the ceiling of one Python process and with pgbench; one POST; bytes and rows of a saga."""
    with _Servers(bench) as servers, servers.inside(OURS) as ours, servers.limits() as limits:
        for number in range(bench.rounds):
            bench.calibrate()
            for batch in BATCHES:
                mine = ours.call("replies", batch=batch, seconds=ENGINE_SECONDS)
                ceiling = limits.call("python", batch=batch, seconds=ENGINE_SECONDS)
                bench.results.add_all({f"engine.{batch}.{name}": value for name, value in mine.items()})
                bench.results.add_all({f"ceiling.{batch}.{name}": value for name, value in ceiling.items()})
                bench.results.add(f"engine.{batch}.of_ceiling", mine["sagas_per_s"] / ceiling["sagas_per_s"])
                bench.tell(
                    f"engine, round {number + 1} of {bench.rounds}, batch {batch:3d}: {mine['sagas_per_s']:.0f} sagas/s, "
                    f"{mine['cpu_ms']:.2f} + {mine['postgres_cpu_ms']:.2f} ms a saga; ceiling {ceiling['sagas_per_s']:.0f}/s"
                )
                if batch == BATCHES[2]:
                    pgbench = limits.call("pgbench", seconds=PGBENCH_SECONDS, folder=str(bench.folder))
                    bench.results.add_all({f"pgbench.{name}": value for name, value in pgbench.items()})
                    bench.results.add("engine.100.of_pgbench", mine["sagas_per_s"] / pgbench["sagas_per_s"])
                    bench.tell(f"pgbench, six small transactions a saga, each pipelined: {pgbench['sagas_per_s']:.0f} sagas/s")
            posts = ours.call("posts", number=POSTS)
            bench.results.add_all({f"post.{name}": value for name, value in posts.items()})
            bench.tell(f"one POST in process: p50 {posts['p50_ms']:.2f} ms, {posts['cpu_ms']:.2f} ms of processor")
        for batch in (BATCHES[0], BATCHES[-1]):
            bench.results.add_all({f"batch.{name}": number for name, number in ours.call("counts", batch=batch).items()})
        servers.write_no_whole_pages()
        counted = ours.call("sizes", sagas=SAGAS_COUNTED)
        bench.results.add_all({f"bytes.{kind}": size for kind, size in counted["messages"].items()})
        bench.results.add_all({f"saga.{name.replace(' ', '.')}": number for name, number in counted["written"].items()})
        bench.tell(f"one saga writes {counted['written']['wal_bytes']:.0f} bytes of the log")


def growth(bench: Bench) -> None:
    """Everything that reads or writes, in process, in turns on a database with few and one with many finished orders."""
    with _Servers(bench) as servers, servers.inside(FEW) as few, servers.inside(MANY) as many:
        for name, side, number in ((FEW, few, bench.few), (MANY, many, bench.many)):
            bench.tell(f"growth: {number:,} finished orders are made")
            side.call("grow", number=number)
            bench.results.conditions[f"{name}_orders"] = number
        sides = {FEW: few, MANY: many}
        for turn in range(GROWTH_ROUNDS):
            bench.calibrate()
            for name, side in list(sides.items())[:: 1 if turn % 2 else -1]:
                bench.results.add_all(_of_any_size(side), name)
            bench.tell(f"growth, round {turn + 1} of {GROWTH_ROUNDS}")
        asked = many.call("reads", number=1)
        bench.results.add("read.statements", max(found["statements"] for found in asked.values()))
    # What disturbs a measurement makes it longer, never shorter.
    fastest = {side: {name: min(values) for name, values in bench.results.figures[side].items()} for side in (FEW, MANY)}
    ratios = {name: fastest[MANY][name] / value for name, value in fastest[FEW].items()}
    bench.results.add_all({f"growth.{name}": ratio for name, ratio in ratios.items()})
    worst = sorted(ratios, key=lambda name: -ratios[name])
    bench.results.add("growth", ratios[worst[0]])
    told = ", ".join(f"{name} {ratios[name]:.2f}" for name in worst[:3])
    bench.results.notes.append(f"growth, {bench.few:,} and {bench.many:,} finished orders, worst of all: {told}")
    slowest = max((name for name in fastest[FEW] if name.startswith("read ")), key=lambda name: fastest[FEW][name])
    bench.results.add("read.p50_ms", fastest[FEW][slowest])
    bench.results.notes.append(f"in process, slowest to be read: {slowest.removeprefix('read ')}")


def _of_any_size(side: Worker) -> Mapping[str, float]:
    """What takes as long with many orders as with few, or should."""
    figures = {
        "POST": side.call("posts", number=POSTS)["p50_ms"],
        "engine, batch 100": 1000 / side.call("replies", batch=100, seconds=0)["sagas_per_s"],
    }
    figures |= {f"read {path}": found["p50_ms"] for path, found in side.call("reads", number=READS).items()}
    return figures | {f"job {name}": found["p50_ms"] for name, found in side.call("jobs", number=JOBS).items()}


def cold_starts(bench: Bench) -> None:
    """Imports in processes of their own, in turns."""
    for number in range(COLD_STARTS):
        for variant in cold_start.VARIANTS:
            bench.results.add_all({f"cold.{variant}.{name}": value for name, value in cold_start.imported(variant).items()})
        bench.tell(f"cold starts, round {number + 1} of {COLD_STARTS}")
    for variant in cold_start.VARIANTS:
        # What disturbs an import makes it longer, never shorter.
        fastest = min(bench.results.values(f"cold.{variant}.cpu_ms")) / min(bench.results.values("cold.naive.cpu_ms"))
        bench.results.add(f"cold.{variant}.of_naive", fastest)
    bench.results.notes.append(f"cold start, not measured: {cold_start.NOT_MEASURED}")


def with_peers(bench: Bench) -> None:
    """The whole stack in turns with DBOS, each alone on the machine; latency in the first round."""
    variables = {"KAFKA_BROKERS": bench.kafka_brokers} if bench.kafka_brokers else {}
    for number in range(bench.rounds):
        bench.calibrate()
        bench.tell(f"whole stack, round {number + 1} of {bench.rounds}")
        with running(bench.subjects[0], bench.folder / f"peer-{number}", **variables) as stack:
            bench.note_server(stack.database_url)
            whole_stack.warm_up(stack)
            for level in PEER_LEVELS:
                figures = whole_stack.throughput(stack, level, bench.seconds)
                bench.results.add_all(figures)
                bench.tell(f"  {level} in flight: {_load(figures, level)}")
            if number == 0:
                bench.results.add_all(whole_stack.latency(stack))
        figures = peers.dbos(bench.folder / f"dbos-{number}", bench.seconds)
        bench.results.add_all(figures)
        bench.results.add("peers.times_dbos", bench.results.values("stack.64.orders_per_s")[-1] / figures["dbos.orders_per_s"])
        bench.tell(
            f"DBOS, two processes of eight threads: {figures['dbos.orders_per_s']:.1f}/s, {figures['dbos.cpu_ms']:.1f} ms an order; "
            f"low load: p50 {figures['dbos.p50_ms']:.1f} ms, p99 {figures['dbos.p99_ms']:.1f} ms"
        )


PARTS: Mapping[str, Callable[[Bench], None]] = {"stack": whole_stacks, "engine": engine, "growth": growth, "cold": cold_starts}
# By `make bench-peers`: needs more than the project does.
PEERS: Mapping[str, Callable[[Bench], None]] = {"peers": with_peers}


class _Servers:
    """An embedded PostgreSQL, and a broker unless one is given, for workers."""

    def __init__(self, bench: Bench) -> None:
        self._bench, self._open = bench, ExitStack()

    def __enter__(self) -> "_Servers":
        folder = self._bench.folder / f"servers-{len(list(self._bench.folder.iterdir()))}"
        folder.mkdir()
        self._keys = folder
        self._postgres, self._process = start_postgres(folder, free_port(), folder / "postgres.log")
        self._open.callback(self._process.stop)
        self._brokers = self._bench.kafka_brokers or self._open.enter_context(running_broker(folder)).bootstrap
        self._bench.note_server(self._postgres.url("postgres"))
        ensure_topics(self._brokers, PARTITIONS, None if self._bench.kafka_brokers else EMBEDDED_TOPIC_CONFIG, SETTINGS)
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()
        if self._bench.kafka_brokers:
            skip_commands(self._bench.kafka_brokers)

    def write_no_whole_pages(self) -> None:
        """Have the log tell what a saga writes, not how many pages it is the first to touch since a checkpoint."""
        self._postgres.execute("ALTER SYSTEM SET full_page_writes = off")
        self._postgres.execute("SELECT pg_reload_conf()")
        time.sleep(RELOAD_SECONDS)

    @contextmanager
    def inside(self, name: str) -> Iterator[Worker]:
        """The functions in a process of their own, on a database of that name."""
        self._postgres.ensure_database(name)
        upgrade(self._postgres.url(name))
        variables = {
            "DATABASE_URL": self._postgres.url(name),
            "DATABASE_POOL_SIZE": "4",
            "KAFKA_BROKERS": self._brokers,
            "DEV_JWKS_FILE": str(jwks_file(self._keys)),
            "KEYS": str(self._keys),
            "POWERTOOLS_METRICS_DISABLED": "true",
            "POSTGRES_PID": str(self._process.pid),
        }
        with worker("inside", self._keys / f"{name}.log", variables) as started:
            yield started

    @contextmanager
    def limits(self) -> Iterator[Worker]:
        """The yardsticks, on a database of their own."""
        self._postgres.ensure_database("limits")
        variables = {"LIMITS_URL": self._postgres.url("limits"), "POSTGRES_PID": str(self._process.pid)}
        with worker("limits", self._keys / "limits.log", variables) as started:
            yield started


def skip_commands(brokers: str) -> None:
    """Have the simulated partners of the next stack on this broker begin behind the commands that it holds: they are of sagas long gone."""
    consumer = KafkaConsumer(bootstrap_servers=brokers.split(","), group_id=GROUP, enable_auto_commit=False)
    topics = [topic for topic in PARTITIONS if topic.endswith("-commands")]
    ends = consumer.end_offsets([TopicPartition(topic, number) for topic in topics for number in range(PARTITIONS[topic])])
    consumer.assign(list(ends))
    consumer.commit({partition: OffsetAndMetadata(end, "", -1) for partition, end in ends.items()})
    consumer.close()


def _load(figures: Mapping[str, float], level: int) -> str:
    of = {name.removeprefix(f"stack.{level}."): value for name, value in figures.items()}
    failed = f", {of['failed']:.0f} failed" if of["failed"] else ""
    costs = ", ".join(f"{name.removeprefix('cpu_ms.')} {value:.1f}" for name, value in of.items() if name.startswith("cpu_ms."))
    latency = f"p50 {of['p50_ms']:.0f} ms, p99 {of['p99_ms']:.0f} ms"
    return f"{of['orders_per_s']:.1f}/s, {latency}, {of['cpu_ms']:.1f} ms an order ({costs}){failed}"
