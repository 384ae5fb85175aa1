"""What runs in an execution environment: imports the handler once, then answers one invocation after the other.

Started by `environment.py`, or forked by `forks.py`, with a connected socket as its only tie to the process that invokes it.
"""

import argparse
import json
import logging
import os
import socket
import sys

from .forks import Job, die_with_parent
from .invoke import Function, HandlerNotFound, LambdaContext, load_handler
from .logs import configure
from .wire import Channel, ChannelClosed

# Run as a script, the module is not known by its name.
log = logging.getLogger(f"{__package__}.runtime")


def main() -> None:
    """The life of an environment that was started as a process of its own."""
    options = _options()
    die_with_parent(options.parent)
    configure()
    connection = socket.socket(fileno=options.connection)
    # What the handler starts must not hold the connection open.
    connection.set_inheritable(False)
    run(Channel(connection), options.name, options.handler, options.timeout, options.memory)


def serve(channel: Channel, function: Function) -> None:
    """Answer invocations until the other side is gone."""
    while True:
        try:
            channel.send(_answer(function, channel.receive()))
        except ChannelClosed:
            return


def run_forked(job: Job) -> None:
    """The life of an environment that was forked from a process that has imported the handler already."""
    connection, output = job.descriptors
    for standard in (1, 2):
        os.dup2(output, standard)
    os.close(output)
    os.environ.update(job.request["variables"])
    channel = Channel(socket.socket(fileno=connection))
    run(channel, job.request["name"], job.request["handler"], job.request["timeout_seconds"], job.request["memory_size"])


def run(channel: Channel, name: str, handler: str, timeout_seconds: float, memory_size: int) -> None:
    """Import the handler, say so, and answer until the other side is gone."""
    try:
        function = Function(name, load_handler(handler), timeout_seconds, memory_size)
    except Exception as error:
        # An entry point: whatever stops the import is reported to the caller, and ends this process.
        if not isinstance(error, HandlerNotFound):
            log.exception("handler's module failed: function=%s", name)
        channel.send(_failure(error))
        sys.exit(1)
    channel.send(b"{}")
    serve(channel, function)


def _answer(function: Function, event: bytes) -> bytes:
    try:
        return json.dumps({"answer": function.handler(json.loads(event), LambdaContext(function))}).encode()
    except Exception as error:
        # An entry point: what a function raises is told to its caller. SystemExit ends the process, as on Lambda.
        log.exception("function failed: function=%s", function.name)
        return _failure(error)


def _failure(error: Exception) -> bytes:
    return json.dumps({"errorType": type(error).__name__, "errorMessage": str(error)}).encode()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="runtime")
    parser.add_argument("--connection", type=int, required=True, help="descriptor of the socket to answer on")
    parser.add_argument("--parent", type=int, required=True, help="pid of the process that must outlive this one")
    parser.add_argument("--name", required=True, help="the function's name")
    parser.add_argument("--handler", required=True, help="the function, as module.function")
    parser.add_argument("--timeout", type=float, required=True, help="the function's timeout in seconds")
    parser.add_argument("--memory", type=int, required=True, help="the function's memory in MB, told to it and not enforced")
    return parser.parse_args()


if __name__ == "__main__":
    main()
