"""Partitions that wait because of a batch that can't be read."""

from typing import NamedTuple

from .retry import Backoff


class _Wait(NamedTuple):
    offset: int
    times: int
    until: float


class Blocked:
    """Partitions with an unreadable batch, each until it is to be read again: after ever longer waits."""

    def __init__(self, backoff: Backoff) -> None:
        """No partition waits yet."""
        self._backoff = backoff
        self._waits: dict[int, _Wait] = {}

    def block(self, partition: int, offset: int, now: float) -> int:
        """Have the partition wait at this offset; how often in a row it does. `now` is monotonic, in seconds."""
        before = self._waits.get(partition)
        times = before.times + 1 if before is not None and before.offset == offset else 1
        self._waits[partition] = _Wait(offset, times, now + self._backoff.wait(times))
        return times

    def free(self, partition: int) -> bool:
        """Forget about the partition, which is read again; whether it had to wait."""
        return self._waits.pop(partition, None) is not None

    def waiting(self, now: float) -> frozenset[int]:
        """The partitions that are not to be read now."""
        return frozenset(partition for partition, wait in self._waits.items() if wait.until > now)
