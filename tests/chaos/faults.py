"""What is done to a stack: parts killed, frozen and cut off, at random times that a seed decides, each for a bounded time."""

import heapq
import itertools
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

import psutil

KILL, FREEZE, CUT, RESET = "kill", "freeze", "cut", "reset"
# A part by its name in run.json, or one of the processes that the functions run in.
FUNCTION = "function"
PARTS = ("http", "triggers", "partners", "kafka", "postgres", FUNCTION)
PROXIED = ("http", "kafka", "postgres")
CATALOGUE: Mapping[str, Sequence[str]] = {KILL: PARTS, FREEZE: PARTS, CUT: PROXIED, RESET: PROXIED}


class Fault(NamedTuple):
    """What is done to what, so many seconds after the beginning; one that lasts is undone after `seconds`."""

    at: float
    kind: str
    target: str
    seconds: float = 0.0


class Pace(NamedTuple):
    """From and to how many seconds lie between two faults, and may one last."""

    pause: tuple[float, float] = (1.0, 5.0)
    lasts: tuple[float, float] = (0.5, 6.0)


PACE = Pace()


def plan(seed: int, seconds: float, catalogue: Mapping[str, Sequence[str]] = CATALOGUE, pace: Pace = PACE) -> list[Fault]:
    """The faults of so many seconds, all of them over by then: the same for the same seed."""
    random, faults = Random(seed), list[Fault]()
    choices = [(kind, target) for kind, targets in catalogue.items() for target in targets]
    at = random.uniform(*pace.pause)
    while at < seconds:
        # Each once before any comes again, so that a short run has many kinds.
        for kind, target in random.sample(choices, len(choices)):
            lasts = random.uniform(*pace.lasts) if kind in (FREEZE, CUT) else 0.0
            if at + lasts < seconds:
                faults.append(Fault(at, kind, target, lasts))
            at += random.uniform(*pace.pause)
    return faults


class Proxied(NamedTuple):
    """What stands before a server and can cut it off."""

    stall: Callable[[], None]
    release: Callable[[], None]
    reset: Callable[[], None]


@dataclass
class Saboteur:
    """Makes faults in a thread of its own, until `stop`.

    `pid_of` says which process a part is, or which one has started the functions; `killed` is told what was killed.
    """

    faults: Sequence[Fault]
    pid_of: Callable[[str], int | None]
    proxies: Mapping[str, Proxied]
    killed: Callable[[str], None]
    random: Random
    made: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often what was done to what; a fault that found nothing there is none."""
    _ended: threading.Event = field(default_factory=threading.Event)
    _number: "itertools.count[int]" = field(default_factory=itertools.count)
    _undo: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._run, name="saboteur", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Make no more faults, and undo what has not been."""
        self._ended.set()
        self._thread.join()
        for _, _, undo in self._undo:
            undo()
        self._undo.clear()

    def _run(self) -> None:
        begun = time.monotonic()
        for fault in self.faults:
            if self._wait_until(begun + fault.at):
                return
            with suppress(psutil.Error, ProcessLookupError):
                self._make(fault)

    def _wait_until(self, moment: float) -> bool:
        """Undo what is due meanwhile; whether the end has come."""
        while True:
            due = min(moment, self._undo[0][0]) if self._undo else moment
            if self._ended.wait(max(0.0, due - time.monotonic())):
                return True
            if time.monotonic() >= moment:
                return False
            heapq.heappop(self._undo)[2]()

    def _make(self, fault: Fault) -> None:
        match fault.kind:
            case "kill":
                process = self._process(fault.target)
                process.kill()
                self.killed(fault.target)
            case "freeze":
                self._lasting(fault, *_frozen(self._process(fault.target)))
            case "cut":
                proxy = self.proxies[fault.target]
                self._lasting(fault, proxy.stall, proxy.release)
            case "reset":
                self.proxies[fault.target].reset()
        self.made[fault.kind, fault.target] += 1

    def _lasting(self, fault: Fault, begin: Callable[[], None], end: Callable[[], None]) -> None:
        heapq.heappush(self._undo, (time.monotonic() + fault.seconds, next(self._number), end))
        begin()

    def _process(self, target: str) -> psutil.Process:
        pid = self.pid_of(target)
        if pid is None:
            raise ProcessLookupError(target)
        process = psutil.Process(pid)
        children = process.children(recursive=True) if target == FUNCTION else []
        return self.random.choice(children) if children else process


def _frozen(process: psutil.Process) -> tuple[Callable[[], None], Callable[[], None]]:
    """What stops a process with all that it has started, and what lets them go on."""
    family = [process, *process.children(recursive=True)]

    def each(action: Callable[[psutil.Process], None]) -> None:
        for member in family:
            with suppress(psutil.Error):
                action(member)

    return lambda: each(psutil.Process.suspend), lambda: each(psutil.Process.resume)


def listening(port: int) -> int | None:
    """The process on this machine that listens on a port, but for this one."""
    found = (each for each in psutil.net_connections("tcp") if each.status == psutil.CONN_LISTEN)
    return next((each.pid for each in found if each.laddr.port == port and each.pid not in (None, os.getpid())), None)
