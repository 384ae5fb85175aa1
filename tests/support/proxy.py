"""A TCP proxy that stands in a broker's place: it passes on, stalls, forgets and cuts connections, and can end TLS in front of the broker.

Clients find brokers by what metadata says, so the broker's port is replaced by the proxy's in everything it answers.
"""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.support.tcp_proxy import HOST, connections

# A Kafka message: its length in four bytes, then itself. The first two bytes of a request say what is asked for.
Frame = bytes
PRODUCE = 0


@dataclass
class Proxy:
    """What clients meet instead of the broker at `upstream`. `answer` may answer a request in the broker's stead (None: it doesn't)."""

    upstream: int
    tls: ssl.SSLContext | None = None
    answer: Callable[[Frame], Frame | None] = lambda _: None
    port: int = 0
    falsify: tuple[bytes, bytes] | None = None
    """Bytes of the broker's answers, and as many others that the clients get instead."""
    produced: int = 0
    """How many produce requests were passed on to the broker."""
    _open: threading.Event = field(default_factory=threading.Event)
    _reading: threading.Event = field(default_factory=threading.Event)
    _pairs: list["_Pair"] = field(default_factory=list)

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self.port}"

    def hold(self) -> None:
        """Read what clients send, and keep it: what they have sent is out of their hands and not yet with the broker."""
        self._open.clear()

    def stall(self) -> None:
        """Read nothing more: what clients send stays with them as soon as their system's buffers are full."""
        self.hold()
        self._reading.clear()

    def release(self) -> None:
        """Pass on again, first of all what was kept, whether or not the client is still there."""
        self._open.set()
        self._reading.set()

    def cut(self) -> None:
        """Close every connection, as a broker does that was not spoken to for long."""
        for pair in self._pairs:
            pair.close()

    def forget(self) -> None:
        """Pass nothing on for the connections there are, and say nothing: they are lost, and the client can't know."""
        for pair in self._pairs:
            pair.forgotten.set()

    def kept(self) -> int:
        """How many whole requests are kept and not passed on yet."""
        return sum(pair.kept for pair in self._pairs)

    def serve(self, listener: socket.socket) -> None:
        for client, server in connections(listener, self.upstream, self._secured):
            pair = _Pair(self, client, server)
            self._pairs.append(pair)
            pair.start()

    def _secured(self, client: socket.socket) -> socket.socket:
        return self.tls.wrap_socket(client, server_side=True) if self.tls else client

    def renamed(self, answer: Frame) -> Frame:
        """The broker's answer with the proxy's port where it names its own."""
        host = HOST.encode()
        renamed = answer.replace(host + self.upstream.to_bytes(4, "big"), host + self.port.to_bytes(4, "big"))
        return renamed.replace(*self.falsify) if self.falsify else renamed

    def wait_until_passing(self) -> None:
        self._open.wait()

    def wait_until_reading(self) -> None:
        self._reading.wait()


class _Pair:
    """One client's connection and the one to the broker that belongs to it."""

    def __init__(self, proxy: Proxy, client: socket.socket, broker: socket.socket) -> None:
        self._proxy, self._client, self._broker = proxy, client, broker
        self.forgotten = threading.Event()
        self.kept = 0

    def start(self) -> None:
        for pump in (self._up, self._down):
            threading.Thread(target=pump, daemon=True).start()

    def close(self) -> None:
        for end in (self._client, self._broker):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _up(self) -> None:
        with suppress(OSError):
            while True:
                frame = _read(self._client, self._proxy.wait_until_reading)
                self.kept += 1
                self._proxy.wait_until_passing()
                self._pass_on(frame)
                self.kept -= 1
        self.close()

    def _pass_on(self, frame: Frame) -> None:
        if self.forgotten.is_set():
            return
        answer = self._proxy.answer(frame)
        if answer is not None:
            _write(self._client, answer)
            return
        self._proxy.produced += int.from_bytes(frame[:2], "big") == PRODUCE
        _write(self._broker, frame)

    def _down(self) -> None:
        with suppress(OSError):
            while True:
                answer = self._proxy.renamed(_read(self._broker))
                self._proxy.wait_until_passing()
                if not self.forgotten.is_set():
                    _write(self._client, answer)
        self.close()


@contextmanager
def standing_before(
    upstream: int, tls: ssl.SSLContext | None = None, answer: Callable[[Frame], Frame | None] = lambda _: None
) -> Iterator[Proxy]:
    """A proxy to the broker at that port, as long as the block runs."""
    with socket.socket() as listener:
        # Small, so that a client that is not read from notices soon.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind((HOST, 0))
        listener.listen()
        proxy = Proxy(upstream, tls, answer, listener.getsockname()[1])
        proxy.release()
        threading.Thread(target=proxy.serve, args=(listener,), daemon=True).start()
        try:
            yield proxy
        finally:
            proxy.release()
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            proxy.cut()


def _read(end: socket.socket, wait: Callable[[], None] = lambda: None) -> Frame:
    """The next message; `wait` is called before each piece of it."""
    return _exactly(end, int.from_bytes(_exactly(end, 4, wait), "big"), wait)


def _exactly(end: socket.socket, number: int, wait: Callable[[], None]) -> bytes:
    parts = bytearray()
    while len(parts) < number:
        wait()
        part = end.recv(min(number - len(parts), 65_536))
        if not part:
            raise ConnectionError("closed")
        parts += part
    return bytes(parts)


def _write(end: socket.socket, frame: Frame) -> None:
    end.sendall(len(frame).to_bytes(4, "big") + frame)
