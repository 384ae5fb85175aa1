"""How long a failed batch waits."""

from dataclasses import dataclass

_DOUBLINGS = 32


@dataclass(frozen=True)
class Backoff:
    """Waits that double from the first to the longest, in seconds. AWS publishes no figures for its own."""

    first_seconds: float = 1.0
    longest_seconds: float = 60.0

    def wait(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row (1 for the first)."""
        return min(self.longest_seconds, self.first_seconds * 2.0 ** min(failures - 1, _DOUBLINGS))
