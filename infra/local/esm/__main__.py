"""Runs mappings from a file by themselves: `python -m infra.local.esm --mapping mappings.json --handler module.function`."""

import argparse
import json
import signal
import sys
from pathlib import Path
from typing import Any

from infra.local.esm.invoke import Function, HandlerNotFound, load_handler
from infra.local.esm.logs import configure
from infra.local.esm.mapping import InvalidMapping, from_aws
from infra.local.esm.poller import Poller
from infra.local.esm.retry import Backoff
from infra.local.esm.service import Service


def main() -> None:
    """Poll until SIGTERM or Ctrl-C; ends with a message if mapping or handler are wrong."""
    options = _options()
    configure()
    sys.path.insert(0, str(Path.cwd()))
    try:
        handler = load_handler(options.handler)
        mappings = [from_aws(parameters) for parameters in _read(options.mapping)]
    except (HandlerNotFound, InvalidMapping) as error:
        sys.exit(str(error))
    backoff = Backoff(options.first_wait, options.longest_wait)
    service = Service(
        [Poller(mapping, Function(mapping.function_name, handler, options.timeout), options.bootstrap, backoff) for mapping in mappings]
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop())
    service.run()


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidMapping(f"{path}: {error}") from error
    mappings = content if isinstance(content, list) else [content]
    if not mappings or not all(isinstance(mapping, dict) for mapping in mappings):
        raise InvalidMapping(f"{path}: a mapping, or a list of mappings, is needed")
    return mappings


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m infra.local.esm", description="AWS Lambda's Kafka event source mapping, at home")
    parser.add_argument("--mapping", type=Path, required=True, help="JSON file: one CreateEventSourceMapping request, or a list of them")
    parser.add_argument("--handler", required=True, help="the function, as module.function, looked up from the working directory")
    parser.add_argument("--bootstrap", required=True, help="host:port of the Kafka brokers, comma-separated")
    parser.add_argument("--timeout", type=float, default=3.0, help="the function's timeout in seconds (default: 3, as Lambda's)")
    parser.add_argument("--first-wait", type=float, default=1.0, help="seconds that a failed batch waits at first (default: 1)")
    parser.add_argument("--longest-wait", type=float, default=60.0, help="seconds that a failed batch waits at most (default: 60)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
