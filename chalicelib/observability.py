"""Log lines and counts: constant sentences with fields, as JSON on stdout; counts as CloudWatch embedded metrics."""

from collections.abc import Mapping

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

NAMESPACE = "CampusG/Orders"

logger = Logger(service="campusg-orders")


def count(numbers: Mapping[str, int], *, zeros: bool = False) -> None:
    """Add to CloudWatch metrics, by name; nothing is written for zeros unless `zeros` (an alarm needs data), nor where
    POWERTOOLS_METRICS_DISABLED is set.
    """
    metrics = EphemeralMetrics(namespace=NAMESPACE, service="campusg-orders")
    for name, number in numbers.items():
        if number or zeros:
            metrics.add_metric(name=name, unit=MetricUnit.Count, value=number)
    if zeros or any(numbers.values()):
        metrics.flush_metrics()
