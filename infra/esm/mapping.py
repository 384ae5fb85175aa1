"""One event source mapping, with the names, defaults and ranges of Lambda's CreateEventSourceMapping."""

import math
import re
from dataclasses import dataclass
from uuid import NAMESPACE_URL, uuid5

from .destinations import KAFKA_PREFIX, check_destination
from .filters import Filters, InvalidFilter
from .function_names import FunctionName
from .metrics import GROUPS

STARTING_POSITIONS = ("TRIM_HORIZON", "LATEST", "AT_TIMESTAMP")
REPORT_BATCH_ITEM_FAILURES = "ReportBatchItemFailures"
LOG_LEVELS = ("DEBUG", "INFO", "WARN")
DEFAULT_WINDOW_SECONDS = 0.5
WITHOUT_END = -1
RETRIES_BEFORE_DESTINATION = 10

_TOPIC = re.compile(r"[^.][a-zA-Z0-9\-_.]+")
_GROUP = re.compile(r"[ a-zA-Z0-9\-/*:_+=.@]{1,200}")


class InvalidMapping(ValueError):
    """A parameter of a mapping that Lambda would refuse, or that is not emulated."""


@dataclass(frozen=True)
class ProvisionedPollers:
    """Provisioned mode: how many pollers there are at least and at most, and the group that shares them. Raises InvalidMapping."""

    minimum: int = 1
    maximum: int = 200
    group_name: str | None = None

    def __post_init__(self) -> None:
        """Check the ranges."""
        require(whole_within(self.minimum, 1, 200), "ProvisionedPollerConfig: MinimumPollers is a whole number from 1 to 200")
        require(whole_within(self.maximum, 1, 2000), "ProvisionedPollerConfig: MaximumPollers is a whole number from 1 to 2000")
        require(self.minimum <= self.maximum, "ProvisionedPollerConfig: MinimumPollers is at most MaximumPollers")
        name = self.group_name
        require(name is None or 0 < len(name) <= 128, "ProvisionedPollerConfig: PollerGroupName has 1-128 characters")


