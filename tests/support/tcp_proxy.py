"""A TCP proxy that stands in a server's place: it passes bytes on, stalls, and ends connections as networks do."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

HOST = "127.0.0.1"
# To close is then to reset (RST), as a load balancer does that has forgotten a connection.
RESETTING = struct.pack("ii", 1, 0)


@dataclass
class TcpProxy:
    """What clients meet instead of the server at `upstream`."""

    upstream: int
    port: int = 0
    accepted: int = 0
    """How many connections there have been."""
    lose_answer_to: bytes | None = None
    """Once the client has sent this, it is passed on, and the connection is reset in place of the server's answer; once."""
    _passing: threading.Event = field(default_factory=threading.Event)
    _pairs: list["_Pair"] = field(default_factory=list)

    def cut(self) -> None:
        """End every connection in order (FIN)."""
        self._end(reset=False)

    def reset(self) -> None:
        """Reset every connection."""
        self._end(reset=True)

    def stall(self) -> None:
        """Pass nothing on, and say nothing."""
        self._passing.clear()

    def release(self) -> None:
        """Pass on again, first of all what was kept."""
        self._passing.set()

    def serve(self, listener: socket.socket) -> None:
        for client, server in connections(listener, self.upstream):
            self.accepted += 1
            pair = _Pair(self, client, server)
            self._pairs.append(pair)
            pair.start()

    def wait_until_passing(self) -> None:
        self._passing.wait()

    def forget(self, pair: "_Pair") -> None:
        """A pair has come to its end by itself."""
        with suppress(ValueError):
            self._pairs.remove(pair)

    def _end(self, *, reset: bool) -> None:
        for pair in tuple(self._pairs):
            pair.close(reset=reset)


class _Pair:
    """One client's connection and the one to the server that belongs to it."""

    def __init__(self, proxy: TcpProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._answers_are_lost = self._is_reset = False

    def start(self) -> None:
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        up = threading.Thread(target=self._up, daemon=True)
        up.start()
        self._down()
        up.join()
        for end in (self._client, self._server):
            end.close()
        self._proxy.forget(self)

    def close(self, *, reset: bool) -> None:
        with suppress(OSError):
            if reset:
                self._is_reset = True
                self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESETTING)
                # Wakes whoever reads from it, which closing alone does not.
                self._client.shutdown(socket.SHUT_RD)
                self._client.close()
            else:
                self._client.shutdown(socket.SHUT_RDWR)
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)

    def _up(self) -> None:
        with suppress(OSError):
            while data := self._client.recv(65_536):
                lost = self._proxy.lose_answer_to
                if lost is not None and lost in data:
                    self._proxy.lose_answer_to, self._answers_are_lost = None, True
                self._proxy.wait_until_passing()
                self._server.sendall(data)
            self._server.shutdown(socket.SHUT_WR)

    def _down(self) -> None:
        with suppress(OSError):
            while data := self._server.recv(65_536):
                if self._answers_are_lost:
                    break
                self._proxy.wait_until_passing()
                self._client.sendall(data)
        self.close(reset=self._answers_are_lost or self._is_reset)


def connections(
    listener: socket.socket, upstream: int, secured: Callable[[socket.socket], socket.socket] = lambda client: client
) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Each client that connects, with a connection to the server for it, until the listener is shut down.

    While the server is away clients are hung up on. `secured` may raise OSError for a client that it doesn't take.
    """
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        try:
            pair = secured(client), socket.create_connection((HOST, upstream))
        except OSError:
            client.close()
            continue
        yield pair


@contextmanager
def before(upstream: int) -> Iterator[TcpProxy]:
    """A proxy to the server at that port while the block runs."""
    with socket.create_server((HOST, 0)) as listener:
        proxy = TcpProxy(upstream, listener.getsockname()[1])
        proxy.release()
        threading.Thread(target=proxy.serve, args=(listener,), daemon=True).start()
        try:
            yield proxy
        finally:
            proxy.release()
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            proxy.reset()
