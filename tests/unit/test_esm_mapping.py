"""The parameters of an event source mapping: Lambda's names, defaults and ranges."""

from typing import Any

import pytest

from infra.local.esm.mapping import EventSourceMapping, InvalidMapping, from_aws

LEAST: dict[str, Any] = {"FunctionName": "on_orders", "Topics": ["orders"], "StartingPosition": "TRIM_HORIZON"}


def test_what_is_left_out_has_lambdas_default() -> None:
    mapping = from_aws(LEAST)

    assert mapping.batch_size == 100
    assert mapping.window_seconds == 0.5
    assert mapping.event_source_arn is None
    assert not mapping.reports_item_failures


def test_every_emulated_parameter_is_read_under_its_aws_name() -> None:
    mapping = from_aws(
        {
            **LEAST,
            "StartingPosition": "AT_TIMESTAMP",
            "StartingPositionTimestamp": 1545084650.5,
            "BatchSize": 10_000,
            "MaximumBatchingWindowInSeconds": 300,
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "EventSourceArn": "arn:aws:kafka:us-east-1:123456789012:cluster/c/1",
            "AmazonManagedKafkaEventSourceConfig": {"ConsumerGroupId": "a-group:1"},
        }
    )

    assert mapping == EventSourceMapping(
        function_name="on_orders",
        topics=("orders",),
        starting_position="AT_TIMESTAMP",
        starting_position_timestamp=1545084650.5,
        consumer_group_id="a-group:1",
        batch_size=10_000,
        maximum_batching_window_in_seconds=300,
        function_response_types=("ReportBatchItemFailures",),
        event_source_arn="arn:aws:kafka:us-east-1:123456789012:cluster/c/1",
    )


def test_a_window_of_nought_is_no_window_at_all() -> None:
    assert from_aws({**LEAST, "MaximumBatchingWindowInSeconds": 0}).window_seconds == 0


def test_a_mapping_without_group_keeps_the_same_one_and_shares_it_with_no_other() -> None:
    other = from_aws({**LEAST, "FunctionName": "on_others"})

    assert from_aws(LEAST).group_id == from_aws(LEAST).group_id
    assert from_aws(LEAST).group_id != other.group_id


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FunctionName", ""),
        ("Topics", []),
        ("Topics", ["a", "b"]),
        ("Topics", "orders"),
        ("Topics", ["no spaces"]),
        ("Topics", ["." * 3]),
        ("Topics", ["t" * 250]),
        ("StartingPosition", "EARLIEST"),
        ("StartingPosition", "AT_TIMESTAMP"),
        ("StartingPositionTimestamp", 1),
        ("SelfManagedKafkaEventSourceConfig", {"ConsumerGroupId": "g" * 201}),
        ("SelfManagedKafkaEventSourceConfig", {"ConsumerGroupId": "grüße"}),
        ("SelfManagedKafkaEventSourceConfig", {}),
        ("BatchSize", 0),
        ("BatchSize", 10_001),
        ("BatchSize", "10"),
        ("BatchSize", True),
        ("MaximumBatchingWindowInSeconds", -1),
        ("MaximumBatchingWindowInSeconds", 301),
        ("MaximumBatchingWindowInSeconds", 0.5),
        ("FunctionResponseTypes", ["Other"]),
        ("ParallelizationFactor", 2),
        ("MaximumRetryAttempts", 3),
    ],
)
def test_what_lambda_refuses_or_nobody_emulates_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(InvalidMapping, match=name.replace("SelfManagedKafkaEventSourceConfig", "ConsumerGroupId|SelfManaged")):
        from_aws({**LEAST, name: value})


@pytest.mark.parametrize("name", sorted(LEAST))
def test_a_parameter_that_is_needed_is_named(name: str) -> None:
    with pytest.raises(InvalidMapping, match=name):
        from_aws({key: value for key, value in LEAST.items() if key != name})
