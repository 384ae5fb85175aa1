"""Partial batch responses: `ReportBatchItemFailures` for Kafka.

The form, and what counts as complete success or failure, are those of the AWS Lambda developer guide ("Configuring error handling controls
for Kafka event sources"): `{"batchItemFailures": [{"itemIdentifier": {"partition": "topic-0", "offset": 7}}]}`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from .event import EncodedRecord


class FailedItem(NamedTuple):
    """A record that the function reported as failed."""

    partition: int
    offset: int


class MalformedResponse(Exception):
    """A batch response that is not of the documented form, or names a record that was not in the batch: the whole batch failed."""


def failed_items(response: Any, topic: str, records: Iterable[EncodedRecord]) -> frozenset[FailedItem]:
    """The records that the response reports; none for null, an empty response, or an empty or null list. Raises MalformedResponse."""
    if response is None or response in ("", {}):
        return frozenset()
    if not isinstance(response, dict):
        raise MalformedResponse(f"a batch response is an object, not {type(response).__name__}")
    failures = response.get("batchItemFailures")
    if failures is None:
        return frozenset()
    if not isinstance(failures, list):
        raise MalformedResponse(f"batchItemFailures is a list, not {type(failures).__name__}")
    places = {f"{topic}-{record.partition}": record.partition for record in records}
    failed = frozenset(_item(failure, places) for failure in failures)
    unknown = failed - {FailedItem(record.partition, record.offset) for record in records}
    if unknown:
        raise MalformedResponse(f"not in the batch: {sorted(unknown)}")
    return failed


def checkpoint(failed: Iterable[FailedItem]) -> Mapping[int, int]:
    """For each partition, the lowest failed offset: everything from there on is delivered again."""
    lowest: dict[int, int] = {}
    for item in failed:
        lowest[item.partition] = min(item.offset, lowest.get(item.partition, item.offset))
    return lowest


def _item(failure: Any, places: Mapping[str, int]) -> FailedItem:
    identifier = failure.get("itemIdentifier") if isinstance(failure, dict) else None
    if not isinstance(identifier, dict) or identifier.keys() != {"partition", "offset"}:
        hint = " (the former name topic-partition is not read)" if isinstance(identifier, dict) and "topic-partition" in identifier else ""
        raise MalformedResponse(f"an itemIdentifier has partition and offset{hint}: {failure!r}")
    place, offset = identifier["partition"], identifier["offset"]
    if not isinstance(place, str) or place not in places:
        raise MalformedResponse(f"no such partition in the batch: {place!r}")
    if not isinstance(offset, int) or isinstance(offset, bool):
        raise MalformedResponse(f"an offset is a whole number: {offset!r}")
    return FailedItem(places[place], offset)
