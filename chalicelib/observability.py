"""Log lines and counts: constant sentences with fields, as JSON on stdout; counts as CloudWatch embedded metrics."""

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit, single_metric

logger = Logger(service="campusg-orders")


def count(name: str, number: int = 1) -> None:
    """Add to a CloudWatch metric (embedded metric format on stdout); nothing is written for zero."""
    if number:
        with single_metric(name=name, unit=MetricUnit.Count, value=number, namespace="CampusG/Orders"):
            pass
