"""Runs mappings from a file by themselves: `python -m infra.esm --mapping mappings.json --handler module.function`."""

import argparse
import json
import logging
import math
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .environment import FunctionConfiguration, IsolatedFunction
from .feed import Cluster
from .invoke import FunctionError
from .logs import configure
from .mapping import EventSourceMapping, InvalidMapping, require
from .poller import Poller
from .readings import read
from .request import from_aws
from .retry import Backoff
from .service import Service

LONGEST_TIMEOUT_SECONDS = 14 * 60.0

log = logging.getLogger(__package__)


def main() -> None:
    """Poll until SIGTERM or Ctrl-C; ends with a message if a mapping, a handler or an option is wrong."""
    options = _options()
    configure()
    sys.path.insert(0, str(Path.cwd()))
    try:
        pollers = _pollers(options)
        _write_metrics(options.metrics, pollers)
    except (FunctionError, ValueError, OSError) as error:
        sys.exit(str(error))
    service = Service(pollers, lambda: _rewrite_metrics(options.metrics, pollers))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop())
    service.run()


def _pollers(options: argparse.Namespace) -> list[Poller]:
    mappings = [from_aws(parameters, time.time()) for parameters in _read(options.mapping)]
    handlers = _handlers(options.handler)
    readings = read(options.reading)
    backoff = Backoff(options.first_wait, options.longest_wait)
    pollers: list[Poller] = []
    groups: set[tuple[str, str]] = set()
    for mapping in mappings:
        brokers = _brokers(options.bootstrap, mapping)
        require((brokers, mapping.group_id) not in groups, f"ConsumerGroupId {mapping.group_id}: each mapping needs a group of its own")
        groups.add((brokers, mapping.group_id))
        name = mapping.function_name
        function = IsolatedFunction(FunctionConfiguration(name, _handler(handlers, name), options.timeout))
        if mapping.enabled:
            function.start()
        pollers.append(Poller(mapping, function, Cluster(brokers), backoff, readings))
    return pollers


def _handlers(texts: Sequence[str]) -> Mapping[str, str]:
    named = (text.rpartition("=") for text in texts)
    return {name: handler for name, _, handler in named}


def _handler(handlers: Mapping[str, str], function_name: str) -> str:
    handler = handlers.get(function_name, handlers.get("", ""))
    require(bool(handler), f"--handler: none for function {function_name}")
    return handler


def _brokers(given: str | None, mapping: EventSourceMapping) -> str:
    brokers = given or ",".join(mapping.bootstrap_servers)
    require(bool(brokers), f"function {mapping.function_name}: --bootstrap, or SelfManagedEventSource in the mapping, is needed")
    return brokers


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidMapping(f"{path}: {error}") from error
    mappings = content if isinstance(content, list) else [content]
    if not mappings or not all(isinstance(mapping, dict) for mapping in mappings):
        raise InvalidMapping(f"{path}: a mapping, or a list of mappings, is needed")
    return mappings


def _rewrite_metrics(path: Path | None, pollers: Sequence[Poller]) -> None:
    """A full disk is no reason to stop polling."""
    try:
        _write_metrics(path, pollers)
    except OSError as error:
        log.warning("metrics can't be written: %s", error)


def _write_metrics(path: Path | None, pollers: Sequence[Poller]) -> None:
    if path is None:
        return
    values = [
        {"uuid": poller.mapping.uuid, "functionName": poller.mapping.function_name, "topic": poller.mapping.topic}
        | {"metrics": poller.metrics.snapshot()}
        for poller in pollers
    ]
    # Whoever reads the file meanwhile gets the whole of one minute.
    written = path.with_name(f"{path.name}.{os.getpid()}")
    written.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    written.replace(path)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}", description="AWS Lambda's Kafka event source mapping, at home")
    parser.add_argument("--mapping", type=Path, required=True, help="JSON file: one CreateEventSourceMapping request, or a list of them")
    parser.add_argument(
        "--handler",
        action="append",
        required=True,
        help="the function, as module.function, looked up from the working directory; NAME=module.function for one FunctionName of several",
    )
    parser.add_argument("--bootstrap", help="host:port of the Kafka brokers, comma-separated (default: the mapping's)")
    parser.add_argument("--timeout", type=_timeout, default=3.0, help="the function's timeout in seconds (default: 3, as Lambda's)")
    parser.add_argument("--first-wait", type=_seconds, default=1.0, help="seconds that a failed batch waits at first (default: 1)")
    parser.add_argument("--longest-wait", type=_seconds, default=60.0, help="seconds that a failed batch waits at most (default: 60)")
    parser.add_argument("--reading", action="append", default=[], help="NAME=VALUE: how to read a point that AWS leaves open; repeatable")
    parser.add_argument("--metrics", type=Path, help="file to write the metrics to, as JSON, at the start, each minute and at the end")
    return parser.parse_args()


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"more than 0 seconds are needed, not {text}")
    return seconds


def _timeout(text: str) -> float:
    seconds = _seconds(text)
    if seconds > LONGEST_TIMEOUT_SECONDS:
        raise argparse.ArgumentTypeError("Lambda lets the function of a Kafka mapping take 840 seconds at most")
    return seconds


if __name__ == "__main__":
    main()
