"""One declaration of triggers and alarms feeds the emulator and the deployment."""

import json
from collections.abc import Mapping
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from chalicelib.messages.topics import TRIGGERS, Trigger
from infra.aws import event_source_mappings
from infra.aws.__main__ import files
from infra.aws.alarms import ALARMS
from infra.stack.triggers import mapping_of

ARN = "arn:aws:kafka:us-east-1:123456789012:cluster/campusg/751d2973-a626-431c-9d4e-d7975eb44dd7-2"
RICH = Trigger(
    "orders",
    "on_orders",
    window_seconds=5,
    filters=('{"value":{"status":["placed"]}}',),
    retries=7,
    record_age_seconds=3600,
    bisect=True,
    destination="arn:aws:sqs:us-east-1:123456789012:given-up",
    pollers=(2, 6),
)


@pytest.fixture(scope="module")
def deployed() -> Mapping[str, Any]:
    """The mappings as Terraform reads them, by function."""
    (text,) = [text for path, text in files().items() if path.name == "event_source_mappings.tf.json"]
    found: Mapping[str, Any] = json.loads(text)["resource"]["aws_lambda_event_source_mapping"]
    return found


def test_the_files_for_terraform_say_what_the_code_declares() -> None:
    for path, text in files().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is out of date: make declare"


@pytest.mark.parametrize("trigger", [*TRIGGERS, RICH], ids=lambda trigger: trigger.function)
@pytest.mark.parametrize("cluster", [event_source_mappings.managed(ARN), event_source_mappings.self_managed(["b1:9092", "b2:9092"])])
def test_every_request_is_one_that_lambdas_api_knows(trigger: Trigger, cluster: Mapping[str, Any]) -> None:
    model = botocore.session.get_session().get_service_model("lambda")
    shape = model.operation_model("CreateEventSourceMapping").input_shape

    report = ParamValidator().validate(event_source_mappings.request(trigger, cluster), shape)

    assert not report.has_errors(), report.generate_report()


@pytest.mark.parametrize("trigger", TRIGGERS, ids=lambda trigger: trigger.function)
def test_the_emulator_and_the_deployment_are_told_the_same(trigger: Trigger, deployed: Mapping[str, Any]) -> None:
    at_home, on_aws = mapping_of(trigger, "127.0.0.1:9092"), deployed[trigger.function]

    assert at_home.topics == tuple(on_aws["topics"])
    assert at_home.group_id == on_aws["amazon_managed_kafka_event_source_config"]["consumer_group_id"]
    assert at_home.starting_position == on_aws["starting_position"]
    assert at_home.batch_size == on_aws["batch_size"]
    assert at_home.window_seconds == on_aws["maximum_batching_window_in_seconds"]
    assert at_home.function_response_types == tuple(on_aws["function_response_types"])
    assert at_home.maximum_retry_attempts == on_aws["maximum_retry_attempts"]
    assert at_home.maximum_record_age_in_seconds == on_aws["maximum_record_age_in_seconds"]
    assert at_home.bisect_batch_on_function_error == on_aws["bisect_batch_on_function_error"]
    assert on_aws["function_name"] == f"${{aws_lambda_function.{at_home.function_name}.arn}}"


def test_no_trigger_is_left_out_of_the_deployment(deployed: Mapping[str, Any]) -> None:
    assert sorted(deployed) == sorted(trigger.function for trigger in TRIGGERS)


def test_every_parameter_has_its_name_in_terraform() -> None:
    (resource,) = event_source_mappings.terraform([RICH])["resource"]["aws_lambda_event_source_mapping"].values()

    assert resource["filter_criteria"] == {"filter": [{"pattern": RICH.filters[0]}]}
    assert resource["destination_config"] == {"on_failure": {"destination_arn": RICH.destination}}
    assert resource["provisioned_poller_config"] == {"minimum_pollers": 2, "maximum_pollers": 6}
    assert resource["metrics_config"] == {"metrics": ["EventCount", "ErrorCount", "KafkaMetrics"]}
    assert resource["event_source_arn"] == "${var.kafka_cluster_arn}"


def test_a_mapping_on_demand_asks_for_nothing_that_only_a_provisioned_one_has() -> None:
    asked = event_source_mappings.request(Trigger("orders", "on_orders", pollers=None), event_source_mappings.managed(ARN))

    assert asked.keys().isdisjoint(
        {
            "ProvisionedPollerConfig",
            "MaximumRetryAttempts",
            "MaximumRecordAgeInSeconds",
            "BisectBatchOnFunctionError",
            "FunctionResponseTypes",
        }
    )


def test_every_alarm_has_a_name_of_its_own_and_says_what_to_do_where_data_is_missing() -> None:
    assert len({alarm.name for alarm in ALARMS}) == len(ALARMS)
    written_each_minute = {"DeadLettersWaiting", "InvariantViolations"}
    assert {alarm.metric for alarm in ALARMS if alarm.missing == "breaching"} == written_each_minute
