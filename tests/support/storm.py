"""Load on an HTTP server from a process of its own, which competes with the server for processors only: `met(Storm(…))`.

A closed loop has so many clients, each of which sends its next request when the last is answered. An open one sends at a rate, whatever
becomes of what it has sent, and counts from when a request was due.
"""

import asyncio
import json
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from infra.stack.ports import HOST

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 30.0
# As fine as the clock of an open loop is; what is due by then is sent at once.
TICK_SECONDS = 0.005
FIELD = {
    name: re.compile(rb"\r\n" + name + rb": ([^\r]*)\r\n", re.IGNORECASE) for name in (b"content-length", b"content-type", b"retry-after")
}


@dataclass(frozen=True)
class Storm:
    """One request, again and again for so long: by so many clients, or, with a `rate` a second, over at most so many connections."""

    port: int
    request: str
    clients: int
    seconds: float
    rate: float = 0.0


@dataclass(frozen=True)
class Met:
    """What came of it. `withheld`: what was due while all connections waited for their answers, and so was never sent."""

    offered: int
    withheld: int
    seconds: float
    latencies: Mapping[str, list[float]]
    """Seconds by kind of answer: its status; of an error also media type, Retry-After and problem type; or how there was none."""


def met(storm: Storm) -> Met:
    """Have it come, and say what it met."""
    command = [sys.executable, "-m", "tests.support.storm", json.dumps(asdict(storm))]
    return Met(
        **json.loads(
            subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=ROOT, timeout=storm.seconds + 2 * PATIENCE_SECONDS).stdout
        )
    )


class Connection(asyncio.Protocol):
    """A connection that is kept, for one request after the other."""

    def __init__(self, load: "Load") -> None:
        self._load, self._received, self._due = load, b"", 0.0
        self.is_waiting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def send(self, due: float) -> None:
        self._due, self.is_waiting = due, True
        self._transport.write(self._load.request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        head += b"\r\n"
        if end and len(body) >= int(field_of(head, b"content-length")):
            self._received = b""
            self._end(kind_of(head, body))
            self._load.is_free(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.is_gone(self)
        if self.is_waiting:
            self._end("no answer: the connection was closed")

    def _end(self, kind: str) -> None:
        self.is_waiting = False
        self._load.latencies[kind].append(time.monotonic() - self._due)


class Load:
    """The clients of one storm, in one event loop."""

    def __init__(self, storm: Storm) -> None:
        self.request = storm.request.encode()
        self.latencies: defaultdict[str, list[float]] = defaultdict(list)
        self._storm = storm
        self._free: list[Connection] = []
        self._connections = self._offered = self._withheld = 0
        self._ending = time.monotonic() + storm.seconds
        self._opening = set[asyncio.Task[None]]()

    async def run(self) -> Met:
        begun = time.monotonic()
        if self._storm.rate:
            await self._keep_to_the_rate(begun)
        else:
            for _ in range(self._storm.clients):
                self._offer(begun)
            await asyncio.sleep(self._storm.seconds)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (left := self._offered - sum(map(len, self.latencies.values()))) and time.monotonic() < deadline:
            await asyncio.sleep(TICK_SECONDS)
        if left:
            self.latencies["no answer: none came"] = [PATIENCE_SECONDS] * left
        return Met(self._offered, self._withheld, self._storm.seconds, dict(self.latencies))

    def is_free(self, connection: Connection) -> None:
        self._free.append(connection)
        now = time.monotonic()
        if not self._storm.rate and now < self._ending:
            self._offer(now)

    def is_gone(self, connection: Connection) -> None:
        self._connections -= 1
        if connection in self._free:
            self._free.remove(connection)

    async def _keep_to_the_rate(self, begun: float) -> None:
        for number in range(int(self._storm.rate * self._storm.seconds)):
            due = begun + number / self._storm.rate
            while time.monotonic() < due:
                await asyncio.sleep(TICK_SECONDS)
            self._offer(due)

    def _offer(self, due: float) -> None:
        if not self._free and self._connections == self._storm.clients:
            self._withheld += 1
            return
        self._offered += 1
        if self._free:
            self._free.pop().send(due)
            return
        self._connections += 1
        task = asyncio.ensure_future(self._open(due))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, due: float) -> None:
        try:
            _, connection = await asyncio.get_running_loop().create_connection(lambda: Connection(self), HOST, self._storm.port)
        except OSError as error:
            self._connections -= 1
            self.latencies[f"no answer: {error}"].append(time.monotonic() - due)
        else:
            connection.send(due)


def kind_of(head: bytes, body: bytes) -> str:
    """What is counted together."""
    status = head[9:12].decode()
    if status < "400":
        return status
    problem = json.loads(body)
    return f"{status} {field_of(head, b'content-type')} {field_of(head, b'retry-after')} {problem['type']}"


def field_of(head: bytes, name: bytes) -> str:
    """The value of a header, a dash where it is missing."""
    found = FIELD[name].search(head)
    return found[1].decode() if found else "-"


if __name__ == "__main__":
    json.dump(asdict(asyncio.run(Load(Storm(**json.loads(sys.argv[1]))).run())), sys.stdout)
