"""The parameters of an event source mapping as they are asked for: Lambda's names, defaults and ranges."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.esm.mapping import EventSourceMapping, InvalidMapping, ProvisionedPollers
from infra.esm.request import NOT_FOR_KAFKA, PARAMETERS, from_aws

NOW = 1_800_000_000
LEAST: dict[str, Any] = {"FunctionName": "on_orders", "Topics": ["orders"], "StartingPosition": "TRIM_HORIZON"}
PROVISIONED = {"ProvisionedPollerConfig": {}}
QUEUE = "arn:aws:sqs:us-east-1:123456789012:discarded"


def read(**parameters: Any) -> EventSourceMapping:
    return from_aws(LEAST | parameters, NOW)


@pytest.mark.rule("parameters")
@pytest.mark.rule("window-default")
def test_what_is_left_out_has_lambdas_default() -> None:
    mapping = read()

    assert mapping == EventSourceMapping("on_orders", ("orders",), "TRIM_HORIZON")
    assert mapping.batch_size == 100
    assert mapping.window_seconds == 0.5
    assert mapping.enabled
    assert (mapping.maximum_retry_attempts, mapping.maximum_record_age_in_seconds) == (-1, -1)
    assert (mapping.retries, mapping.maximum_age_ms) == (None, None)
    assert not mapping.reports_item_failures


@pytest.mark.rule("parameters")
def test_every_emulated_parameter_is_read_under_its_aws_name() -> None:
    mapping = read(
        StartingPosition="AT_TIMESTAMP",
        StartingPositionTimestamp=1545084650.5,
        BatchSize=10_000,
        MaximumBatchingWindowInSeconds=300,
        FunctionResponseTypes=["ReportBatchItemFailures"],
        EventSourceArn="arn:aws:kafka:us-east-1:123456789012:cluster/c/1",
        AmazonManagedKafkaEventSourceConfig={"ConsumerGroupId": "a-group:1"},
        Enabled=False,
        FilterCriteria={"Filters": [{"Pattern": '{"value":{"status":["placed"]}}'}]},
        DestinationConfig={"OnFailure": {"Destination": QUEUE}},
        MaximumRetryAttempts=10_000,
        MaximumRecordAgeInSeconds=604_800,
        BisectBatchOnFunctionError=True,
        ProvisionedPollerConfig={"MinimumPollers": 2, "MaximumPollers": 3, "PollerGroupName": "g"},
        MetricsConfig={"Metrics": ["EventCount", "ErrorCount", "KafkaMetrics"]},
        LoggingConfig={"SystemLogLevel": "DEBUG"},
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
        enabled=False,
        filter_patterns=('{"value":{"status":["placed"]}}',),
        on_failure=QUEUE,
        maximum_retry_attempts=10_000,
        maximum_record_age_in_seconds=604_800,
        bisect_batch_on_function_error=True,
        provisioned=ProvisionedPollers(2, 3, "g"),
        metrics=("EventCount", "ErrorCount", "KafkaMetrics"),
        system_log_level="DEBUG",
    )


@pytest.mark.rule("parameters")
def test_a_self_managed_cluster_is_read_with_its_addresses_and_the_network_around_it() -> None:
    mapping = read(
        SelfManagedEventSource={"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": ["b-1:9092", "b-2:9092"]}},
        SelfManagedKafkaEventSourceConfig={"ConsumerGroupId": "g", "ConsumptionMode": "Stream"},
        SourceAccessConfigurations=[
            {"Type": "VPC_SUBNET", "URI": "subnet:s-1"},
            {"Type": "VPC_SECURITY_GROUP", "URI": "security_group:g-1"},
        ],
        Tags={"a": "b"},
    )

    assert (mapping.bootstrap_servers, mapping.group_id) == (("b-1:9092", "b-2:9092"), "g")


@pytest.mark.rule("parameters")
def test_a_group_may_have_all_characters_that_the_api_lets_it_have() -> None:
    group = "a group-of/ALL*:_+=.@9"

    assert read(SelfManagedKafkaEventSourceConfig={"ConsumerGroupId": group}).group_id == group


@pytest.mark.rule("group-default")
def test_a_mapping_without_group_has_its_uuid_as_group_keeps_it_and_shares_it_with_no_other() -> None:
    assert read().group_id == read().uuid
    assert read(SelfManagedKafkaEventSourceConfig={}).group_id == read().uuid
    assert read().group_id != read(FunctionName="on_others").group_id


def test_a_window_of_nought_is_no_window_at_all() -> None:
    assert read(MaximumBatchingWindowInSeconds=0, **PROVISIONED).window_seconds == 0


@pytest.mark.rule("parameters")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FunctionName", ""),
        ("Topics", []),
        ("Topics", ["a", "b"]),
        ("Topics", "orders"),
        ("Topics", [1]),
        ("Topics", ["no spaces"]),
        ("Topics", ["." * 3]),
        ("Topics", ["t" * 250]),
        ("StartingPosition", "EARLIEST"),
        ("StartingPosition", "AT_TIMESTAMP"),
        ("StartingPositionTimestamp", 1),
        ("SelfManagedKafkaEventSourceConfig", {"ConsumerGroupId": "g" * 201}),
        ("SelfManagedKafkaEventSourceConfig", {"ConsumerGroupId": "grüße"}),
        ("SelfManagedKafkaEventSourceConfig", None),
        ("SelfManagedEventSource", {}),
        ("SelfManagedEventSource", {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": []}}),
        ("BatchSize", 0),
        ("BatchSize", 10_001),
        ("BatchSize", "10"),
        ("BatchSize", True),
        ("MaximumBatchingWindowInSeconds", -1),
        ("MaximumBatchingWindowInSeconds", 301),
        ("MaximumBatchingWindowInSeconds", 0.5),
        ("FunctionResponseTypes", ["Other"]),
        ("Enabled", "yes"),
        ("FilterCriteria", {"Filters": [{}]}),
        ("FilterCriteria", {"Filters": [{"Pattern": "{"}]}),
        ("FilterCriteria", {"Filter": []}),
        ("DestinationConfig", {"OnFailure": {"Destination": "arn:aws:lambda:us-east-1:123456789012:function:f"}}),
        ("DestinationConfig", {"OnFailure": {"Destination": "kafka://orders"}}),
        ("DestinationConfig", {"OnFailure": {"Destination": 5}}),
        ("DestinationConfig", {"OnSuccess": {"Destination": QUEUE}}),
        ("MaximumRetryAttempts", -2),
        ("MaximumRetryAttempts", 10_001),
        ("MaximumRecordAgeInSeconds", 59),
        ("MaximumRecordAgeInSeconds", 0),
        ("MaximumRecordAgeInSeconds", 604_801),
        ("BisectBatchOnFunctionError", "true"),
        ("ProvisionedPollerConfig", {"MinimumPollers": 0}),
        ("ProvisionedPollerConfig", {"MaximumPollers": 2001}),
        ("ProvisionedPollerConfig", {"MinimumPollers": 3, "MaximumPollers": 2}),
        ("ProvisionedPollerConfig", {"PollerGroupName": "g" * 129}),
        ("ProvisionedPollerConfig", {"Pollers": 1}),
        ("MetricsConfig", {"Metrics": ["Everything"]}),
        ("LoggingConfig", {"SystemLogLevel": "ERROR"}),
    ],
)
def test_what_lambda_refuses_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(InvalidMapping, match=name.replace("SelfManagedKafkaEventSourceConfig", "ConsumerGroupId|SelfManaged")):
        read(**PROVISIONED | {name: value})


@pytest.mark.rule("parameters")
def test_a_starting_timestamp_in_the_future_is_refused() -> None:
    at_timestamp = {"StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": NOW + 1}

    with pytest.raises(InvalidMapping, match="StartingPositionTimestamp is not in the future"):
        read(**at_timestamp)


@pytest.mark.rule("parameters")
@pytest.mark.parametrize("timestamp", ["2026-11-22", True, float("nan"), float("inf")])
def test_a_starting_timestamp_is_a_number(timestamp: object) -> None:
    with pytest.raises(InvalidMapping, match="StartingPositionTimestamp"):
        read(StartingPosition="AT_TIMESTAMP", StartingPositionTimestamp=timestamp)


@pytest.mark.rule("parameters")
def test_a_mapping_has_one_cluster() -> None:
    endpoints = {"SelfManagedEventSource": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": ["b:9092"]}}}

    with pytest.raises(InvalidMapping, match="EventSourceArn is for Amazon MSK, SelfManagedEventSource for other clusters"):
        read(EventSourceArn="arn:aws:kafka:us-east-1:123456789012:cluster/c/1", **endpoints)


@pytest.mark.rule("parameters")
@pytest.mark.parametrize("name", sorted(LEAST))
def test_a_parameter_that_is_needed_is_named(name: str) -> None:
    with pytest.raises(InvalidMapping, match=name):
        from_aws({key: value for key, value in LEAST.items() if key != name}, NOW)


@pytest.mark.rule("provisioned-only")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MaximumBatchingWindowInSeconds", 0),
        ("FunctionResponseTypes", ["ReportBatchItemFailures"]),
        ("MaximumRetryAttempts", 3),
        ("MaximumRecordAgeInSeconds", 60),
        ("BisectBatchOnFunctionError", True),
        ("DestinationConfig", {"OnFailure": {"Destination": "kafka://dead"}}),
        ("LoggingConfig", {"SystemLogLevel": "WARN"}),
    ],
)
def test_what_works_in_provisioned_mode_only_is_refused_on_demand(name: str, value: object) -> None:
    with pytest.raises(InvalidMapping, match=f"{name}.*: provisioned mode is needed, add ProvisionedPollerConfig"):
        read(**{name: value})
    assert read(**PROVISIONED | {name: value}).provisioned == ProvisionedPollers(1, 200)


@pytest.mark.rule("provisioned-only")
def test_what_is_at_its_default_and_an_aws_destination_need_no_provisioned_mode() -> None:
    mapping = read(MaximumRetryAttempts=-1, BisectBatchOnFunctionError=False, DestinationConfig={"OnFailure": {"Destination": QUEUE}})

    assert (mapping.on_failure, mapping.retries) == (QUEUE, 10)


@pytest.mark.rule("not-for-kafka")
@pytest.mark.parametrize("name", sorted(NOT_FOR_KAFKA))
def test_what_other_sources_have_is_refused_by_name(name: str) -> None:
    with pytest.raises(InvalidMapping, match=f"{name} is not for Kafka"):
        read(**{name: 1})


@pytest.mark.rule("not-emulated")
@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"Surprise": 1}, "Surprise is not emulated; known are AmazonManaged"),
        ({"SelfManagedKafkaEventSourceConfig": {"ConsumptionMode": "Queue"}}, "queue mode .* is not emulated"),
        ({"SelfManagedKafkaEventSourceConfig": {"SchemaRegistryConfig": {}}}, "schema registries are not emulated"),
        ({"SourceAccessConfigurations": [{"Type": "SASL_SCRAM_512_AUTH", "URI": "u"}]}, "SASL_SCRAM_512_AUTH is not emulated"),
        ({"SourceAccessConfigurations": [{"Type": "SERVER_ROOT_CA_CERTIFICATE", "URI": "u"}]}, "SERVER_ROOT_CA_CERTIFICATE is not"),
    ],
)
def test_what_is_not_emulated_is_refused_by_name(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidMapping, match=message):
        read(**parameters)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 20_000) | st.floats() | st.text(max_size=5) | st.just("AT_TIMESTAMP"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NESTED = ("Filters", "Pattern", "OnFailure", "Destination", "Endpoints", "KAFKA_BOOTSTRAP_SERVERS", "ConsumerGroupId", "Metrics", "Type")
VALUES = JSON | st.dictionaries(st.sampled_from(NESTED), JSON | st.dictionaries(st.sampled_from(NESTED), JSON), max_size=2)


@pytest.mark.rule("parameters")
@given(st.dictionaries(st.sampled_from(sorted({*PARAMETERS, *LEAST})), VALUES, max_size=3))
@settings(max_examples=500, deadline=None)
def test_whatever_a_request_holds_it_is_read_or_refused_with_a_reason(parameters: dict[str, Any]) -> None:
    try:
        mapping = from_aws(LEAST | parameters, NOW)
    except InvalidMapping as refused:
        assert str(refused)
    else:
        assert mapping.topic
