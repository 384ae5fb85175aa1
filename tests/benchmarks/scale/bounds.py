"""The analytic half: from a rate of orders to utilisations, times and throughput, by Little's law and formulas of single queues.

A processor pool waits as M/M/c does (Sakasegawa's approximation), a lane that takes what waits as one batch by its balance: a batch holds
what arrives while the one before is worked on. Variances of the parts add up to that of the whole, which is taken as lognormal.
"""

import math
from dataclasses import dataclass

from tests.benchmarks.scale import figures
from tests.benchmarks.scale.place import BATCH_DATABASE, STEPS, Delay, LocalPartners, Place, Work

# Halvings of a logarithmic range, after which it is exact to more digits than are shown.
ROUNDS = 28
# Work that is to take so many times longer for waiting can't be kept up with.
MOST_WAITING = 1e4


@dataclass(frozen=True)
class Part:
    """Time that something takes, milliseconds: mean and variance."""

    mean: float
    variance: float

    def __add__(self, other: "Part") -> "Part":
        return Part(self.mean + other.mean, self.variance + other.variance)

    def times(self, number: int) -> "Part":
        """So many of it, one after the other."""
        return Part(self.mean * number, self.variance * number)


@dataclass(frozen=True)
class Batches:
    """How a topic's records are taken: mean batch, time of one, share of time in which a lane is at work, most records a second."""

    size: float
    work_ms: float
    busy: float
    capacity_s: float
    sojourn: Part


@dataclass(frozen=True)
class Creation:
    """What create_order looks like at a rate, in milliseconds; `stable` is whether the rate can be kept up."""

    per_second: float
    stable: bool
    mean_ms: float
    p50_ms: float
    p99_ms: float
    function_ms: float
    batches: Batches
    pool_use: float
    commits_s: float
    transaction_ms: float
    batch_transaction_ms: float


def creation(place: Place, per_second: float, others: float = 1.0) -> Creation:
    """The expected creation at so many orders a second; `others` is the share of orders under way that one can meet, where they are few.

    The longer work waits for a processor, the larger batches grow and the less work there is: so there is one balance, found by halving.
    """
    low, high = 1.0, MOST_WAITING
    for _ in range(ROUNDS):
        waiting = math.sqrt(low * high)
        if 1 + (pool_factor(place.pool, _use(place, per_second, waiting, others)) - 1) * others > waiting:
            low = waiting
        else:
            high = waiting
    return _put_together(place, per_second, high, others)


def pool_use(place: Place, per_second: float, size: float, partner_size: float) -> float:
    """The share of the pool's processors that is at work."""
    database = figures.POST_DATABASE + STEPS * BATCH_DATABASE.of(size) / size + place.looks * figures.LOOK_DATABASE
    compute = place.post + STEPS * place.batch.of(size) / size + place.looks * place.look
    if isinstance(place.partners, LocalPartners):
        database += STEPS * place.partners.database.of(partner_size) / partner_size
        compute += STEPS * place.partners.compute.of(partner_size) / partner_size
    return per_second / 1000 * (database + (compute if place.shared else 0.0)) / place.pool


def pool_factor(processors: int, use: float) -> float:
    """How many times longer work takes for waiting for one of the processors (Sakasegawa's approximation of M/M/c)."""
    if use >= 1:
        return math.inf
    exponent = math.sqrt(2 * (processors + 1)) - 1
    return 1 + math.pow(use, exponent) / (processors * (1 - use))


def in_batches(per_ms: float, batch_size: int, work: Work, lanes: int = 1, others: float = 1.0) -> Batches:
    """Records that arrive at a rate and are taken by so many lanes, each taking what waits for it as one batch."""
    each = per_ms / lanes
    left = 1 - each * work.a_record
    balanced = each * work.a_batch / left if left > 0 else math.inf
    size = min(max(1.0, balanced), float(batch_size))
    time = work.of(size)
    busy = min(1.0, each * time / size)
    spread = figures.SPREAD**2
    wait = busy * time * (1 + spread) / 2 * others
    variance = busy * time**2 / 12 + busy * (1 - busy) * (time / 2) ** 2 + spread * time**2
    return Batches(size, time, busy, lanes * batch_size / work.of(batch_size) * 1000, Part(time + wait, variance))


