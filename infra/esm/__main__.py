"""The command: runs mappings, from a file or as an endpoint lists them, until it is told to end."""

import argparse
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from .endpoint import EndpointFunction, LambdaEndpoint
from .environment import FunctionConfiguration, IsolatedFunction
from .feed import Cluster
from .function_names import FunctionName
from .invoke import FunctionError, Invocable
from .listing import kafka_mappings
from .logs import configure
from .mapping import EventSourceMapping, InvalidMapping, require
from .options import DEFAULT_TIMEOUT_SECONDS, by_name, read_options
from .poller import Poller
from .readings import read
from .request import from_aws
from .retry import Backoff
from .service import Service

log = logging.getLogger(__package__)


def main() -> None:
    """Poll until SIGTERM or Ctrl-C; ends with a message if a mapping, a handler or an option is wrong."""
    options = read_options()
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
    endpoint = LambdaEndpoint(options.lambda_endpoint, dummy_credentials=options.dummy_credentials) if options.lambda_endpoint else None
    mappings = _mappings(options, endpoint)
    open_function = _handlers(options) if endpoint is None else lambda mapping: _at(endpoint, mapping, options.timeout)
    clusters = by_name(options.brokers)
    readings = read(options.reading)
    backoff = Backoff(options.first_wait, options.longest_wait)
    pollers: list[Poller] = []
    groups: set[tuple[str, str]] = set()
    for mapping in mappings:
        brokers = clusters.get(mapping.event_source_arn or "") or options.bootstrap or ",".join(mapping.bootstrap_servers)
        source = f"--brokers {mapping.event_source_arn}=…" if mapping.event_source_arn else "SelfManagedEventSource in the mapping"
        require(bool(brokers), f"function {mapping.function_name}: --bootstrap, or {source}, is needed")
        require((brokers, mapping.group_id) not in groups, f"ConsumerGroupId {mapping.group_id}: each mapping needs a group of its own")
        groups.add((brokers, mapping.group_id))
        pollers.append(Poller(mapping, open_function(mapping), Cluster(brokers), backoff, readings))
    return pollers


def _mappings(options: argparse.Namespace, endpoint: LambdaEndpoint | None) -> list[EventSourceMapping]:
    if endpoint is None or options.mapping is not None:
        return [from_aws(parameters, time.time()) for parameters in _read(options.mapping)]
    mappings = kafka_mappings(endpoint.mappings(), time.time())
    require(bool(mappings), "--lambda-endpoint: no mapping of a Kafka topic is listed there, --mapping is needed")
    return mappings


def _handlers(options: argparse.Namespace) -> Callable[[EventSourceMapping], Invocable]:
    handlers = by_name(options.handler)

    def open_function(mapping: EventSourceMapping) -> Invocable:
        named = mapping.function_name
        handler = handlers.get(named) or handlers.get(FunctionName.read(named).name) or handlers.get("", "")
        require(bool(handler), f"--handler: none for function {named}")
        function = IsolatedFunction(FunctionConfiguration(named, handler, options.timeout or DEFAULT_TIMEOUT_SECONDS))
        if mapping.enabled:
            function.start()
        return function

    return open_function


def _at(endpoint: LambdaEndpoint, mapping: EventSourceMapping, timeout: float | None) -> Invocable:
    return EndpointFunction(mapping.function_name, endpoint, timeout)


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


if __name__ == "__main__":
    main()
