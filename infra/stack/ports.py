"""Ports on 127.0.0.1 for the servers of the stack and of the tests."""

import os
import random
import socket

HOST = "127.0.0.1"
# Below the range (32768 and up on Linux, 49152 elsewhere) from which the kernel takes the ports of outgoing connections: a server that
# is started again must find its port free, and a client that tries a closed port of that range can even connect to itself.
LOWEST, HIGHEST = 20000, 32000


def refusal(port: int) -> str | None:
    """Why no server can listen on this port of 127.0.0.1 now; None if one can."""
    with socket.socket() as probe:
        # What servers set too: connections of a former server that linger in TIME_WAIT don't count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            return error.strerror
    return None


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    return refusal(port) is None


def accepts(host: str, port: int, timeout: float = 0.5) -> bool:
    """Whether something accepts TCP connections there within `timeout` seconds."""
    try:
        socket.create_connection((host, port), timeout).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    """A port that nobody listens on, chosen at random so that stacks started at the same time don't meet.

    `FREE_PORTS`, as in `24000-27999`, narrows the choice: processes with ports of their own can't take one that another has chosen and
    does not listen on yet.
    """
    lowest, highest = map(int, os.environ.get("FREE_PORTS", f"{LOWEST}-{HIGHEST}").split("-"))
    while True:
        port = random.randint(lowest, highest)  # noqa: S311 - a port is no secret
        if is_free(port):
            return port


def free_port_from(first: int) -> int:
    """The first free port from `first` upwards."""
    return next(port for port in range(first, 65536) if is_free(port))
