"""One event source mapping, with the names, defaults and ranges of Lambda's CreateEventSourceMapping."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import NAMESPACE_URL, uuid5

STARTING_POSITIONS = ("TRIM_HORIZON", "LATEST", "AT_TIMESTAMP")
REPORT_BATCH_ITEM_FAILURES = "ReportBatchItemFailures"
DEFAULT_WINDOW_SECONDS = 0.5

_TOPIC = re.compile(r"[^.][a-zA-Z0-9\-_.]+")
_GROUP = re.compile(r"[a-zA-Z0-9\-/*:_+=.@]{1,200}")


class InvalidMapping(ValueError):
    """A parameter of a mapping that Lambda would refuse, or that is not emulated."""


@dataclass(frozen=True)
class EventSourceMapping:
    """What Lambda is told when a Kafka topic is to call a function.

    `maximum_batching_window_in_seconds` None stands for Lambda's default of 500 ms, 0 for no waiting. `event_source_arn` is an MSK
    cluster's; without it the cluster is a self-managed one. Without a `consumer_group_id` one is made from function and topic, so that
    it stays the same. Raises InvalidMapping.
    """

    function_name: str
    topics: tuple[str, ...]
    starting_position: str
    starting_position_timestamp: float | None = None
    consumer_group_id: str = ""
    batch_size: int = 100
    maximum_batching_window_in_seconds: int | None = None
    function_response_types: tuple[str, ...] = ()
    event_source_arn: str | None = None

    def __post_init__(self) -> None:
        """Check every parameter."""
        _require(bool(self.function_name), "FunctionName is needed")
        _require(
            len(self.topics) == 1 and len(self.topics[0]) <= 249 and _TOPIC.fullmatch(self.topics[0]) is not None,
            "Topics needs exactly one name, of 2-249 of the characters a-z A-Z 0-9 . _ -",
        )
        _require(self.starting_position in STARTING_POSITIONS, f"StartingPosition is one of {', '.join(STARTING_POSITIONS)}")
        _require(
            (self.starting_position == "AT_TIMESTAMP") == (self.starting_position_timestamp is not None),
            "StartingPositionTimestamp goes with AT_TIMESTAMP, and only with it",
        )
        _require(_GROUP.fullmatch(self.group_id) is not None, "ConsumerGroupId has 1-200 of the characters a-z A-Z 0-9 -/*:_+=.@")
        _require(_whole_within(self.batch_size, 1, 10_000), "BatchSize is a whole number from 1 to 10000")
        window = self.maximum_batching_window_in_seconds
        _require(window is None or _whole_within(window, 0, 300), "MaximumBatchingWindowInSeconds is a whole number from 0 to 300")
        _require(
            set(self.function_response_types) <= {REPORT_BATCH_ITEM_FAILURES},
            f"FunctionResponseTypes knows only {REPORT_BATCH_ITEM_FAILURES}",
        )

    @property
    def topic(self) -> str:
        """The one topic."""
        return self.topics[0]

    @property
    def group_id(self) -> str:
        """The consumer group under which offsets are committed."""
        return self.consumer_group_id or str(uuid5(NAMESPACE_URL, f"{self.function_name}/{self.topic}"))

    @property
    def window_seconds(self) -> float:
        """How long records are gathered for a batch."""
        window = self.maximum_batching_window_in_seconds
        return DEFAULT_WINDOW_SECONDS if window is None else window

    @property
    def reports_item_failures(self) -> bool:
        """Whether the function's answer is read as a partial batch response."""
        return REPORT_BATCH_ITEM_FAILURES in self.function_response_types


def from_aws(parameters: Mapping[str, Any]) -> EventSourceMapping:
    """The mapping that a CreateEventSourceMapping request describes; raises InvalidMapping, also for parameters not emulated."""
    values: dict[str, Any] = {}
    for name, value in parameters.items():
        if name not in _FIELDS:
            raise InvalidMapping(f"{name} is not emulated; known are {', '.join(sorted(_FIELDS))}")
        field, read = _FIELDS[name]
        try:
            values[field] = read(value)
        except (TypeError, KeyError) as error:
            raise InvalidMapping(f"{name} can't be read: {value!r}") from error
    missing = {"FunctionName", "Topics", "StartingPosition"} - parameters.keys()
    if missing:
        raise InvalidMapping(f"{', '.join(sorted(missing))} is needed")
    return EventSourceMapping(**values)


def _same(value: Any) -> Any:
    return value


def _names(value: list[str]) -> tuple[str, ...]:
    if isinstance(value, str):
        raise TypeError("a list is needed")
    return tuple(value)


def _consumer_group(value: Mapping[str, str]) -> str:
    return value["ConsumerGroupId"]


_FIELDS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "FunctionName": ("function_name", _same),
    "Topics": ("topics", _names),
    "StartingPosition": ("starting_position", _same),
    "StartingPositionTimestamp": ("starting_position_timestamp", _same),
    "AmazonManagedKafkaEventSourceConfig": ("consumer_group_id", _consumer_group),
    "SelfManagedKafkaEventSourceConfig": ("consumer_group_id", _consumer_group),
    "BatchSize": ("batch_size", _same),
    "MaximumBatchingWindowInSeconds": ("maximum_batching_window_in_seconds", _same),
    "FunctionResponseTypes": ("function_response_types", _names),
    "EventSourceArn": ("event_source_arn", _same),
}


def _require(holds: bool, rule: str) -> None:
    if not holds:
        raise InvalidMapping(rule)


def _whole_within(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
