"""Batches that wait for their next delivery."""

from collections.abc import Iterable, Iterator

from .batch import Batch


class Waiting:
    """Failed batches, in their order: of those that share a partition only the first may be delivered."""

    def __init__(self) -> None:
        """Nothing waits."""
        self._batches: list[Batch] = []

    @property
    def partitions(self) -> frozenset[int]:
        """Partitions of which nothing new may be delivered."""
        return frozenset[int]().union(*(batch.partitions for batch in self._batches))

    @property
    def next_due(self) -> float | None:
        """The monotonic time when the next delivery is due; None if nothing waits."""
        return min((batch.due for batch in self._first()), default=None)

    def due(self, now: float) -> Batch | None:
        """A batch whose time has come, the longest due one first."""
        return min((batch for batch in self._first() if batch.due <= now), key=lambda batch: batch.due, default=None)

    def replace(self, batch: Batch, again: Iterable[Batch]) -> None:
        """Have `again` wait in the place of `batch`; behind all others if that one did not wait."""
        place = next((place for place, waiting in enumerate(self._batches) if waiting is batch), len(self._batches))
        self._batches[place : place + 1] = again

    def _first(self) -> Iterator[Batch]:
        taken: set[int] = set()
        for batch in self._batches:
            if not batch.partitions & taken:
                yield batch
            taken |= batch.partitions
