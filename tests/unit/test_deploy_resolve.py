"""The mappings that are polled at home are the template's, with the values that CloudFormation would find."""

import pytest

from chalicelib.messages.topics import TRIGGERS
from infra.aws import chalice_project, event_source_mappings
from infra.aws.intrinsics import NO_VALUE, Value, either, equals, is_not, joined, piece, ref, sub
from infra.deploy.errors import DeployError
from infra.deploy.resolve import Resolver, mappings

BROKERS = "one:9092,two:9092"
ARN = "arn:aws:kafka:us-east-1:000000000000:cluster/c/1"
TEMPLATE: Value = {
    "Parameters": {"Stage": {"Type": "String"}, "Ids": {"Type": "CommaDelimitedList", "Default": ""}},
    "Conditions": {"Has": is_not(equals(joined(ref("Ids")), "")), "Both": {"Fn::And": [{"Condition": "Has"}, equals(ref("Stage"), "s")]}},
    "Resources": {"One": {"Properties": {"FunctionName": sub("f-${Stage}")}}},
}


def requests(cluster: Value) -> list[Value]:
    made = [event_source_mappings.request(trigger, cluster) for trigger in TRIGGERS]
    return sorted((each | {"FunctionName": f"campusg-orders-home-{each['FunctionName']}"} for each in made), key=str)


@pytest.mark.parametrize(("arn", "cluster"), [(ARN, {"EventSourceArn": ARN}), ("", event_source_mappings.self_managed(BROKERS.split(",")))])
def test_they_are_what_the_declarations_ask_for(arn: str, cluster: Value) -> None:
    given = {"Stage": "home", "KafkaBrokers": BROKERS, "KafkaClusterArn": arn}

    found = mappings(chalice_project.template(), given)

    assert sorted((dict(sorted(each.items())) for each in found), key=str) == sorted(
        (dict(sorted(each.items())) for each in requests(cluster)), key=str
    )


@pytest.mark.parametrize(
    ("given", "value", "found"),
    [
        ({"Ids": "a,b"}, either("Has", ref("Ids")), ["a", "b"]),
        ({"Ids": "a,b"}, piece(1, joined(ref("Ids"), ":"), ":"), "b"),
        ({}, {"x": either("Has", 1), "y": [NO_VALUE, 2]}, {"y": [2]}),
        ({"Stage": "s", "Ids": "a"}, either("Both", "yes", "no"), "yes"),
        ({"Stage": "t", "Ids": "a"}, either("Both", "yes", "no"), "no"),
        ({"Stage": "s"}, ref("One"), "f-s"),
        ({"Stage": "s"}, sub("${Stage}-${Own}", Own=ref("Stage")), "s-s"),
    ],
)
def test_functions_of_templates(given: dict[str, str], value: Value, found: object) -> None:
    assert Resolver(TEMPLATE, given).value(value) == found


def test_a_parameter_without_a_value_is_named() -> None:
    with pytest.raises(DeployError, match="the parameter Stage is missing"):
        Resolver(TEMPLATE, {}).value(ref("One"))
