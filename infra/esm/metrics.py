"""What a mapping counts, under the names that Lambda gives its event source mapping metrics in Amazon CloudWatch.

Names and groups are those of the AWS Lambda developer guide ("Types of metrics for Lambda functions", event source mapping metrics).
"""

import threading
from collections.abc import Collection, Mapping

POLLED = "PolledEventCount"
FILTERED_OUT = "FilteredOutEventCount"
INVOKED = "InvokedEventCount"
FAILED_INVOKE = "FailedInvokeEventCount"
DROPPED = "DroppedEventCount"
DESTINATION_DELIVERED = "OnFailureDestinationDeliveredEventCount"
COMMITTED = "CommittedEventCount"

POLLING_ERROR = "PollingErrorCount"
INVOKE_ERROR = "InvokeErrorCount"
DESTINATION_ERROR = "OnFailureDestinationDeliveryErrorCount"
COMMIT_ERROR = "CommitErrorCount"

MAX_OFFSET_LAG = "MaxOffsetLag"
SUM_OFFSET_LAG = "SumOffsetLag"

OFFSET_LAG = "OffsetLag"
DESTINATION_FAILURES = "DestinationDeliveryFailures"

GROUPS: Mapping[str, tuple[str, ...]] = {
    "EventCount": (POLLED, FILTERED_OUT, INVOKED, FAILED_INVOKE, DROPPED, DESTINATION_DELIVERED, COMMITTED),
    "ErrorCount": (POLLING_ERROR, INVOKE_ERROR, DESTINATION_ERROR, COMMIT_ERROR),
    "KafkaMetrics": (MAX_OFFSET_LAG, SUM_OFFSET_LAG),
}
"""The names of a mapping's MetricsConfig, each with the metrics that it turns on."""

ALWAYS = (OFFSET_LAG, DESTINATION_FAILURES)
"""Metrics that Lambda emits whatever MetricsConfig says."""

_NAMES = frozenset(ALWAYS).union(*GROUPS.values())


class UnknownMetric(ValueError):
    """A name under which Lambda counts nothing."""


class Metrics:
    """Counters and gauges of one mapping, safe to use from several threads."""

    def __init__(self) -> None:
        """Everything is at zero."""
        self._lock = threading.Lock()
        self._values = dict.fromkeys(sorted(_NAMES), 0.0)

    def add(self, name: str, number: float = 1) -> None:
        """Count `number` more; raises UnknownMetric."""
        with self._lock:
            self._values[_known(name)] += number

    def set(self, name: str, number: float) -> None:
        """Have a gauge stand at `number`; raises UnknownMetric."""
        with self._lock:
            self._values[_known(name)] = number

    def snapshot(self, groups: Collection[str] = tuple(GROUPS)) -> dict[str, float]:
        """All values of this moment by name: those of the groups asked for, and those that are always emitted."""
        names = {*ALWAYS, *(name for group in groups for name in GROUPS[group])}
        with self._lock:
            return {name: value for name, value in self._values.items() if name in names}


def _known(name: str) -> str:
    if name not in _NAMES:
        raise UnknownMetric(name)
    return name
