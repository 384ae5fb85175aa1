"""What runs in an execution environment: imports the handler once, then answers one invocation after the other.

Started by `environment.py`, with a connected socket as its only tie to the process that invokes it.
"""

import argparse
import ctypes
import json
import logging
import os
import signal
import socket
import sys

from infra.local.esm.invoke import Function, HandlerNotFound, LambdaContext, load_handler
from infra.local.esm.logs import configure
from infra.local.esm.wire import Channel, ChannelClosed

PR_SET_PDEATHSIG = 1

# Run as a script, the module is not known by its name.
log = logging.getLogger(f"{__package__}.runtime")


def main() -> None:
    """Import the handler, say so, and answer until the other side is gone."""
    options = _options()
    die_with_parent(options.parent)
    configure()
    connection = socket.socket(fileno=options.connection)
    # What the handler starts must not hold the connection open.
    connection.set_inheritable(False)
    channel = Channel(connection)
    try:
        function = Function(options.name, load_handler(options.handler), options.timeout, options.memory)
    except Exception as error:
        # An entry point: whatever stops the import is reported to the caller, and ends this process.
        if not isinstance(error, HandlerNotFound):
            log.exception("handler's module failed: function=%s", options.name)
        channel.send(_failure(error))
        sys.exit(1)
    channel.send(b"{}")
    serve(channel, function)


def serve(channel: Channel, function: Function) -> None:
    """Answer invocations until the other side is gone."""
    while True:
        try:
            channel.send(_answer(function, channel.receive()))
        except ChannelClosed:
            return


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends; where the kernel can't, the closed connection ends it once it is idle."""
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "prctl") and libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot die with the parent")
    if os.getppid() != parent:
        sys.exit("the parent is gone")


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
