"""`python -m infra.gateway`: serve the order service's API on 127.0.0.1:$HTTP_PORT until SIGTERM or Ctrl-C."""

import contextlib
import errno
import logging
import os
import signal
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from infra.gateway.project import create_server, load_project
from infra.gateway.server import GatewayServer
from infra.stack.ports import HOST
from infra.stack.ready import announce

PROJECT = Path(__file__).resolve().parents[2] / "orders_app"
ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT)
GRACE_SECONDS = 2.0
WARM_UP_SECONDS = 5.0

logger = logging.getLogger("infra.gateway")


def main(project: Path = PROJECT) -> None:
    """Serve until a signal, then let running requests end for up to two seconds. Exits with 1 where it can't listen."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    logger.setLevel(logging.INFO)
    # Waited for below, never handled: a handler could run, and block, in the middle of anything. The threads inherit the mask.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
    port = port_setting(os.environ)
    app, config = load_project(project)
    try:
        server = create_server(app, config, port)
    except OSError as error:
        sys.exit(listen_failure(port, error))
    serve(server)


def port_setting(environment: Mapping[str, str]) -> int:
    """The port in `HTTP_PORT`. Exits with a message that names the variable where it is missing or no port."""
    value = environment.get("HTTP_PORT", "")
    if not (value.isascii() and value.isdigit() and int(value) <= 65535):
        sys.exit(f"HTTP_PORT must be a port number, not {value!r}")
    return int(value)


def listen_failure(port: int, error: OSError) -> str:
    """Why it can't listen, for a person."""
    if error.errno == errno.EADDRINUSE:
        return f"HTTP_PORT {port} is already in use on {HOST}"
    return f"HTTP_PORT {port} can't be listened on at {HOST}: {error.strerror}"


def serve(server: GatewayServer) -> None:
    """Serve until one of the ending signals, which must be blocked, arrives."""
    server.start()
    logger.info("the API listens on http://%s:%d", HOST, server.server_port)
    warm_up(server.server_port)
    announce()
    signal.sigwait(ENDING_SIGNALS)
    if not server.stop(GRACE_SECONDS):
        logger.warning("requests still running after %g seconds are given up", GRACE_SECONDS)


def warm_up(port: int) -> None:
    """Ask for readiness once: what the application imports and connects on first use is then there for the first customer."""
    with contextlib.suppress(OSError):
        urllib.request.urlopen(f"http://{HOST}:{port}/health/ready", timeout=WARM_UP_SECONDS).close()


if __name__ == "__main__":
    main()