def throughput(place: Place, in_flight: int) -> Creation:
    """The creation at the rate that so many clients reach, each placing its next order once it has its answer: N = X R."""
    others = (in_flight - 1) / in_flight
    low, high = 1e-3, 1e5
    for _ in range(ROUNDS):
        middle = math.sqrt(low * high)
        found = creation(place, middle, others)
        if found.stable and found.mean_ms / 1000 * middle < in_flight:
            low = middle
        else:
            high = middle
    return creation(place, low, others)


def _use(place: Place, per_second: float, waiting: float, others: float) -> float:
    partners = _local_partners(place, per_second, waiting, others)
    return pool_use(place, per_second, _batches(place, per_second, waiting, others).size, partners.size if partners else 1.0)


def _function(place: Place, waiting: float) -> Work:
    """A batch's function, from its records' arrival until what follows is acknowledged."""
    pool = waiting if place.shared else 1.0
    fixed = place.pickup_ms + place.crossings_ms(figures.BATCH_CROSSINGS) + place.flush_ms + place.acknowledge_ms
    compute, database = place.batch.times(pool), BATCH_DATABASE.times(waiting)
    return Work(fixed + compute.a_batch + database.a_batch, compute.a_record + database.a_record)


def _batches(place: Place, per_second: float, waiting: float, others: float) -> Batches:
    return in_batches(per_second / 1000, place.batch_size, _function(place, waiting), place.lanes, others)


def _local_partners(place: Place, per_second: float, waiting: float, others: float) -> Batches | None:
    if not isinstance(place.partners, LocalPartners):
        return None
    compute, database = place.partners.compute.times(waiting), place.partners.database.times(waiting)
    work = Work(compute.a_batch + database.a_batch + place.flush_ms + place.acknowledge_ms, compute.a_record + database.a_record)
    return in_batches(STEPS * per_second / 1000, place.batch_size, work, others=others)


def _spread(mean: float) -> Part:
    return Part(mean, (figures.SPREAD * mean) ** 2)


def _put_together(place: Place, per_second: float, waiting: float, others: float) -> Creation:
    batches = _batches(place, per_second, waiting, others)
    partners = _local_partners(place, per_second, waiting, others)
    use = pool_use(place, per_second, batches.size, partners.size if partners else 1.0)
    compute = place.post * (waiting if place.shared else 1.0)
    queue, stable = _queue(place, per_second, compute)
    transaction = figures.POST_DATABASE * waiting + place.crossings_ms(figures.POST_CROSSINGS) + place.flush_ms
    posting = _spread(compute) + _spread(transaction + place.acknowledge_ms) + Part(queue * others, queue**2)
    partner = partners.sojourn if partners else Part(_mean(place), _variance(place))
    saga = posting + (partner + batches.sojourn).times(STEPS)
    pause = place.pause_ms(saga.mean)
    looking = _spread(place.look * (waiting if place.shared else 1.0) + figures.LOOK_DATABASE * waiting + place.crossing_ms)
    function = saga + Part(pause / 2, pause**2 / 12) + looking
    whole = function + _spread(place.around_ms)
    answer = Delay.of(whole.mean, whole.variance)
    kept_up = stable and use < 1 and all(per_second * share < each.capacity_s for share, each in _lines(batches, partners))
    return Creation(
        per_second=per_second,
        stable=kept_up,
        mean_ms=whole.mean if kept_up else math.inf,
        p50_ms=answer.p50 if kept_up else math.inf,
        p99_ms=answer.p99 if kept_up else math.inf,
        function_ms=function.mean if place.looks else posting.mean,
        batches=batches,
        pool_use=use,
        commits_s=per_second * (1 + STEPS / batches.size),
        transaction_ms=transaction,
        batch_transaction_ms=batches.work_ms - place.pickup_ms - place.acknowledge_ms,
    )


def _queue(place: Place, per_second: float, compute: float) -> tuple[float, bool]:
    """How long a request waits for those before it, where one is computed at a time (Pollaczek and Khinchine), and whether that ends."""
    busy = per_second / 1000 * compute if place.serial_api else 0.0
    if busy >= 1:
        return 0.0, False
    return busy * compute * (1 + figures.SPREAD**2) / 2 / (1 - busy), True


def _lines(batches: Batches, partners: Batches | None) -> list[tuple[int, Batches]]:
    return [(1, batches), *([(STEPS, partners)] if partners else [])]


def _mean(place: Place) -> float:
    return place.partners.mean if isinstance(place.partners, Delay) else 0.0


def _variance(place: Place) -> float:
    return place.partners.variance if isinstance(place.partners, Delay) else 0.0
