"""What a mapping counts, and under which names."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from infra.esm import metrics
from infra.esm.metrics import GROUPS, Metrics, UnknownMetric

# For Amazon MSK and self-managed Apache Kafka, from the table in the AWS Lambda developer guide, "Types of metrics for Lambda functions".
DOCUMENTED = {
    "EventCount": {
        "PolledEventCount",
        "FilteredOutEventCount",
        "InvokedEventCount",
        "FailedInvokeEventCount",
        "DroppedEventCount",
        "OnFailureDestinationDeliveredEventCount",
        "CommittedEventCount",
    },
    "ErrorCount": {
        "PollingErrorCount",
        "InvokeErrorCount",
        "OnFailureDestinationDeliveryErrorCount",
        "SchemaRegistryErrorCount",
        "CommitErrorCount",
    },
    "KafkaMetrics": {"MaxOffsetLag", "SumOffsetLag"},
}
NOT_EMULATED = {"SchemaRegistryErrorCount"}


@pytest.mark.rule("metric-names")
def test_metrics_have_the_names_and_groups_of_lambda() -> None:
    assert {group: set(names) for group, names in GROUPS.items()} == {group: names - NOT_EMULATED for group, names in DOCUMENTED.items()}


@pytest.mark.rule("metric-names")
def test_there_is_no_metric_under_another_name() -> None:
    counted = Metrics()

    for attempt in (counted.add, counted.set):
        with pytest.raises(UnknownMetric, match="DeletedEventCount"):
            attempt("DeletedEventCount", 1)


@pytest.mark.rule("metric-groups")
def test_a_snapshot_has_the_groups_asked_for_and_what_is_always_emitted() -> None:
    counted = Metrics()
    counted.add(metrics.POLLED)
    counted.add(metrics.POLLED, 4)
    counted.set(metrics.MAX_OFFSET_LAG, 7)
    counted.set(metrics.MAX_OFFSET_LAG, 3)
    counted.add(metrics.DESTINATION_FAILURES)

    assert counted.snapshot(["KafkaMetrics"]) == {"MaxOffsetLag": 3, "SumOffsetLag": 0, "OffsetLag": 0, "DestinationDeliveryFailures": 1}
    assert counted.snapshot(["EventCount"])["PolledEventCount"] == 5
    assert counted.snapshot() == counted.snapshot(["EventCount"]) | counted.snapshot(["ErrorCount"]) | counted.snapshot(["KafkaMetrics"])


def test_several_threads_may_count() -> None:
    counted = Metrics()

    with ThreadPoolExecutor(4) as threads:
        for _ in range(4):
            threads.submit(lambda: [counted.add(metrics.INVOKED) for _ in range(2000)])

    assert counted.snapshot()["InvokedEventCount"] == 8000
