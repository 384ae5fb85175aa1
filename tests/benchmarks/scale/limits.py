"""What a deployment's resources are asked for at a load, against what they give, and which knob moves each."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from tests.benchmarks.scale import figures
from tests.benchmarks.scale.bounds import Creation, creation
from tests.benchmarks.scale.deployment import PURGED_A_MINUTE, Deployment, pollers_for
from tests.benchmarks.scale.place import STEPS
from tests.benchmarks.scale.sizes import BROKERS, INSTANCES

LEAST_LOAD, MOST_LOAD = 1.0, 1e8
ROUNDS = 28
# Above this share of a resource a plan has more of it: the rest is for what comes all at once.
TARGET = 0.7
PAGE = 8_192


@dataclass(frozen=True)
class Use:
    """A resource: how much of it is asked for, how much there is, and how to have more (None: nothing is left to turn).

    Where it is asked for as long as others take, its `rank` is higher than theirs: they are to be helped first. A `slow` one fills over
    days, and no request notices before it is full.
    """

    name: str
    asked: float
    given: float
    unit: str
    knob: str
    raised: Deployment | None
    rank: int = 0
    slow: bool = False

    @property
    def share(self) -> float:
        """The utilisation: above 1 the resource breaks."""
        return self.asked / self.given


@lru_cache(maxsize=4096)
def expected(deployment: Deployment, per_minute: float) -> Creation:
    """The creation at a load on a deployment."""
    return creation(deployment.place, per_minute / 60)


def uses(deployment: Deployment, per_minute: float) -> list[Use]:
    """Every resource at this load, the one nearest to its limit first."""
    found = expected(deployment, per_minute)
    every = [*_functions(deployment, found), *_kafka(deployment, found), *_database(deployment, found), *_storage(deployment, found)]
    return sorted(every, key=lambda use: -use.share)


@lru_cache
def capacity(deployment: Deployment) -> float:
    """Orders a minute up to which nothing breaks that a request would notice."""
    return _most(lambda load: all(use.share <= 1 or use.slow for use in uses(deployment, load)))


@lru_cache
def breaking_points(deployment: Deployment) -> list[tuple[float, Use]]:
    """For each resource the orders a minute at which it breaks, the first first."""
    names = [use.name for use in uses(deployment, LEAST_LOAD)]
    points = [(_breaks(deployment, name), name) for name in names]
    return [(load, _named(deployment, load, name)) for load, name in sorted(points)]


@dataclass(frozen=True)
class Plan:
    """A deployment turned up for a load, the knobs that were turned, and how many such deployments share the load."""

    deployment: Deployment
    turned: tuple[str, ...]
    copies: int
    per_minute: float

    @property
    def uses(self) -> list[Use]:
        """The resources of one of them."""
        return uses(self.deployment, self.per_minute / self.copies)

    @property
    def expected(self) -> Creation:
        """The creation on one of them."""
        return expected(self.deployment, self.per_minute / self.copies)


@lru_cache
def grown(per_minute: float, start: Deployment, target: float = TARGET) -> Plan:
    """A deployment turned up, knob by knob, until no resource is above `target`; where nothing is left to turn, several share the load."""
    copies = 1
    while (found := _turned_up(per_minute / copies, start, target)) is None:
        copies += 1
    return Plan(*found, copies, per_minute)


def _turned_up(per_minute: float, start: Deployment, target: float) -> tuple[Deployment, tuple[str, ...]] | None:
    deployment = start
    turned: list[str] = []
    while over := [use for use in uses(deployment, per_minute) if use.share > target]:
        root = min(over, key=lambda use: (use.rank, -use.share))
        if root.raised is None:
            return None
        deployment = root.raised
        turned.append(root.knob)
    return deployment, tuple(dict.fromkeys(turned))


def _functions(deployment: Deployment, found: Creation) -> Iterator[Use]:
    rate = found.per_second
    batching = STEPS * rate / found.batches.size * (found.batches.work_ms - figures.PICKUP_MS) / 1000
    running = rate * found.function_ms / 1000 + batching
    more = replace(deployment, concurrency=deployment.concurrency * 2)
    yield Use("functions at a time", running, deployment.concurrency, "", "quota of concurrent functions", more, rank=2)
    more = replace(deployment, api_requests=deployment.api_requests * 2)
    yield Use("requests of API Gateway", rate, deployment.api_requests, "/s", "quota of API requests", more)
    # Each function in use has a connection to every broker.
    more = replace(deployment, broker_connections=deployment.broker_connections * 2)
    yield Use("connections to a broker", running, deployment.broker_connections, "", "the brokers' connection limit", more, rank=2)
    if not deployment.proxy:
        given = replace(deployment, proxy=True)
        yield Use("connections to the database", running, deployment.max_connections, "", "RDS Proxy", given, rank=2)


def _kafka(deployment: Deployment, found: Creation) -> Iterator[Use]:
    rate, pollers = found.per_second, deployment.pollers
    more = replace(deployment, partitions=deployment.partitions * 2)
    if deployment.lanes < deployment.partitions:
        more = replace(deployment, pollers=pollers_for(deployment.partitions))
    yield Use("batches of a topic", rate, found.batches.capacity_s, "replies/s", "partitions, and pollers for them", more, rank=1)
    given = pollers * figures.POLLER_BYTES
    fuller = replace(deployment, pollers=pollers * 2) if pollers * 2 <= figures.MOST_POLLERS else None
    yield Use("bytes through a topic's pollers", rate * figures.REPLY_BYTES / STEPS, given, "bytes/s", "pollers", fuller)
    larger = replace(deployment, broker=deployment.broker + 1) if deployment.broker + 1 < len(BROKERS) else None
    written, most = rate * (figures.COMMAND_BYTES + figures.REPLY_BYTES) / 1e6, deployment.kafka.ingress_mb_s * deployment.brokers
    yield Use("bytes into the brokers", written, most, "MB/s", "size of the brokers", larger)


def _database(deployment: Deployment, found: Creation) -> Iterator[Use]:
    larger = replace(deployment, instance=deployment.instance + 1) if deployment.instance + 1 < len(INSTANCES) else None
    size = "class of the instance"
    yield Use("processors of the database", found.pool_use * deployment.database.vcpus, deployment.database.vcpus, "", size, larger)
    if deployment.proxy:
        rate = found.per_second
        looks = deployment.place.looks * (figures.LOOK_DATABASE + figures.CROSSING_MS)
        busy = rate * (found.transaction_ms + looks) / 1000 + STEPS * rate / found.batches.size * found.batch_transaction_ms / 1000
        yield Use("connections to the database", busy, deployment.max_connections, "", size, larger, rank=2)


def _storage(deployment: Deployment, found: Creation) -> Iterator[Use]:
    load, rate = found.per_second * 60, found.per_second
    larger = replace(deployment, instance=deployment.instance + 1) if deployment.instance + 1 < len(INSTANCES) else None
    size = "class of the instance"
    written = rate * (figures.WAL_BYTES + 2 * figures.PAGES * PAGE)
    flushes = min(found.commits_s, 1000 / figures.FLUSH_MS)
    log = max(flushes, rate * (figures.WAL_BYTES + figures.PAGES * PAGE) / figures.WRITE_BYTES)
    operations = log + rate * figures.PAGES
    yield Use("operations of the instance's EBS link", operations, deployment.database.ebs_iops, "/s", size, larger)
    yield Use("bytes over the instance's EBS link", written / 1e6, deployment.database.ebs_mb_s, "MB/s", size, larger)
    given = deployment.storage_iops(load)
    yield Use("operations of the volume", operations, given, "/s", "operations of the volume", _faster(deployment, load, iops=2 * given))
    through = deployment.storage_throughput(load)
    faster = _faster(deployment, load, mb_s=2 * through)
    yield Use("bytes to the volume", written / 1e6, through, "MB/s", "throughput of the volume", faster)
    sooner = replace(deployment, purge_after_days=max(1, deployment.purge_after_days // 2)) if deployment.purge_after_days > 1 else None
    yield Use(
        "size of the volume", deployment.storage_gb(load), figures.MOST_STORAGE_GB, "GB", "days until orders are purged", sooner, slow=True
    )
    more = replace(deployment, purge_schedules=deployment.purge_schedules * 2)
    purged = deployment.purge_schedules * PURGED_A_MINUTE
    yield Use("orders that the purge deletes", load, purged, "/min", "schedules of purge_expired", more, slow=True)


def _faster(deployment: Deployment, load: float, *, iops: float = 0.0, mb_s: float = 0.0) -> Deployment | None:
    """More of the volume, if there is more: a striped one first, which is faster without further payment."""
    volume = deployment.volume(load)
    if volume.most_iops <= volume.iops:
        return replace(deployment, least_storage_gb=int(figures.STRIPE_GB))
    if iops > volume.most_iops or mb_s > volume.most_mb_s:
        return None
    return replace(deployment, iops=max(deployment.iops, int(iops)), storage_mb_s=max(deployment.storage_mb_s, int(mb_s)))


def _breaks(deployment: Deployment, name: str) -> float:
    return _most(lambda load: _named(deployment, load, name).share <= 1)


def _named(deployment: Deployment, load: float, name: str) -> Use:
    return next(use for use in uses(deployment, load) if use.name == name)


def _most(holds: Callable[[float], bool]) -> float:
    """The highest load at which this holds, given that it holds at every lower one; without end where it always does."""
    low, high = LEAST_LOAD, MOST_LOAD
    if holds(high):
        return math.inf
    for _ in range(ROUNDS):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
