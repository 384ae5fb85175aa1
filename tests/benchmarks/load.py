"""Clients of a running stack: orders placed by so many at once, or one after the other."""

import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from tests.support.edge import NEW_ORDER

PATIENCE_SECONDS = 30
WAIT_SECONDS = 20
BODY = json.dumps(NEW_ORDER).encode()


class Client:
    """One connection that is kept, for requests one after the other; made cheap, as it runs beside what it measures."""

    def __init__(self, port: int, token: str) -> None:
        self._head = f"Host: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n".encode()
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get(self, path: str) -> int:
        """Read something and return the status."""
        return self._exchange(b"GET " + path.encode() + b" HTTP/1.1\r\n" + self._head + b"\r\n")

    def place_order(self) -> int:
        """Place an order, wait for the end of its saga and return the status."""
        more = f"Content-Type: application/json\r\nPrefer: wait={WAIT_SECONDS}\r\nContent-Length: {len(BODY)}\r\n\r\n".encode()
        return self._exchange(b"POST /api/orders HTTP/1.1\r\n" + self._head + more + BODY)

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def _exchange(self, request: bytes) -> int:
        self._socket.sendall(request)
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._receive()
        head, _, body = received.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next(int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:"))
        while len(body) < length:
            body += self._receive()
        return int(head.split()[1])

    def _receive(self) -> bytes:
        received = self._socket.recv(1 << 16)
        if not received:
            raise ConnectionError("the gateway has closed the connection")
        return received


@dataclass
class Load:
    """What some clients have met: milliseconds of each order that ended as 201, and how often each other answer came."""

    seconds: float = 0.0
    milliseconds: list[float] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    client_cpu_seconds: float = 0.0

    def percentile(self, share: float) -> float:
        """The smallest time that so many of the orders needed at most."""
        ordered = sorted(self.milliseconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def orders_in_flight(clients: list[Client], seconds: float) -> Load:
    """Have each client place one order after the other for so long; ends when each has its last answer."""
    load, ending, lock = Load(), threading.Event(), threading.Lock()

    def work(client: Client) -> None:
        while not ending.is_set():
            begun = time.perf_counter()
            answer = _answer(client.place_order)
            taken = (time.perf_counter() - begun) * 1000
            with lock:
                if answer == "201":
                    load.milliseconds.append(taken)
                else:
                    load.others[answer] += 1
            if not answer.isdigit():
                return

    threads = [threading.Thread(target=work, args=(client,), daemon=True) for client in clients]
    begun, cpu = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    try:
        ending.wait(seconds)
    finally:
        ending.set()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    load.seconds, load.client_cpu_seconds = time.perf_counter() - begun, time.process_time() - cpu
    return load


def one_after_another(work: Callable[[], int], number: int, pause_seconds: float, expected: int = 201) -> Load:
    """Do something so many times, with pauses."""
    load = Load()
    begun = time.perf_counter()
    for _ in range(number):
        started = time.perf_counter()
        answer = _answer(work)
        if answer == str(expected):
            load.milliseconds.append((time.perf_counter() - started) * 1000)
        else:
            load.others[answer] += 1
        time.sleep(pause_seconds)
    load.seconds = time.perf_counter() - begun
    return load


def connect(port: int, token: str, number: int) -> list[Client]:
    """So many clients."""
    return [Client(port, token) for _ in range(number)]


def disconnect(clients: list[Client]) -> None:
    """End all connections."""
    for client in clients:
        with suppress(OSError):
            client.close()


def _answer(work: Callable[[], int]) -> str:
    try:
        return str(work())
    except OSError as error:
        return type(error).__name__
