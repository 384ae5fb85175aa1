"""Where a create_order runs, as the model sees it: what its parts cost there and what they share. AWS is one place, home another."""

import math
from dataclasses import dataclass

from chalicelib.operations.shared_wait import LONGEST_PAUSE, SHARE, SHORTEST_PAUSE
from tests.benchmarks.scale import figures

# Steps of create_order that a partner answers: customer, payment, escrow.
STEPS = 3
# So many standard deviations above the mean lie 99 of 100 values of a normal distribution.
Z99 = 2.326


@dataclass(frozen=True)
class Work:
    """Milliseconds: once a batch, and for each record in it."""

    a_batch: float
    a_record: float = 0.0

    def of(self, records: float) -> float:
        """The time for a batch of so many records."""
        return self.a_batch + self.a_record * records

    def times(self, factor: float) -> "Work":
        """The same work where all takes so much longer."""
        return Work(self.a_batch * factor, self.a_record * factor)


BATCH_COMPUTE = Work(figures.BATCH_COMPUTE, figures.RECORD_COMPUTE)
BATCH_DATABASE = Work(figures.BATCH_DATABASE, figures.RECORD_DATABASE)


@dataclass(frozen=True)
class Delay:
    """A time of which two percentiles are known: a logarithm of it is normally distributed."""

    p50: float
    p99: float

    @property
    def sigma(self) -> float:
        """The standard deviation of its logarithm."""
        return math.log(self.p99 / self.p50) / Z99

    @property
    def mean(self) -> float:
        """The expected value."""
        return self.p50 * math.exp(self.sigma**2 / 2)

    @property
    def variance(self) -> float:
        """The expected square of the distance from the mean."""
        return self.mean**2 * (math.exp(self.sigma**2) - 1)

    @classmethod
    def of(cls, mean: float, variance: float) -> "Delay":
        """The delay with this mean and variance."""
        sigma = math.sqrt(math.log(1 + variance / mean**2))
        p50 = mean / math.exp(sigma**2 / 2)
        return cls(p50, p50 * math.exp(sigma * Z99))


@dataclass(frozen=True)
class LocalPartners:
    """Partners that are one process: they take what waits as one batch."""

    compute: Work
    database: Work


@dataclass(frozen=True)
class Place:
    """`pool` processors do PostgreSQL's work and, where functions have none of their own (`shared`), all other work.

    `post` and `batch` are processor time of the API and of a batch's function with all that calls them; a topic's batches of at most
    `batch_size` records are taken by `lanes` functions at a time. `serial_api` says that one request is computed at a time. A request looks
    `looks` times whether its saga has ended (0: it doesn't wait, and is answered 202).
    """

    pool: int
    shared: bool
    serial_api: bool
    post: float
    batch: Work
    look: float
    looks: float
    partners: Delay | LocalPartners
    around_ms: float
    crossing_ms: float
    flush_ms: float
    acknowledge_ms: float
    pickup_ms: float
    lanes: int
    batch_size: int
    connections: int = 1_000_000
    concurrency: int = 1_000_000

    def crossings_ms(self, number: float) -> float:
        """What so many crossings take, beside the work they ask for."""
        return number * self.crossing_ms

    def pause_ms(self, waited_ms: float) -> float:
        """How long a request pauses before its next look, having waited so long."""
        return min(max(SHARE * waited_ms, SHORTEST_PAUSE * 1000), LONGEST_PAUSE * 1000)