@dataclass(frozen=True)
class EventSourceMapping:
    """What Lambda is told when a Kafka topic is to call a function.

    `maximum_batching_window_in_seconds` None stands for Lambda's default of 500 ms, 0 for no waiting. `event_source_arn` is an MSK
    cluster's; without it the cluster is a self-managed one. Without a `consumer_group_id` one is made from function and topic, so that
    it stays the same; `known_uuid` is that of a mapping that has one already. `provisioned` None is on-demand mode. `metrics` are names
    of groups, `on_failure` is an ARN or kafka://topic. Raises InvalidMapping.
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
    bootstrap_servers: tuple[str, ...] = ()
    enabled: bool = True
    filter_patterns: tuple[str, ...] = ()
    on_failure: str | None = None
    maximum_retry_attempts: int = WITHOUT_END
    maximum_record_age_in_seconds: int = WITHOUT_END
    bisect_batch_on_function_error: bool = False
    provisioned: ProvisionedPollers | None = None
    metrics: tuple[str, ...] = ()
    system_log_level: str | None = None
    known_uuid: str | None = None

    def __post_init__(self) -> None:
        """Check every parameter."""
        self._check_source()
        self._check_batching()
        self._check_error_handling()
        self._check_monitoring()

    def _check_source(self) -> None:
        require(isinstance(self.function_name, str) and self.function_name != "", "FunctionName is needed, a text")
        try:
            FunctionName.read(self.function_name)
        except ValueError as error:
            raise InvalidMapping(f"FunctionName: {error}") from error
        require(self.event_source_arn is None or isinstance(self.event_source_arn, str), "EventSourceArn is a text")
        require(
            len(self.topics) == 1 and len(self.topics[0]) <= 249 and _TOPIC.fullmatch(self.topics[0]) is not None,
            "Topics needs exactly one name, of 2-249 of the characters a-z A-Z 0-9 . _ -",
        )
        require(self.starting_position in STARTING_POSITIONS, f"StartingPosition is one of {', '.join(STARTING_POSITIONS)}")
        require(
            (self.starting_position == "AT_TIMESTAMP") == (self.starting_position_timestamp is not None),
            "StartingPositionTimestamp goes with AT_TIMESTAMP, and only with it",
        )
        timestamp = self.starting_position_timestamp
        require(
            timestamp is None or (isinstance(timestamp, int | float) and not isinstance(timestamp, bool) and 0 <= timestamp < math.inf),
            "StartingPositionTimestamp is a number of seconds since 1970",
        )
        require(_GROUP.fullmatch(self.group_id) is not None, "ConsumerGroupId has 1-200 of the characters a-z A-Z 0-9 -/*:_+=.@ and spaces")
        require(
            not (self.event_source_arn and self.bootstrap_servers),
            "EventSourceArn is for Amazon MSK, SelfManagedEventSource for other clusters: there is one of them",
        )

    def _check_batching(self) -> None:
        require(whole_within(self.batch_size, 1, 10_000), "BatchSize is a whole number from 1 to 10000")
        window = self.maximum_batching_window_in_seconds
        require(window is None or whole_within(window, 0, 300), "MaximumBatchingWindowInSeconds is a whole number from 0 to 300")
        try:
            Filters(self.filter_patterns)
        except InvalidFilter as error:
            raise InvalidMapping(f"FilterCriteria: {error}") from error

    def _check_error_handling(self) -> None:
        require(
            set(self.function_response_types) <= {REPORT_BATCH_ITEM_FAILURES},
            f"FunctionResponseTypes knows only {REPORT_BATCH_ITEM_FAILURES}",
        )
        require(
            whole_within(self.maximum_retry_attempts, WITHOUT_END, 10_000),
            "MaximumRetryAttempts is a whole number from -1 (without end) to 10000",
        )
        age = self.maximum_record_age_in_seconds
        require(
            age == WITHOUT_END or whole_within(age, 60, 604_800),
            "MaximumRecordAgeInSeconds is -1 (without end) or a whole number from 60 to 604800",
        )
        require(isinstance(self.bisect_batch_on_function_error, bool), "BisectBatchOnFunctionError is true or false")
        if self.on_failure is not None:
            require(isinstance(self.on_failure, str), "DestinationConfig: Destination is a text")
            try:
                check_destination(self.on_failure, self.topic)
            except ValueError as error:
                raise InvalidMapping(f"DestinationConfig: {error}") from error

    def _check_monitoring(self) -> None:
        require(isinstance(self.enabled, bool), "Enabled is true or false")
        require(set(self.metrics) <= GROUPS.keys(), f"MetricsConfig knows only {', '.join(GROUPS)}")
        level = self.system_log_level
        require(level is None or level in LOG_LEVELS, f"LoggingConfig: SystemLogLevel is one of {', '.join(LOG_LEVELS)}")

    @property
    def uuid(self) -> str:
        """What identifies the mapping; the same whenever function and topic are."""
        return self.known_uuid or str(uuid5(NAMESPACE_URL, f"{self.function_name}/{self.topic}"))

    @property
    def topic(self) -> str:
        """The one topic."""
        return self.topics[0]

    @property
    def group_id(self) -> str:
        """The consumer group under which offsets are committed."""
        return self.consumer_group_id or self.uuid

    @property
    def window_seconds(self) -> float:
        """How long records are gathered for a batch."""
        window = self.maximum_batching_window_in_seconds
        return DEFAULT_WINDOW_SECONDS if window is None else window

    @property
    def reports_item_failures(self) -> bool:
        """Whether the function's answer is read as a partial batch response."""
        return REPORT_BATCH_ITEM_FAILURES in self.function_response_types

    @property
    def retries(self) -> int | None:
        """How often a failed batch comes again; None without end, which an on-failure destination turns into 10."""
        if self.maximum_retry_attempts != WITHOUT_END:
            return self.maximum_retry_attempts
        return None if self.on_failure is None else RETRIES_BEFORE_DESTINATION

    @property
    def maximum_age_ms(self) -> int | None:
        """The age in milliseconds beyond which a record is not delivered any more; None without end."""
        age = self.maximum_record_age_in_seconds
        return None if age == WITHOUT_END else age * 1000

    @property
    def in_need_of_provisioned_mode(self) -> list[str]:
        """The parameters, by their AWS names, that work in provisioned mode only and are not at their defaults."""
        chosen = {
            "MaximumBatchingWindowInSeconds (below 500 ms)": self.maximum_batching_window_in_seconds == 0,
            "FunctionResponseTypes": self.reports_item_failures,
            "MaximumRetryAttempts": self.maximum_retry_attempts != WITHOUT_END,
            "MaximumRecordAgeInSeconds": self.maximum_record_age_in_seconds != WITHOUT_END,
            "BisectBatchOnFunctionError": self.bisect_batch_on_function_error,
            "DestinationConfig (a Kafka topic)": (self.on_failure or "").startswith(KAFKA_PREFIX),
            "LoggingConfig": self.system_log_level is not None,
        }
        return [name for name, is_chosen in chosen.items() if is_chosen]


def require(holds: bool, rule: str) -> None:
    """Raise InvalidMapping with the rule unless it holds."""
    if not holds:
        raise InvalidMapping(rule)


def whole_within(value: object, low: int, high: int) -> bool:
    """Whether the value is a whole number from `low` to `high`."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
