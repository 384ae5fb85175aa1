"""Event source mappings as AWS is asked for them, from the one declaration of triggers.

The emulator at home reads `request`; `resource` is the same request as CloudFormation has it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.messages.topics import Trigger
from infra.aws.intrinsics import NO_VALUE, Value, either, listed, piece, ref, sub

METRICS = ("EventCount", "ErrorCount", "KafkaMetrics")
# The mappings of one group and network share their event poller units, and so their price.
POLLER_GROUP = "campusg-orders"


def _access(kind: str, prefix: str, parameter: str, number: int) -> Value:
    return {"Type": kind, "URI": sub(f"{prefix}:${{Id}}", Id=piece(number, ref(parameter), ","))}


# Where the pollers stand that read from brokers other than MSK's.
NETWORK = [
    _access("VPC_SUBNET", "subnet", "SubnetIds", 0),
    _access("VPC_SUBNET", "subnet", "SubnetIds", 1),
    _access("VPC_SECURITY_GROUP", "security_group", "SecurityGroupIds", 0),
]


def request(trigger: Trigger, cluster: Mapping[str, Any]) -> dict[str, Any]:
    """The CreateEventSourceMapping request (AWS Lambda API) for a trigger; `cluster` is what `managed` or `self_managed` gives."""
    config = "AmazonManagedKafkaEventSourceConfig" if "EventSourceArn" in cluster else "SelfManagedKafkaEventSourceConfig"
    asked: dict[str, Any] = {
        "FunctionName": trigger.function,
        **cluster,
        config: {"ConsumerGroupId": trigger.consumer_group},
        "Topics": [trigger.topic],
        "StartingPosition": trigger.starting_position,
        "BatchSize": trigger.batch_size,
        "MaximumBatchingWindowInSeconds": trigger.window_seconds,
        "MetricsConfig": {"Metrics": list(METRICS)},
    }
    if trigger.filters:
        asked["FilterCriteria"] = {"Filters": [{"Pattern": pattern} for pattern in trigger.filters]}
    if trigger.destination:
        asked["DestinationConfig"] = {"OnFailure": {"Destination": trigger.destination}}
    return asked | _provisioned(trigger)


def managed(cluster_arn: str | Value) -> Mapping[str, Any]:
    """A cluster of Amazon MSK."""
    return {"EventSourceArn": cluster_arn}


def self_managed(bootstrap_servers: Sequence[str]) -> Mapping[str, Any]:
    """Any other Apache Kafka, by its brokers' addresses (host:port)."""
    return {"SelfManagedEventSource": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": list(bootstrap_servers)}}}


def resource(trigger: Trigger, function_id: str) -> Value:
    """The mapping as a resource of the service stack, for MSK where its ARN is given, else for the brokers that are."""
    brokers = listed("KafkaBrokers")
    msk, other = request(trigger, managed(ref("KafkaClusterArn"))), request(trigger, self_managed([]))
    # CloudFormation's own name for it.
    other["SelfManagedEventSource"] = {"Endpoints": {"KafkaBootstrapServers": brokers}}
    other["SourceAccessConfigurations"] = either("InNetwork", NETWORK)
    properties = {
        name: msk[name] if msk.get(name) == other.get(name) else either("UsesMsk", msk.get(name, NO_VALUE), other.get(name, NO_VALUE))
        for name in (msk | other)
    }
    return {"Type": "AWS::Lambda::EventSourceMapping", "Properties": properties | {"FunctionName": ref(function_id)}}


def _provisioned(trigger: Trigger) -> dict[str, Any]:
    """What only a mapping in provisioned mode has (AWS Lambda developer guide, retry configurations for Kafka)."""
    if trigger.pollers is None:
        return {}
    least, most = trigger.pollers
    return {
        "ProvisionedPollerConfig": {"MinimumPollers": least, "MaximumPollers": most, "PollerGroupName": POLLER_GROUP},
        "MaximumRetryAttempts": trigger.retries,
        "MaximumRecordAgeInSeconds": trigger.record_age_seconds,
        "BisectBatchOnFunctionError": trigger.bisect,
        "FunctionResponseTypes": ["ReportBatchItemFailures"] if trigger.report_item_failures else [],
    }
