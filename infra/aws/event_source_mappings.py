"""Event source mappings as AWS is asked for them, from the one declaration of triggers.

The emulator at home reads `request`; the deployment reads the same request in Terraform's words.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from chalicelib.messages.topics import Trigger

CLUSTER_ARN = "${var.kafka_cluster_arn}"
METRICS = ("EventCount", "ErrorCount", "KafkaMetrics")
# Where Terraform's AWS provider doesn't just write AWS's name in small letters.
TERRAFORM_NAMES = {"filters": "filter", "destination": "destination_arn"}


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


def managed(cluster_arn: str) -> Mapping[str, Any]:
    """A cluster of Amazon MSK."""
    return {"EventSourceArn": cluster_arn}


def self_managed(bootstrap_servers: Sequence[str]) -> Mapping[str, Any]:
    """Any other Apache Kafka, by its brokers' addresses (host:port)."""
    return {"SelfManagedEventSource": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": list(bootstrap_servers)}}}


def terraform(triggers: Sequence[Trigger]) -> dict[str, Any]:
    """The mappings in Terraform's JSON syntax, beside the functions that `chalice package --pkg-format terraform` declares."""
    return {
        "variable": {"kafka_cluster_arn": {"type": "string", "description": "ARN of the MSK cluster whose topics call the functions"}},
        "resource": {"aws_lambda_event_source_mapping": {trigger.function: _resource(trigger) for trigger in triggers}},
    }


def _provisioned(trigger: Trigger) -> dict[str, Any]:
    """What only a mapping in provisioned mode has (AWS Lambda developer guide, retry configurations for Kafka)."""
    if trigger.pollers is None:
        return {}
    least, most = trigger.pollers
    return {
        "ProvisionedPollerConfig": {"MinimumPollers": least, "MaximumPollers": most},
        "MaximumRetryAttempts": trigger.retries,
        "MaximumRecordAgeInSeconds": trigger.record_age_seconds,
        "BisectBatchOnFunctionError": trigger.bisect,
        "FunctionResponseTypes": ["ReportBatchItemFailures"] if trigger.report_item_failures else [],
    }


def _resource(trigger: Trigger) -> dict[str, Any]:
    resource: dict[str, Any] = _in_terraforms_words(request(trigger, managed(CLUSTER_ARN)))
    return resource | {"function_name": f"${{aws_lambda_function.{trigger.function}.arn}}"}


def _in_terraforms_words(value: Any) -> Any:
    if isinstance(value, dict):
        return {_terraform_name(name): _in_terraforms_words(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_in_terraforms_words(each) for each in value]
    return value


def _terraform_name(name: str) -> str:
    snake = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
    return TERRAFORM_NAMES.get(snake, snake)
