"""Reads a CreateEventSourceMapping request as the Lambda API describes it.

What does not apply to Kafka, needs another mode, or is not emulated is refused by name: a mapping that runs here says nothing that has
no effect, but for the few parameters that concern only the AWS account.
"""

from collections.abc import Callable, Mapping
from typing import Any

from .mapping import EventSourceMapping, InvalidMapping, ProvisionedPollers, require

# They concern the account, not what is delivered.
WITHOUT_EFFECT = frozenset({"Tags", "KMSKeyArn"})
NOT_FOR_KAFKA = frozenset(
    {"DocumentDBEventSourceConfig", "ParallelizationFactor", "Queues", "ScalingConfig", "TumblingWindowInSeconds"},
)
# Where the pollers stand in a network; the cluster here is reached without one.
NETWORK_ACCESS = frozenset({"VPC_SUBNET", "VPC_SECURITY_GROUP"})


def from_aws(parameters: Mapping[str, Any], now: float) -> EventSourceMapping:
    """The mapping that a request describes at the moment `now` (Unix seconds); raises InvalidMapping."""
    missing = {"FunctionName", "Topics", "StartingPosition"} - parameters.keys()
    require(not missing, f"{', '.join(sorted(missing))} is needed")
    values: dict[str, Any] = {}
    for name, value in parameters.items():
        require(name not in NOT_FOR_KAFKA, f"{name} is not for Kafka")
        if name in WITHOUT_EFFECT:
            continue
        require(name in PARAMETERS, f"{name} is not emulated; known are {', '.join(sorted(PARAMETERS))}")
        try:
            values |= PARAMETERS[name](value)
        except (TypeError, KeyError, AttributeError) as error:
            raise InvalidMapping(f"{name} can't be read: {value!r}") from error
    mapping = _mapping(values)
    require((mapping.starting_position_timestamp or 0) <= now, "StartingPositionTimestamp is not in the future")
    needy = mapping.in_need_of_provisioned_mode
    require(mapping.provisioned is not None or not needy, f"{', '.join(needy)}: provisioned mode is needed, add ProvisionedPollerConfig")
    return mapping


def _mapping(values: Mapping[str, Any]) -> EventSourceMapping:
    try:
        return EventSourceMapping(**values)
    except TypeError as error:
        raise InvalidMapping(f"a parameter has the wrong type: {error}") from error


def _same(field: str) -> Callable[[Any], dict[str, Any]]:
    return lambda value: {field: value}


def _texts(field: str) -> Callable[[Any], dict[str, Any]]:
    def read(value: Any) -> dict[str, Any]:
        if isinstance(value, str) or not all(isinstance(text, str) for text in value):
            raise TypeError("a list of texts is needed")
        return {field: tuple(value)}

    return read


def _kafka_config(value: Mapping[str, Any]) -> dict[str, Any]:
    _know("the Kafka configuration", value, "ConsumerGroupId", "ConsumptionMode", "SchemaRegistryConfig")
    require("SchemaRegistryConfig" not in value, "SchemaRegistryConfig: schema registries are not emulated")
    mode = value.get("ConsumptionMode", "Stream")
    require(mode == "Stream", f"ConsumptionMode {mode}: queue mode (share groups) is not emulated, only Stream")
    return {"consumer_group_id": value["ConsumerGroupId"]} if "ConsumerGroupId" in value else {}


def _filters(value: Mapping[str, Any]) -> dict[str, Any]:
    _know("FilterCriteria", value, "Filters")
    return {"filter_patterns": tuple(filter_["Pattern"] for filter_ in value.get("Filters", ()))}


def _destination(value: Mapping[str, Any]) -> dict[str, Any]:
    require("OnSuccess" not in value, "DestinationConfig: OnSuccess is not for event source mappings")
    _know("DestinationConfig", value, "OnFailure")
    on_failure = value.get("OnFailure", {})
    _know("DestinationConfig.OnFailure", on_failure, "Destination")
    return {"on_failure": on_failure.get("Destination")}


def _provisioned(value: Mapping[str, Any]) -> dict[str, Any]:
    _know("ProvisionedPollerConfig", value, "MinimumPollers", "MaximumPollers", "PollerGroupName")
    names = {"MinimumPollers": "minimum", "MaximumPollers": "maximum", "PollerGroupName": "group_name"}
    return {"provisioned": ProvisionedPollers(**{names[name]: given for name, given in value.items()})}


def _metrics(value: Mapping[str, Any]) -> dict[str, Any]:
    _know("MetricsConfig", value, "Metrics")
    return {"metrics": tuple(value.get("Metrics", ()))}


def _logging(value: Mapping[str, Any]) -> dict[str, Any]:
    _know("LoggingConfig", value, "SystemLogLevel")
    return {"system_log_level": value.get("SystemLogLevel")}


def _self_managed(value: Mapping[str, Any]) -> dict[str, Any]:
    _know("SelfManagedEventSource", value, "Endpoints")
    endpoints = value["Endpoints"]
    # As the API has it, or CloudFormation.
    _know("SelfManagedEventSource.Endpoints", endpoints, "KAFKA_BOOTSTRAP_SERVERS", "KafkaBootstrapServers")
    read = _texts("bootstrap_servers")(endpoints.get("KafkaBootstrapServers") or endpoints["KAFKA_BOOTSTRAP_SERVERS"])
    require(bool(read["bootstrap_servers"]), "SelfManagedEventSource: KAFKA_BOOTSTRAP_SERVERS is empty")
    return read


def _access(value: Any) -> dict[str, Any]:
    for entry in value:
        kind = entry["Type"]
        require(
            kind in NETWORK_ACCESS,
            f"SourceAccessConfigurations: {kind} is not emulated, the cluster is reached in plain text without credentials",
        )
    return {}


def _know(what: str, value: Mapping[str, Any], *names: str) -> None:
    unknown = value.keys() - set(names)
    require(not unknown, f"{what}: {', '.join(sorted(unknown))} is not emulated")


PARAMETERS: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "FunctionName": _same("function_name"),
    "Topics": _texts("topics"),
    "StartingPosition": _same("starting_position"),
    "StartingPositionTimestamp": _same("starting_position_timestamp"),
    "AmazonManagedKafkaEventSourceConfig": _kafka_config,
    "SelfManagedKafkaEventSourceConfig": _kafka_config,
    "BatchSize": _same("batch_size"),
    "MaximumBatchingWindowInSeconds": _same("maximum_batching_window_in_seconds"),
    "FunctionResponseTypes": _texts("function_response_types"),
    "EventSourceArn": _same("event_source_arn"),
    "SelfManagedEventSource": _self_managed,
    "SourceAccessConfigurations": _access,
    "Enabled": _same("enabled"),
    "FilterCriteria": _filters,
    "DestinationConfig": _destination,
    "MaximumRetryAttempts": _same("maximum_retry_attempts"),
    "MaximumRecordAgeInSeconds": _same("maximum_record_age_in_seconds"),
    "BisectBatchOnFunctionError": _same("bisect_batch_on_function_error"),
    "ProvisionedPollerConfig": _provisioned,
    "MetricsConfig": _metrics,
    "LoggingConfig": _logging,
}
