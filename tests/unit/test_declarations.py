"""One declaration of triggers and alarms feeds the emulator and the deployment."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from chalicelib.messages.topics import TRIGGERS, Trigger
from infra.aws import chalice_project, event_source_mappings
from infra.aws.alarms import ALARMS, mapping_id
from infra.aws.intrinsics import NO_VALUE, camel
from infra.esm.request import from_aws
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
    """The mappings as CloudFormation makes them for an MSK cluster, by function."""
    resources = chalice_project.template()["Resources"]
    return {trigger.function: for_msk(resources[mapping_id(trigger)]["Properties"]) for trigger in TRIGGERS}


def for_msk(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The properties where the cluster is MSK's."""
    chosen = {name: value["Fn::If"][1] if isinstance(value, dict) and "Fn::If" in value else value for name, value in properties.items()}
    return {name: value for name, value in chosen.items() if value != NO_VALUE}


@pytest.mark.parametrize("trigger", [*TRIGGERS, RICH], ids=lambda trigger: trigger.function)
@pytest.mark.parametrize("cluster", [event_source_mappings.managed(ARN), event_source_mappings.self_managed(["b1:9092", "b2:9092"])])
def test_every_request_is_one_that_lambdas_api_knows(trigger: Trigger, cluster: Mapping[str, Any]) -> None:
    model = botocore.session.get_session().get_service_model("lambda")
    shape = model.operation_model("CreateEventSourceMapping").input_shape

    report = ParamValidator().validate(event_source_mappings.request(trigger, cluster), shape)

    assert not report.has_errors(), report.generate_report()


@pytest.mark.parametrize("trigger", TRIGGERS, ids=lambda trigger: trigger.function)
def test_the_emulator_and_the_deployment_are_told_the_same(trigger: Trigger, deployed: Mapping[str, Any]) -> None:
    named = deployed[trigger.function] | {"FunctionName": trigger.function, "EventSourceArn": ARN}
    at_home, on_aws = mapping_of(trigger, "127.0.0.1:9092"), from_aws(named, 0.0)

    assert replace(at_home, bootstrap_servers=(), event_source_arn=ARN) == on_aws
    assert deployed[trigger.function]["FunctionName"] == {"Ref": camel(trigger.function)}
    assert deployed[trigger.function]["EventSourceArn"] == {"Ref": "KafkaClusterArn"}


def test_mappings_share_their_pollers_and_report_single_records(deployed: Mapping[str, Any]) -> None:
    assert {mapping["ProvisionedPollerConfig"]["PollerGroupName"] for mapping in deployed.values()} == {"campusg-orders"}
    assert all(mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"] for mapping in deployed.values())


def test_brokers_other_than_msks_are_read_from_where_the_functions_stand() -> None:
    properties = event_source_mappings.resource(RICH, "OnOrders")["Properties"]

    _, for_msk, otherwise = properties["SelfManagedEventSource"]["Fn::If"]
    assert for_msk == NO_VALUE
    assert otherwise == {"Endpoints": {"KafkaBootstrapServers": {"Fn::Split": [",", {"Ref": "KafkaBrokers"}]}}}
    access = properties["SourceAccessConfigurations"]["Fn::If"][2]["Fn::If"][1]
    assert [each["Type"] for each in access] == ["VPC_SUBNET", "VPC_SUBNET", "VPC_SECURITY_GROUP"]


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
    written_each_minute = {"DeadLettersWaiting", "InvariantViolations", "OutboxAgeSeconds"}
    assert {alarm.metric for alarm in ALARMS if alarm.missing == "breaching"} == written_each_minute
