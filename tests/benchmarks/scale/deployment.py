"""A deployment on AWS by its knobs, as a place of the model. Its smallest is what the project declares and the smallest that AWS offers."""

import math
from dataclasses import dataclass
from functools import cached_property

from chalicelib.messages.topics import PARTITIONS, TRIGGERS, USER_EVENTS
from chalicelib.operations.purge import MOST_AT_ONCE, MOST_BATCHES
from tests.benchmarks.scale import figures
from tests.benchmarks.scale.place import BATCH_COMPUTE, Delay, Place
from tests.benchmarks.scale.sizes import BROKERS, INSTANCES, SMALL_VOLUME, STRIPED_VOLUME, Broker, Instance, Volume

MINUTES_A_DAY = 24 * 60
# So many orders one schedule of purge_expired deletes a minute.
PURGED_A_MINUTE = MOST_AT_ONCE * MOST_BATCHES


@dataclass(frozen=True)
class Deployment:
    """Everything that can be turned up. `instance` and `broker` are places in the lists of sizes."""

    partitions: int = PARTITIONS[USER_EVENTS]
    pollers: int = TRIGGERS[0].pollers[1] if TRIGGERS[0].pollers else 1
    batch_size: int = TRIGGERS[0].batch_size
    memory_mb: int = 1_024
    concurrency: int = int(figures.CONCURRENCY)
    api_requests: int = int(figures.API_REQUESTS)
    instance: int = 0
    proxy: bool = True
    least_storage_gb: int = 100
    iops: int = SMALL_VOLUME.iops
    storage_mb_s: int = SMALL_VOLUME.mb_s
    broker: int = 0
    brokers: int = 3
    broker_connections: int = int(figures.BROKER_CONNECTIONS)
    purge_after_days: int = 30
    purge_schedules: int = 1
    waits: bool = True

    @property
    def database(self) -> Instance:
        """The class of the database's instance."""
        return INSTANCES[self.instance]

    @property
    def kafka(self) -> Broker:
        """The size of the brokers."""
        return BROKERS[self.broker]

    @property
    def lanes(self) -> int:
        """How many batches of a topic can be worked on at a time."""
        pollers = min(self.pollers, self.partitions)
        return min(self.partitions, pollers * int(figures.POLLER_INVOCATIONS))

    @property
    def max_connections(self) -> int:
        """Connections that the functions may have to the instance."""
        memory = self.database.memory_gib * 1024**3
        return int(min(memory / figures.BYTES_A_CONNECTION, figures.MOST_CONNECTIONS) * figures.PROXY_SHARE)

    def storage_gb(self, per_minute: float) -> float:
        """What the volume must hold at this load: all orders until they are purged, a third of it free."""
        kept = per_minute * MINUTES_A_DAY * self.purge_after_days * figures.STORED_BYTES / 1e9
        return max(kept * 1.5, self.least_storage_gb)

    def volume(self, per_minute: float) -> Volume:
        """What gp3 gives for that size, and how far it can be raised."""
        return STRIPED_VOLUME if self.storage_gb(per_minute) >= figures.STRIPE_GB else SMALL_VOLUME

    def storage_iops(self, per_minute: float) -> float:
        """Operations per second of the volume."""
        return max(self.iops, self.volume(per_minute).iops)

    def storage_throughput(self, per_minute: float) -> float:
        """MB/s of the volume."""
        return max(self.storage_mb_s, self.volume(per_minute).mb_s)

    @cached_property
    def place(self) -> Place:
        """The deployment as the model sees it."""
        slower = figures.CORE / min(1.0, self.memory_mb / figures.VCPU_MB)
        return Place(
            pool=self.database.vcpus,
            shared=False,
            serial_api=False,
            post=figures.POST_COMPUTE * slower,
            batch=BATCH_COMPUTE.times(slower),
            look=figures.LOOK_COMPUTE * slower,
            looks=figures.LOOKS if self.waits else 0,
            partners=Delay(figures.PARTNER_P50_MS, figures.PARTNER_P99_MS),
            around_ms=figures.API_GATEWAY_MS,
            crossing_ms=figures.CROSSING_MS,
            flush_ms=figures.FLUSH_MS,
            acknowledge_ms=figures.ACKNOWLEDGE_MS,
            pickup_ms=figures.PICKUP_MS,
            lanes=self.lanes,
            batch_size=self.batch_size,
            connections=self.max_connections,
            concurrency=self.concurrency,
        )


def pollers_for(lanes: int) -> int:
    """So many pollers work on so many partitions at a time."""
    return math.ceil(lanes / figures.POLLER_INVOCATIONS)
