"""The service stack: what Python adds to the template that Chalice makes of `app.py`."""

from collections.abc import Mapping

from infra.aws import alarms, dashboard, event_source_mappings, gateway
from infra.aws.environment import variables
from infra.aws.functions import FUNCTIONS, PREFIX, Function
from infra.aws.intrinsics import Value, attribute, either, listed, ref, sub
from infra.aws.parameters import CONDITIONS, RULES, parameters
from infra.aws.roles import role


def merge_file(paths: Mapping[str, Value]) -> Value:
    """What `chalice package --merge-template` merges into its template, whose API has these paths."""
    resources: dict[str, Value] = {"RestAPI": {"Properties": gateway.rest_api(paths)}}
    for function in FUNCTIONS:
        resources[function.logical_id] = {"Properties": _properties(function)}
        resources[function.role_id] = role(function)
        resources[function.log_group_id] = log_group(function)
        if function.trigger:
            mapping = event_source_mappings.resource(function.trigger, function.logical_id)
            resources[alarms.mapping_id(function.trigger)] = mapping
    resources |= {alarm.logical_id: alarms.resource(alarm) for alarm in alarms.ALARMS}
    resources["Dashboard"] = dashboard.resource()
    return {
        "Description": "CampusG orders: functions, API and triggers of one stage",
        "Parameters": parameters(),
        "Rules": RULES,
        "Conditions": CONDITIONS,
        "Resources": resources,
        "Outputs": {"MigrateFunction": {"Value": ref("Migrate")}, "DashboardName": {"Value": sub(PREFIX)}},
    }


def log_group(function: Function) -> Value:
    """The function's log group, which Lambda would else make without an end to its lines."""
    name = sub(f"/aws/lambda/{PREFIX}-{function.name}")
    return {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": name, "RetentionInDays": ref("LogDays")}}


def _properties(function: Function) -> Value:
    properties: Value = {
        "FunctionName": function.deployed_name,
        "CodeUri": {"Bucket": ref("CodeBucket"), "Key": ref("CodeKey")},
        "Timeout": function.timeout_seconds,
        "MemorySize": function.memory_mb,
        "Role": attribute(function.role_id, "Arn"),
        "LoggingConfig": {"LogGroup": ref(function.log_group_id)},
        "Environment": {"Variables": variables(function)},
        "Tags": {"stage": ref("Stage")},
    }
    if function.database:
        network = {"SubnetIds": listed("SubnetIds"), "SecurityGroupIds": listed("SecurityGroupIds")}
        properties["VpcConfig"] = either("InNetwork", network)
    return properties
