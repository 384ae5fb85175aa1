"""What CloudWatch wakes a person for, as literals, and the same in Terraform's JSON syntax."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from chalicelib.messages.topics import TRIGGERS, Trigger
from chalicelib.observability import NAMESPACE, SERVICE

OURS: Mapping[str, str] = {"service": SERVICE}


@dataclass(frozen=True)
class Alarm:
    """Rings when the metric's greatest value was above `threshold` in each of `minutes` minutes.

    `missing` says what a minute without any value means: a metric that is written every minute, zero included, and then stays away is
    trouble by itself.
    """

    name: str
    metric: str
    description: str
    namespace: str = NAMESPACE
    dimensions: Mapping[str, str] = field(default_factory=lambda: OURS)
    threshold: int = 0
    minutes: int = 1
    missing: Literal["breaching", "notBreaching"] = "breaching"


def of_trigger(trigger: Trigger) -> tuple[Alarm, ...]:
    """The alarms of one event source mapping (metrics: AWS Lambda developer guide, event source mapping metrics)."""
    mapping = {"EventSourceMappingUUID": f"${{aws_lambda_event_source_mapping.{trigger.function}.uuid}}"}
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
        "database_unavailable",
        "DatabaseUnavailable",
        "the database is away, full, read-only or too slow: nothing is lost, but requests are 503 and replies wait",
        minutes=5,
        # Written only where a transaction met it.
        missing="notBreaching",
    ),
    *(alarm for trigger in TRIGGERS for alarm in of_trigger(trigger)),
)


def terraform(alarms: Sequence[Alarm]) -> dict[str, Any]:
    """The alarms in Terraform's JSON syntax; whom they tell is a variable."""
    told = {"type": "list(string)", "default": [], "description": "ARNs of the SNS topics that alarms are sent to"}
    return {
        "variable": {"alarm_topic_arns": told},
        "resource": {"aws_cloudwatch_metric_alarm": {alarm.name: _resource(alarm) for alarm in alarms}},
    }


def _resource(alarm: Alarm) -> dict[str, Any]:
    return {
        "alarm_name": f"campusg-{alarm.name}",
        "alarm_description": alarm.description,
        "namespace": alarm.namespace,
        "metric_name": alarm.metric,
        "dimensions": dict(alarm.dimensions),
        "statistic": "Maximum",
        "comparison_operator": "GreaterThanThreshold",
        "threshold": alarm.threshold,
        "period": 60,
        "evaluation_periods": alarm.minutes,
        "treat_missing_data": alarm.missing,
        "alarm_actions": "${var.alarm_topic_arns}",
        "ok_actions": "${var.alarm_topic_arns}",
    }
