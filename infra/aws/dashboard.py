"""One page of CloudWatch for a stage: what comes in, what fails, what waits."""

import json
from collections.abc import Sequence
from typing import Any

from chalicelib.messages.topics import TRIGGERS
from chalicelib.observability import NAMESPACE, SERVICE
from infra.aws.alarms import ALARMS, mapping_id
from infra.aws.functions import FUNCTIONS, PREFIX
from infra.aws.gateway import API_STAGE
from infra.aws.intrinsics import Value, sub

COLUMNS, WIDTH, HEIGHT = 2, 12, 6
Line = list[Any]


def resource() -> Value:
    """The dashboard as a resource of the service stack."""
    widgets = [
        _graph("Requests", [_of_api("Count"), _of_api("4XXError"), _of_api("5XXError")], "Sum"),
        _graph("Latency, the slowest of a hundred", [_of_api("Latency"), _of_api("IntegrationLatency")], "p99"),
        _graph("Errors of functions", _of_functions("Errors"), "Sum"),
        _graph("Throttled calls", _of_functions("Throttles"), "Sum"),
        _graph("Time of functions, the slowest of a hundred", _of_functions("Duration"), "p99"),
        _graph("Functions at work", _of_functions("ConcurrentExecutions"), "Maximum"),
        _graph("Records that wait", [_of_mapping(trigger, "MaxOffsetLag") for trigger in TRIGGERS], "Maximum"),
        _graph("What is wrong", [_ours(metric) for metric in _own_metrics()], "Maximum"),
    ]
    placed = [
        {"x": number % COLUMNS * WIDTH, "y": number // COLUMNS * HEIGHT, "width": WIDTH, "height": HEIGHT, **widget}
        for number, widget in enumerate(widgets)
    ]
    return {
        "Type": "AWS::CloudWatch::Dashboard",
        "Properties": {"DashboardName": sub(PREFIX), "DashboardBody": sub(json.dumps({"widgets": placed}))},
    }


def _graph(title: str, metrics: Sequence[Line], statistic: str) -> dict[str, Any]:
    properties = {"title": title, "metrics": metrics, "stat": statistic, "period": 60, "region": "${AWS::Region}", "view": "timeSeries"}
    return {"type": "metric", "properties": properties}


def _of_api(metric: str) -> Line:
    return ["AWS/ApiGateway", metric, "ApiName", PREFIX, "Stage", API_STAGE]


def _of_functions(metric: str) -> list[Line]:
    return [["AWS/Lambda", metric, "FunctionName", f"${{{function.logical_id}}}", {"label": function.name}] for function in FUNCTIONS]


def _of_mapping(trigger: Any, metric: str) -> Line:
    return ["AWS/Lambda", metric, "EventSourceMappingUUID", f"${{{mapping_id(trigger)}}}", {"label": trigger.topic}]


def _own_metrics() -> list[str]:
    return sorted({alarm.metric for alarm in ALARMS if alarm.namespace == NAMESPACE})


def _ours(metric: str) -> Line:
    return [NAMESPACE, metric, "service", SERVICE, "stage", "${Stage}"]
