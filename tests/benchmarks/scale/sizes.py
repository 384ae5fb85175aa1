"""Sizes of instances and brokers that AWS offers, from the smallest to the largest, with their limits and list prices (us-east-1).

Looked up are the brokers' limits and the price of the smallest instance, of which the others are multiples; EBS limits and the brokers'
prices are not.
"""

from typing import NamedTuple


class Instance(NamedTuple):
    """A class of RDS instance: EBS limits are the baseline (Amazon EC2 user guide), the price is for Single-AZ PostgreSQL."""

    name: str
    vcpus: int
    memory_gib: int
    ebs_mb_s: float
    ebs_iops: int
    usd_hour: float


class Broker(NamedTuple):
    """A size of Express broker: recommended most bytes in (Amazon MSK developer guide)."""

    name: str
    ingress_mb_s: float
    usd_hour: float


INSTANCES = (
    Instance("db.m7g.large", 2, 8, 78.75, 3_600, 0.168),
    Instance("db.m7g.xlarge", 4, 16, 156.25, 6_000, 0.337),
    Instance("db.m7g.2xlarge", 8, 32, 312.5, 12_000, 0.674),
    Instance("db.m7g.4xlarge", 16, 64, 625.0, 20_000, 1.348),
    Instance("db.m7g.8xlarge", 32, 128, 1_250.0, 40_000, 2.696),
    Instance("db.m7g.12xlarge", 48, 192, 1_875.0, 60_000, 4.044),
    Instance("db.m7g.16xlarge", 64, 256, 2_500.0, 80_000, 5.392),
)

BROKERS = (
    Broker("express.m7g.large", 15.6, 0.408),
    Broker("express.m7g.xlarge", 31.2, 0.816),
    Broker("express.m7g.2xlarge", 62.5, 1.632),
    Broker("express.m7g.4xlarge", 124.9, 3.264),
    Broker("express.m7g.8xlarge", 250.0, 6.528),
    Broker("express.m7g.12xlarge", 375.0, 9.792),
    Broker("express.m7g.16xlarge", 500.0, 13.056),
)


class Volume(NamedTuple):
    """What gp3 gives in RDS for PostgreSQL: with its size, and at most for money (Amazon RDS user guide, storage)."""

    iops: int
    mb_s: int
    most_iops: int
    most_mb_s: int


SMALL_VOLUME = Volume(3_000, 125, 3_000, 125)
STRIPED_VOLUME = Volume(12_000, 500, 64_000, 4_000)
