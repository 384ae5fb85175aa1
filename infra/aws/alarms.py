"""What CloudWatch wakes a person for, as literals, and as resources of the service stack."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from chalicelib.messages.topics import TRIGGERS, Trigger
from chalicelib.observability import NAMESPACE, SERVICE
from infra.aws.functions import FUNCTIONS, PREFIX, Function
from infra.aws.gateway import API_STAGE
from infra.aws.intrinsics import Value, camel, either, listed, ref, sub

OURS: Mapping[str, str | Value] = {"service": SERVICE, "stage": ref("Stage")}


@dataclass(frozen=True)
class Alarm:
    """Rings when the metric's statistic, by default its greatest value, was above `threshold` in each of `minutes` minutes.

    `missing` says what a minute without any value means: a metric that is written every minute, zero included, and then stays away is
    trouble by itself.
    """

    name: str
    metric: str
    description: str
    namespace: str = NAMESPACE
    dimensions: Mapping[str, str | Value] = field(default_factory=lambda: OURS)
    threshold: int = 0
    minutes: int = 1
    missing: Literal["breaching", "notBreaching"] = "breaching"
    statistic: Literal["Maximum", "Sum", "p99"] = "Maximum"

    @property
    def logical_id(self) -> str:
        return f"{camel(self.name)}Alarm"


def mapping_id(trigger: Trigger) -> str:
    """The logical id of the trigger's event source mapping."""
    return f"{camel(trigger.function)}Mapping"


def of_function(function: Function) -> tuple[Alarm, ...]:
    """The alarms of one function; what is called again by itself may fail for a while, as when the database is away."""
    dimensions = {"FunctionName": ref(function.logical_id)}
    aws: Any = {"namespace": "AWS/Lambda", "dimensions": dimensions, "missing": "notBreaching"}
    return (
        Alarm(
            f"{function.name}_errors",
            "Errors",
            "the function raised, ran out of time or memory, or could not start: `make logs`",
            minutes=5 if function.repeated else 1,
            statistic="Sum",
            **aws,
        ),
        Alarm(
            f"{function.name}_throttles", "Throttles", "Lambda refuses calls: the account's concurrency is used up", statistic="Sum", **aws
        ),
        Alarm(
            f"{function.name}_slow",
            "Duration",
            f"the slowest of a hundred calls take more than four fifths of the {function.timeout_seconds} s that there are",
            threshold=function.timeout_seconds * 800,
            minutes=5,
            statistic="p99",
            **aws,
        ),
    )


def of_trigger(trigger: Trigger) -> tuple[Alarm, ...]:
    """The alarms of one event source mapping (metrics: AWS Lambda developer guide, event source mapping metrics)."""
    mapping = {"EventSourceMappingUUID": ref(mapping_id(trigger))}
    return (
        Alarm(
            f"{trigger.function}_dropped",
            "DroppedEventCount",
            f"Lambda gave records of {trigger.topic} up (larger than 6 MB): neither taken nor dead letters; see operations.md",
            "AWS/Lambda",
            mapping,
            missing="notBreaching",
        ),
        Alarm(
            f"{trigger.function}_lag",
            "MaxOffsetLag",
            f"records of {trigger.topic} wait: the function fails, is throttled or too slow",
            "AWS/Lambda",
            mapping,
            threshold=1_000,
            minutes=5,
            missing="notBreaching",
        ),
        Alarm(
            f"{trigger.function}_polling",
            "PollingErrorCount",
            f"Lambda can't read from {trigger.topic}: the brokers are away, or a partition holds a batch that can't be read",
            "AWS/Lambda",
            mapping,
            minutes=5,
            missing="notBreaching",
        ),
    )


ALARMS = (
    Alarm(
        "dead_letters_new",
        "DeadLetters",
        "a record could not be taken and waits for a person: `make dead-letters`",
        # Written only where there are any.
        missing="notBreaching",
    ),
    # It stays in alarm until each was redriven or dismissed: none has to wait for good, so one is worth a look.
    Alarm("dead_letters_waiting", "DeadLettersWaiting", "a dead letter waits: `make dead-letters`, then `redrive` or `dismiss`", minutes=2),
    Alarm("invariant_violations", "InvariantViolations", "what must never be true of orders, sagas and money is: `make audit`", minutes=2),
    Alarm(
        "outbox_old",
        "OutboxAgeSeconds",
        "a message has waited for minutes: Kafka is away, or refuses it; `make audit` names it",
        threshold=300,
        minutes=2,
    ),
    Alarm(
        "database_unavailable",
        "DatabaseUnavailable",
        "the database is away, full, read-only or too slow: nothing is lost, but requests are 503 and replies wait",
        minutes=5,
        # Written only where a transaction met it.
        missing="notBreaching",
    ),
    Alarm(
        "api_failing",
        "5XXError",
        "API Gateway answers with 500 or more: the function fails, is throttled, or the database is away",
        "AWS/ApiGateway",
        {"ApiName": sub(PREFIX), "Stage": API_STAGE},
        threshold=10,
        minutes=2,
        missing="notBreaching",
        statistic="Sum",
    ),
    *(alarm for function in FUNCTIONS for alarm in of_function(function)),
    *(alarm for trigger in TRIGGERS for alarm in of_trigger(trigger)),
)


def resource(alarm: Alarm) -> Value:
    """The alarm as a resource of the service stack."""
    statistic = "ExtendedStatistic" if alarm.statistic.startswith("p") else "Statistic"
    told = either("TellsSomebody", listed("AlarmTopicArns"))
    properties = {
        "AlarmName": sub(f"{PREFIX}-{alarm.name}"),
        "AlarmDescription": alarm.description,
        "Namespace": alarm.namespace,
        "MetricName": alarm.metric,
        "Dimensions": [{"Name": name, "Value": value} for name, value in alarm.dimensions.items()],
        statistic: alarm.statistic,
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": alarm.threshold,
        "Period": 60,
        "EvaluationPeriods": alarm.minutes,
        "TreatMissingData": alarm.missing,
        "AlarmActions": told,
        "OKActions": told,
    }
    return {"Type": "AWS::CloudWatch::Alarm", "Properties": properties}
