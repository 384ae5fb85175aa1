"""What becomes of a batch before and after its invocation: delivered again, given up, or committed. Decides, and does nothing.

The rules are those of the AWS Lambda developer guide ("Configuring error handling controls for Kafka event sources", "Capturing
discarded batches for Amazon MSK and self-managed Apache Kafka event sources").
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from .batch import Batch, Tries
from .event import NO_TIMESTAMP, EncodedRecord
from .failures import RETRIES_EXHAUSTED, TOO_LARGE
from .mapping import EventSourceMapping
from .partial import FailedItem, checkpoint
from .readings import Readings
from .retry import Backoff


class Failed(NamedTuple):
    """The invocation failed as a whole; `error` is Lambda's name of the function error, if the function itself failed."""

    error: str | None


class Reported(NamedTuple):
    """The function answered, and reported these records as failed; none is success."""

    items: frozenset[FailedItem] = frozenset()


class NotDelivered(NamedTuple):
    """The function was not given the batch: it was throttled, or the service failed, or the event was too large for it."""

    is_too_large: bool = False


Outcome = Failed | Reported | NotDelivered


class GivenUp(NamedTuple):
    """Records that are not delivered again, with the condition that they met."""

    records: Sequence[EncodedRecord]
    condition: str
    invocations: int
    error: str | None = None


class Disposal(NamedTuple):
    """What is delivered again, in this order for each partition, and what is given up; the rest is done."""

    again: tuple[Batch, ...] = ()
    given_up: tuple[GivenUp, ...] = ()


@dataclass(frozen=True)
class Rules:
    """The rules of one mapping."""

    mapping: EventSourceMapping
    readings: Readings
    backoff: Backoff

    def before(self, batch: Batch, now_ms: float) -> tuple[Batch, tuple[GivenUp, ...]]:
        """Of a batch that is due, what the function is given, and what is given up instead; `now_ms` in Unix milliseconds."""
        given_up = [GivenUp([record], TOO_LARGE, 0) for record in batch.oversize]
        oldest = self._oldest_ms(batch, now_ms)
        expired = [record for record in batch.records if _is_older(record, oldest)]
        if expired:
            given_up.append(GivenUp(expired, self.readings.expired_condition, batch.tries.invocations))
        left = tuple(record for record in batch.records if not _is_older(record, oldest))
        return replace(batch, records=left, oversize=()), tuple(given_up)

    def after(self, batch: Batch, outcome: Outcome, now: float) -> Disposal:
        """What becomes of a batch that the function was given; `now` is monotonic, in seconds."""
        if isinstance(outcome, NotDelivered):
            return self._after_no_delivery(batch, now, is_too_large=outcome.is_too_large)
        if isinstance(outcome, Failed):
            return self._after_failure(batch, outcome.error, now)
        rest = self._not_done(batch.records, outcome.items)
        return self._after_partial_failure(batch, rest, now) if rest else Disposal()

    def _oldest_ms(self, batch: Batch, now_ms: float) -> float:
        age = self.mapping.maximum_age_ms
        is_spared = self.readings.expiry == "retry" and batch.tries.invocations == 0
        return -math.inf if age is None or is_spared else now_ms - age

    def _after_no_delivery(self, batch: Batch, now: float, *, is_too_large: bool) -> Disposal:
        if not is_too_large:
            tries = batch.tries._replace(setbacks=batch.tries.setbacks + 1)
            return Disposal(again=(replace(batch, tries=tries, due=now + self.backoff.wait(tries.setbacks)),))
        if len(batch.records) > 1:
            return Disposal(again=_halves(replace(batch, due=now)))
        return Disposal(given_up=(GivenUp(batch.records, TOO_LARGE, batch.tries.invocations),))

    def _after_failure(self, batch: Batch, error: str | None, now: float) -> Disposal:
        splits = self.mapping.bisect_batch_on_function_error and len(batch.records) > 1
        counted = 0 if splits and self.readings.bisect_counts == "no" else 1
        invocations, attempts, setbacks = batch.tries
        # A split is progress: halves that waited ever longer would keep the sound records of a large batch for minutes.
        tries = Tries(invocations + 1, attempts + counted, 1 if splits else setbacks + 1)
        if self._are_exhausted(tries):
            return Disposal(given_up=(GivenUp(batch.records, RETRIES_EXHAUSTED, tries.invocations, error),))
        again = replace(batch, tries=tries, due=now + self.backoff.wait(tries.setbacks))
        return Disposal(again=_halves(again) if splits else (again,))

    def _after_partial_failure(self, batch: Batch, rest: Sequence[EncodedRecord], now: float) -> Disposal:
        is_shorter = len(rest) < len(batch.records)
        starts_anew = is_shorter and self.readings.partial_counts == "no"
        tries = Tries(
            batch.tries.invocations + 1,
            0 if starts_anew else batch.tries.attempts + 1,
            1 if is_shorter else batch.tries.setbacks + 1,
        )
        if self._are_exhausted(tries):
            return Disposal(given_up=(GivenUp(rest, RETRIES_EXHAUSTED, tries.invocations),))
        return Disposal(again=(batch.only(rest, tries, now + self.backoff.wait(tries.setbacks)),))

    def _are_exhausted(self, tries: Tries) -> bool:
        return self.mapping.retries is not None and tries.attempts > self.mapping.retries

    def _not_done(self, records: Sequence[EncodedRecord], failed: frozenset[FailedItem]) -> list[EncodedRecord]:
        if self.readings.partial == "items":
            return [record for record in records if FailedItem(record.partition, record.offset) in failed]
        lowest = checkpoint(failed)
        return [record for record in records if record.partition in lowest and record.offset >= lowest[record.partition]]


def commits(batch: Batch, again: Iterable[Batch]) -> dict[int, int]:
    """For each partition that got on, the offset to commit when of `batch` only `again` is left."""
    waiting: set[int] = set()
    starts: dict[int, int] = {}
    for left in again:
        waiting |= left.partitions
        for partition, offset in left.starts.items():
            starts[partition] = min(offset, starts.get(partition, offset))
    first = batch.starts
    done = {partition: end for partition, end in batch.ends.items() if partition not in waiting}
    return done | {partition: offset for partition, offset in starts.items() if offset > first[partition]}


def _is_older(record: EncodedRecord, oldest_ms: float) -> bool:
    # Nobody knows the age of a record without time.
    return record.timestamp != NO_TIMESTAMP and record.timestamp < oldest_ms


def _halves(batch: Batch) -> tuple[Batch, Batch]:
    middle = (len(batch.records) + 1) // 2
    first, second = batch.records[:middle], batch.records[middle:]
    later = {record.partition for record in second}
    ends = {record.partition: record.offset + 1 for record in first}
    ends |= {partition: batch.ends[partition] for partition in ends.keys() - later}
    rest: Mapping[int, int] = {partition: end for partition, end in batch.ends.items() if partition in later or partition not in ends}
    return replace(batch, records=first, ends=ends), replace(batch, records=second, ends=rest)
