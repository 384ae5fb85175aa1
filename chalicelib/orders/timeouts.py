"""How long an order may rest before the clock acts on it."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Timeouts:
    """`accept`: how long an open order waits for a runner. `complete`: how long a delivered one waits to be completed."""

    accept: timedelta
    complete: timedelta = timedelta(hours=24)
