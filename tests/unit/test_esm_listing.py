"""Event source mappings as an endpoint of the Lambda API lists them."""

from datetime import UTC, datetime
from typing import Any

import pytest

from infra.esm.listing import kafka_mappings
from infra.esm.mapping import InvalidMapping

CLUSTER = "arn:aws:kafka:us-east-1:123456789012:cluster/campus/751d2973-a626-431c-9d4e-d7975eb44dd7-2"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:on-payments:live"
# The members of an answer of ListEventSourceMappings (Lambda API reference), as boto3 reads them.
LISTED: dict[str, Any] = {
    "UUID": "14e0db71-5d35-4eb5-b481-8945cf9d10c2",
    "StartingPosition": "AT_TIMESTAMP",
    "StartingPositionTimestamp": datetime(2026, 11, 1, tzinfo=UTC),
    "BatchSize": 50,
    "MaximumBatchingWindowInSeconds": 0,
    "EventSourceArn": CLUSTER,
    "EventSourceMappingArn": "arn:aws:lambda:us-east-1:123456789012:event-source-mapping:14e0db71-5d35-4eb5-b481-8945cf9d10c2",
    "FilterCriteria": {"Filters": [{"Pattern": '{"value": {"amount": [1]}}'}]},
    "FunctionArn": FUNCTION,
    "LastModified": datetime(2026, 11, 2, tzinfo=UTC),
    "LastProcessingResult": "No records processed",
    "State": "Enabled",
    "StateTransitionReason": "USER_INITIATED",
    "DestinationConfig": {"OnFailure": {}},
    "Topics": ["payments"],
    "SourceAccessConfigurations": [],
    "Queues": [],
    "FunctionResponseTypes": [],
    "MaximumRetryAttempts": -1,
    "MaximumRecordAgeInSeconds": -1,
    "AmazonManagedKafkaEventSourceConfig": {"ConsumerGroupId": "g"},
}


@pytest.mark.rule("endpoint-listing")
def test_a_listed_mapping_is_read_with_its_uuid_and_its_function() -> None:
    [mapping] = kafka_mappings([LISTED], 1_800_000_000)

    assert (mapping.uuid, mapping.function_name, mapping.topic) == (LISTED["UUID"], FUNCTION, "payments")
    assert (mapping.event_source_arn, mapping.group_id, mapping.batch_size) == (CLUSTER, "g", 50)
    assert mapping.starting_position_timestamp == datetime(2026, 11, 1, tzinfo=UTC).timestamp()
    assert mapping.filter_patterns == ('{"value": {"amount": [1]}}',)
    assert (mapping.window_seconds, mapping.on_failure, mapping.enabled) == (0.5, None, True)


@pytest.mark.rule("endpoint-listing")
def test_what_was_chosen_in_provisioned_mode_is_kept_and_the_group_is_the_uuid_unless_named() -> None:
    chosen = {"ProvisionedPollerConfig": {"MinimumPollers": 1}, "AmazonManagedKafkaEventSourceConfig": None}
    [mapping] = kafka_mappings([LISTED | chosen], 1_800_000_000)

    assert mapping.window_seconds == 0
    assert mapping.group_id == LISTED["UUID"]


@pytest.mark.rule("endpoint-listing")
def test_only_topics_of_kafka_are_polled_and_only_what_is_enabled() -> None:
    queue = {"UUID": "u", "EventSourceArn": "arn:aws:sqs:us-east-1:123456789012:q", "FunctionArn": FUNCTION, "State": "Enabled"}
    self_managed = {"SelfManagedEventSource": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": ["b:9092"]}}, "EventSourceArn": ""}
    listed = [queue, LISTED | {"State": "Deleting"}, LISTED | {"State": "Disabled"}, LISTED | self_managed | {"State": "Creating"}]
    del listed[-1]["AmazonManagedKafkaEventSourceConfig"]

    disabled, creating = kafka_mappings(listed, 1_800_000_000)

    assert (disabled.enabled, creating.enabled) == (False, True)
    assert (creating.event_source_arn, creating.bootstrap_servers) == (None, ("b:9092",))


@pytest.mark.rule("endpoint-listing")
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"Topics": []}, "Topics: the endpoint does not tell them, --mapping is needed"),
        ({"SourceAccessConfigurations": [{"Type": "SASL_SCRAM_512_AUTH", "URI": "s"}]}, "SASL_SCRAM_512_AUTH is not emulated"),
        ({"FunctionArn": None}, "FunctionName is needed"),
    ],
)
def test_a_mapping_that_can_not_be_run_is_refused_by_its_uuid(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidMapping, match=f"^event source mapping {LISTED['UUID']}: .*{message}"):
        kafka_mappings([LISTED | wrong], 1_800_000_000)
