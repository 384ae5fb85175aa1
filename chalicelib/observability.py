"""Log lines and metrics: constant sentences with fields, as JSON on stdout; numbers as CloudWatch embedded metrics.

Every line and metric says its stage; a line also says which invocation it is of, and the ids of what is being handled.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

from aws_lambda_powertools import Logger

NAMESPACE = "CampusG/Orders"
SERVICE = "campusg-orders"
# Which of several deployments this is: stages share an account, and so namespaces and often a reader's query.
STAGE = os.environ.get("STAGE", "").strip() or "local"
# The most values of a metric in one document (CloudWatch User Guide, "Embedded metric format specification").
MOST_VALUES = 100
# What is written at once to a pipe stays in one piece, though other processes write to it, too (POSIX, PIPE_BUF on Linux).
ATOMIC = 4096
DISABLED = ("1", "true", "yes", "on")

NOTHING: Mapping[str, str] = MappingProxyType({})

_about: ContextVar[Mapping[str, str]] = ContextVar("about", default=NOTHING)
_invocation: ContextVar[Mapping[str, str]] = ContextVar("invocation", default=NOTHING)


class _About(logging.Filter):
    """Gives every line the fields of what is being handled; those of the line itself come first."""

    def filter(self, record: logging.LogRecord) -> bool:
        for fields in (_about.get(), _invocation.get()):
            for name, value in fields.items():
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


def note(**fields: str) -> None:
    """Give every later line of the innermost `about` these fields, too."""
    _about.set({**_about.get(), **fields})


@contextmanager
def invocation(context: object) -> Iterator[None]:
    """While the block runs, in this thread, every log line says the request id of Lambda's context."""
    request_id = getattr(context, "aws_request_id", None)
    token = _invocation.set({"request_id": str(request_id)} if request_id else NOTHING)
    try:
        yield
    finally:
        _invocation.reset(token)


def tell(lines: Iterable[Mapping[str, Any]]) -> None:
    """Log lines of INFO, each with its `message`: for what each record of a batch has a line of, in a tenth of the logger's time."""
    import orjson  # The authorizer has no use for it.

    if not logging.getLogger(SERVICE).isEnabledFor(logging.INFO):
        return
    now = time.time()
    moment = time.localtime(now)
    timestamp = f"{time.strftime('%Y-%m-%d %H:%M:%S', moment)},{int(now % 1 * 1000):03d}{time.strftime('%z', moment)}"
    common = {"level": "INFO", "timestamp": timestamp, "service": SERVICE, "stage": STAGE, **_invocation.get()}
    block = ""
    for line in lines:
        encoded = orjson.dumps({**common, **line}, default=str)
        text = encoded.decode() if encoded.isascii() else _encode({**common, **line})
        if len(block) + len(text) >= ATOMIC:
            sys.stdout.write(block)
            block = ""
        block += f"{text}\n"
    sys.stdout.write(block)
    sys.stdout.flush()


def count(numbers: Mapping[str, int], *, zeros: bool = False, **dimensions: str) -> None:
    """Add to metrics, by name; nothing is written for zeros unless `zeros` (an alarm needs data)."""
    counted = {name: number for name, number in numbers.items() if number or zeros}
    if counted:
        _emit("Count", counted, dimensions)


def measure(name: str, unit: str, values: Sequence[float], **dimensions: str) -> None:
    """Add values to a metric whose unit is one of CloudWatch's, such as Milliseconds."""
    for begin in range(0, len(values), MOST_VALUES):
        _emit(unit, {name: values[begin : begin + MOST_VALUES]}, dimensions)


def metrics_are_written() -> bool:
    """Whether anybody reads them: not where POWERTOOLS_METRICS_DISABLED is set, as at home."""
    return os.environ.get("POWERTOOLS_METRICS_DISABLED", "").lower() not in DISABLED


def _emit(unit: str, values: Mapping[str, float | Sequence[float]], own: Mapping[str, str]) -> None:
    """Write one document in CloudWatch's embedded metric format."""
    if not metrics_are_written():
        return
    dimensions = {"service": SERVICE, "stage": STAGE, **own}
    metrics = [{"Name": name, "Unit": unit} for name in values]
    directive = {"Namespace": NAMESPACE, "Dimensions": [[*dimensions]], "Metrics": metrics}
    document = {"_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}, **dimensions, **values}
    sys.stdout.write(_encode(document) + "\n")
    sys.stdout.flush()
