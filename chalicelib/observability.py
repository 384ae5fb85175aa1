"""Log lines and counts: constant sentences with fields, as JSON on stdout; counts as CloudWatch embedded metrics."""

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

NAMESPACE = "CampusG/Orders"
SERVICE = "campusg-orders"
# Which of several deployments this is: stages share an account, and so namespaces and often a reader's query.
STAGE = os.environ.get("STAGE", "").strip() or "local"

NOTHING: Mapping[str, str] = MappingProxyType({})

_about: ContextVar[Mapping[str, str]] = ContextVar("about", default=NOTHING)


class _About(logging.Filter):
    """Gives every line the fields of what is being handled; those of the line itself come first."""

    def filter(self, record: logging.LogRecord) -> bool:
        for name, value in _about.get().items():
            record.__dict__.setdefault(name, value)
        return True


# In ASCII: at a terminal, no character of what partners and customers wrote may steer it. No message of ours is JSON to be read first.
_encode = json.JSONEncoder(default=str, separators=(",", ":")).encode
logger = Logger(service=SERVICE, json_serializer=_encode, json_deserializer=str, stage=STAGE)
logger.addFilter(_About())
# kafka-python has a dozen lines of INFO for every connection, which are shown wherever the root logger is set so, as by `chalice local`.
logging.getLogger("kafka").setLevel(logging.WARNING)


@contextmanager
def about(fields: Mapping[str, str]) -> Iterator[None]:
    """While the block runs, in this thread, every log line has these fields and none of an outer block; without any, it has the outer ones.

    Powertools' own `append_keys` would keep them for the next record, and give them to other threads' lines.
    """
    token = _about.set(fields or _about.get())
    try:
        yield
    finally:
        _about.reset(token)


def count(numbers: Mapping[str, int], *, zeros: bool = False) -> None:
    """Add to CloudWatch metrics, by name; nothing is written for zeros unless `zeros` (an alarm needs data), nor where
    POWERTOOLS_METRICS_DISABLED is set.
    """
    metrics = EphemeralMetrics(namespace=NAMESPACE, service=SERVICE)
    metrics.add_dimension("stage", STAGE)
    for name, number in numbers.items():
        if number or zeros:
            metrics.add_metric(name=name, unit=MetricUnit.Count, value=number)
    if zeros or any(numbers.values()):
        metrics.flush_metrics()
