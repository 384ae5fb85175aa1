"""The stack at home as a place, and what was measured of it: the small end, at which the model is checked.

Processor time by part is taken from the measurements at 1 and at 64 in flight: what falls between them is once a batch. Throughput and
latency are taken from nowhere, and 4 and 16 in flight aren't used at all.
"""

from typing import NamedTuple

from chalicelib.messages.topics import TRIGGERS
from tests.benchmarks.scale import figures
from tests.benchmarks.scale.place import BATCH_DATABASE, STEPS, LocalPartners, Place, Work


class Measured(NamedTuple):
    """POST with `Prefer: wait` to 201, and processor time an order by part."""

    in_flight: int
    per_second: float
    p50_ms: float
    p99_ms: float
    gateway_ms: float
    triggers_ms: float
    partners_ms: float
    broker_ms: float
    postgres_ms: float


# 2026-11-29, commit ba139c9, embedded PostgreSQL 18.6 and noida-db, medians of two rounds of 5 s; of the 2 cores, other programs had a part
# (load average 6 to 10).
MEASURED = (
    Measured(1, 13.7, 64, 174, 5.6, 20.2, 10.5, 5.2, 18.0),
    Measured(4, 28.1, 142, 228, 5.0, 13.4, 5.9, 3.0, 15.5),
    Measured(16, 30.8, 424, 1_866, 6.9, 8.7, 3.3, 2.7, 9.3),
    Measured(64, 81.8, 724, 1_141, 3.0, 3.4, 1.2, 1.4, 4.8),
)
FDATASYNC_MS = figures.Figure(2.8, "ms", "a flush of 8 kB to the disk of the measuring machine", "measured", "median of 200")


def home() -> Place:
    """The stack that was measured."""
    one, many = MEASURED[0], MEASURED[-1]
    triggers = one.triggers_ms / STEPS
    # A batch of the most in flight holds so many records that the triggers' time an order comes out as measured.
    a_batch = triggers - figures.RECORD_COMPUTE
    records = a_batch / (many.triggers_ms / STEPS - figures.RECORD_COMPUTE)
    broker = _fitted(one.broker_ms / STEPS, many.broker_ms / STEPS, records)
    database = one.postgres_ms - figures.POST_DATABASE - figures.LOOKS * figures.LOOK_DATABASE - STEPS * BATCH_DATABASE.of(1)
    return Place(
        pool=2,
        shared=True,
        serial_api=True,
        post=many.gateway_ms - figures.LOOKS * figures.LOOK_COMPUTE,
        batch=Work(a_batch + broker.a_batch, figures.RECORD_COMPUTE + broker.a_record),
        look=figures.LOOK_COMPUTE,
        looks=figures.LOOKS,
        partners=LocalPartners(_fitted(one.partners_ms / STEPS, many.partners_ms / STEPS, records), Work(database / STEPS)),
        around_ms=0.0,
        crossing_ms=0.0,
        flush_ms=FDATASYNC_MS,
        acknowledge_ms=0.0,
        pickup_ms=0.0,
        lanes=1,
        batch_size=TRIGGERS[0].batch_size,
    )


def _fitted(alone: float, in_batch: float, records: float) -> Work:
    """The work of which a batch of one takes `alone`, and of a batch of so many records each takes `in_batch`."""
    a_batch = (alone - in_batch) / (1 - 1 / records)
    return Work(a_batch, alone - a_batch)
