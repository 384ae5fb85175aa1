"""`python -m infra.gateway`: serve the order service's API on $HTTP_HOST:$HTTP_PORT until SIGTERM or Ctrl-C."""

import contextlib
import errno
import ipaddress
import logging
import os
import signal
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from chalicelib.observability import SERVICE
from infra.gateway.admission import Limits
from infra.gateway.project import create_server, load_project
from infra.gateway.server import GatewayServer
from infra.stack.ports import HOST
from infra.stack.ready import announce

PROJECT = Path(__file__).resolve().parents[2] / "orders_app"
ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT)
GRACE_SECONDS = 2.0
WARM_UP_SECONDS = 5.0

logger = logging.getLogger("infra.gateway")


def main(project: Path = PROJECT, limits: Limits | None = None) -> None:
    """Serve until a signal, then let running requests end for up to two seconds. Exits with 1 where it can't listen."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    logger.setLevel(logging.INFO)
    # The service's logger, made before that handler, writes its lines itself.
    logging.getLogger(SERVICE).propagate = False
    # Waited for below, never handled: a handler could run, and block, in the middle of anything. The threads inherit the mask.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
    host, port = host_setting(os.environ), port_setting(os.environ)
    app, config = load_project(project)
    try:
        server = create_server(app, config, port, host=host, limits=limits)
    except OSError as error:
        sys.exit(listen_failure(host, port, error))
    serve(server)


def host_setting(environment: Mapping[str, str]) -> str:
    """The address in `HTTP_HOST`, 127.0.0.1 without one. Exits with a message that names the variable where it is no IPv4 address."""
    value = environment.get("HTTP_HOST") or HOST
    try:
        return str(ipaddress.IPv4Address(value))
    except ValueError:
        sys.exit(f"HTTP_HOST must be an IPv4 address, not {value!r}")


def port_setting(environment: Mapping[str, str]) -> int:
    """The port in `HTTP_PORT`. Exits with a message that names the variable where it is missing or no port."""
    value = environment.get("HTTP_PORT", "")
    if not (value.isascii() and value.isdigit() and int(value) <= 65535):
        sys.exit(f"HTTP_PORT must be a port number, not {value!r}")
    return int(value)


def listen_failure(host: str, port: int, error: OSError) -> str:
    """Why it can't listen, for a person."""
    if error.errno == errno.EADDRINUSE:
        return f"HTTP_PORT {port} is already in use on {host}"
    return f"HTTP_PORT {port} can't be listened on at {host}: {error.strerror}"


def serve(server: GatewayServer) -> None:
    """Serve until one of the ending signals, which must be blocked, arrives."""
    server.start()
    logger.info("the API listens on http://%s:%d", server.host, server.server_port)
    warm_up(server)
    announce()
    signal.sigwait(ENDING_SIGNALS)
    if not server.stop(GRACE_SECONDS):
        logger.warning("requests still running after %g seconds are given up", GRACE_SECONDS)


def warm_up(server: GatewayServer) -> None:
    """Ask for readiness once: what the application imports and connects on first use is then there for the first customer."""
    with contextlib.suppress(OSError):
        urllib.request.urlopen(f"http://{server.host}:{server.server_port}/health/ready", timeout=WARM_UP_SECONDS).close()


if __name__ == "__main__":
    main()
