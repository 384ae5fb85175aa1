"""How long a command is waited for, as a value that is asked."""

from dataclasses import dataclass
from datetime import timedelta

LONGEST_WAIT = timedelta(seconds=300)
JITTER = 0.2


@dataclass(frozen=True)
class RetryPolicy:
    """The n-th copy of a command is waited for `timeout` × 2ⁿ⁻¹, give or take 20 %, at most 300 s; `attempts` copies at most."""

    timeout: timedelta
    attempts: int

    def wait(self, attempt: int, jitter: float) -> timedelta:
        """How long to wait for copy number `attempt` (from 1); `jitter` is a random number from -1 to 1."""
        doubled = self.timeout * float(2 ** min(attempt - 1, 20))
        return min(doubled * (1 + JITTER * jitter), LONGEST_WAIT)

    def exhausted(self, attempts: int) -> bool:
        """Whether no further copy may follow `attempts` copies."""
        return attempts >= self.attempts
