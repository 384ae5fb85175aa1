"""Shared memory of all processes of a lane: which operation each component is at, and at which one a process kills itself.

An instant lies between two operations of a component: the one before an operation is also the one after the operation ahead of it.
"""

import mmap
import os
import signal
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Self

# What is killed: the HTTP function, those of the Kafka triggers, the scheduled ones, the emulator's pollers, the simulated partners.
COMPONENTS = (
    "http",
    "on_user_events",
    "on_payment_events",
    "on_escrow_events",
    "sweep_timeouts",
    "relay_outbox",
    "purge_expired",
    "audit_invariants",
    "pollers",
    "partners",
)

_NUMBER = struct.Struct("=i")
_ARMED, _INSTANT, _PARTNERS_MAY_WORK, _KILLED, _COUNTING, _DELIVERING = range(6)
_COUNTS = 6
_PIDS = _COUNTS + len(COMPONENTS)
_AT_WORK = _PIDS + len(COMPONENTS)
_SIZE = _AT_WORK + len(COMPONENTS)


@dataclass(frozen=True)
class Instant:
    """A point of a path: the n-th instant of a component while the path is walked, and the operation that it comes before."""

    component: str
    number: int
    label: str

    @property
    def name(self) -> str:
        """How `POINT=` names it."""
        return f"{self.component}:{self.number}"


class Board:
    """The same bytes in every process. One process of a component is at work at a time, so nobody counts at once with another."""

    def __init__(self, folder: Path) -> None:
        """Make or open the board of a folder."""
        with (folder / "board").open("a+b") as file:
            file.truncate(_SIZE * _NUMBER.size)
            self._memory = mmap.mmap(file.fileno(), _SIZE * _NUMBER.size)
        self._log = folder / "operations.log"
        self._component: int | None = None
        self.muted = False
        """Whether what this process does now belongs to no path."""
        self._descriptor = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    @classmethod
    def empty(cls, folder: Path) -> Self:
        """A board on which nothing stands yet."""
        (folder / "board").unlink(missing_ok=True)
        return cls(folder)

    # What the walker of a path does

    def begin(self, point: Instant | None) -> None:
        """Count from zero, and have the point's component kill itself when it comes to the point's number (None: never)."""
        os.truncate(self._log, 0)
        for number in range(len(COMPONENTS)):
            self._write(_COUNTS + number, 0)
            self._write(_AT_WORK + number, 0)
        self._write(_KILLED, 0)
        self._write(_ARMED, COMPONENTS.index(point.component) if point else -1)
        self._write(_INSTANT, point.number if point else -1)
        self._write(_COUNTING, 1)

    def end(self) -> None:
        """Count no more, and let nobody be killed."""
        self._write(_COUNTING, 0)

    @property
    def killed(self) -> bool:
        """Whether the armed component has killed itself."""
        return bool(self._read(_KILLED))

    def instants(self) -> list[Instant]:
        """All that were counted since `begin`, in the order in which they came."""
        lines = self._log.read_text().splitlines()
        return [Instant(component, int(number), label) for component, number, label in (line.split(" ", 2) for line in lines)]

    @property
    def at_work(self) -> bool:
        """Whether anybody is between two operations; nobody is who has died, or has come to an end."""
        return any(self._read(_AT_WORK + number) for number in range(len(COMPONENTS)))

    def forget(self, component: str) -> None:
        """Say that a component has died, and with it what it was at."""
        self._write(_AT_WORK + COMPONENTS.index(component), 0)

    def let_partners_work(self, *, allowed: bool) -> None:
        """Partners that have polled commands wait until they are allowed to work them: so commands come to them in known batches."""
        self._write(_PARTNERS_MAY_WORK, int(allowed))

    def pid(self, component: str) -> int:
        """The process that last became this component; 0: none did."""
        return self._read(_PIDS + COMPONENTS.index(component))

    # What a component does

    def become(self, component: str) -> None:
        """Say that this process is that component from now on."""
        self._component = COMPONENTS.index(component)
        self._write(_PIDS + self._component, os.getpid())

    @property
    def delivering(self) -> bool:
        """Whether the pollers have a batch in hand."""
        return bool(self._read(_DELIVERING))

    def note_delivering(self, *, begun: bool) -> None:
        """Note that the pollers have a batch in hand, or no longer do."""
        self._write(_DELIVERING, int(begun))

    @property
    def is_function(self) -> bool:
        """Whether this process is one that is invoked."""
        return self._component is not None and COMPONENTS[self._component] not in ("pollers", "partners")

    def pause(self) -> None:
        """Wait for others: what this process does now belongs to no path."""
        self.muted = True
        if self._component is not None:
            self._write(_AT_WORK + self._component, 0)

    @property
    def partners_may_work(self) -> bool:
        """Whether partners may work what they have polled."""
        return bool(self._read(_PARTNERS_MAY_WORK))

    def instant(self, label: str, *, last: bool = False) -> None:
        """This process is about to do what the label says: count it, or be killed here. The `last` one has nothing to do behind it."""
        if self.muted or self._component is None or not self._read(_COUNTING):
            return
        number = self._read(_COUNTS + self._component)
        self._write(_COUNTS + self._component, number + 1)
        self._write(_AT_WORK + self._component, int(not last))
        os.write(self._descriptor, f"{COMPONENTS[self._component]} {number} {label}\n".encode())
        if (self._component, number) == (self._read(_ARMED), self._read(_INSTANT)):
            self._write(_AT_WORK + self._component, 0)
            self._write(_ARMED, -1)
            self._write(_KILLED, 1)
            os.kill(os.getpid(), signal.SIGKILL)

    def _read(self, place: int) -> int:
        return int(_NUMBER.unpack_from(self._memory, place * _NUMBER.size)[0])

    def _write(self, place: int, value: int) -> None:
        _NUMBER.pack_into(self._memory, place * _NUMBER.size, value)
