"""Options of the command line."""

import argparse
import math
from collections.abc import Mapping
from pathlib import Path

from .endpoint import LONGEST_TIMEOUT_SECONDS

DEFAULT_TIMEOUT_SECONDS = 3.0


def read_options() -> argparse.Namespace:
    """What the command line says; ends the process with a message where it is wrong."""
    parser = argparse.ArgumentParser(prog="kafka-event-source-mapping", description="AWS Lambda's event source mapping for Apache Kafka")
    parser.add_argument("--mapping", type=Path, help="JSON file: one CreateEventSourceMapping request, or a list of them")
    called = parser.add_mutually_exclusive_group(required=True)
    called.add_argument(
        "--handler",
        action="append",
        help="the function, as module.function, looked up from the working directory; NAME=module.function for one FunctionName of several",
    )
    called.add_argument("--lambda-endpoint", metavar="URL", help="call functions through Invoke at this endpoint of the Lambda API")
    parser.add_argument("--dummy-credentials", action="store_true", help="sign with made-up credentials, for an endpoint on this machine")
    parser.add_argument("--bootstrap", help="host:port of the Kafka brokers, comma-separated (default: the mapping's)")
    parser.add_argument("--brokers", action="append", default=[], metavar="ARN=HOST:PORT,…", help="an MSK cluster's brokers; repeatable")
    parser.add_argument(
        "--timeout",
        type=_timeout,
        help="seconds that a function may take (default: 3, as Lambda's; at an endpoint the function's own and 10 for its start)",
    )
    parser.add_argument("--first-wait", type=_seconds, default=1.0, help="seconds that a failed batch waits at first (default: 1)")
    parser.add_argument("--longest-wait", type=_seconds, default=60.0, help="seconds that a failed batch waits at most (default: 60)")
    parser.add_argument("--reading", action="append", default=[], help="NAME=VALUE: how to read a point that AWS leaves open; repeatable")
    parser.add_argument("--metrics", type=Path, help="file to write the metrics to, as JSON, at the start, each minute and at the end")
    options = parser.parse_args()
    if options.handler and options.mapping is None:
        parser.error("--handler needs --mapping")
    if options.handler and options.dummy_credentials:
        parser.error("--dummy-credentials goes with --lambda-endpoint")
    return options


def by_name(texts: list[str]) -> Mapping[str, str]:
    """What texts like `NAME=value` say; one without a name is found under the empty one."""
    parts = (text.rpartition("=") for text in texts)
    return {name: value for name, _, value in parts}


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
