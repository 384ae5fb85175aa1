"""Who moves next: actors in greenlets, one at a time, on a virtual clock, by a seeded choice."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from greenlet import getcurrent, greenlet

STEP_SECONDS = 0.001
MOVES_BETWEEN_LOOKS = 25


class Killed(BaseException):
    """The process is gone: nothing that it still tries has any effect."""


@dataclass(frozen=True)
class Trouble:
    """How often what goes wrong; all of it can be switched off, one by one."""

    kills: float = 0.004
    stalls: float = 0.002
    lost_connections: float = 0.003
    lost_records: float = 0.02
    lost_acknowledgements: float = 0.02
    late_records: float = 0.02
    outages: float = 0.3
    silence: float = 0.05
    refusals: float = 0.08
    bugs: float = 0.03
    expiries: float = 0.15


CALM = Trouble(*[0.0] * len(Trouble.__dataclass_fields__))


@dataclass(eq=False)
class Actor:
    """Somebody who works in a loop; `dies` is called when its process is killed, and it begins anew soon after."""

    name: str
    work: Callable[[], None]
    dies: Callable[[], None]
    mortal: bool = True
    wakes_at: float = 0.0
    ready: Callable[[], bool] | None = None
    dead: bool = False
    stands_still: bool = False
    process: greenlet | None = None


@dataclass
class Scheduler:
    """The clock, the chance, and the actors."""

    seed: int
    trouble: Trouble
    now: float = 0.0
    actors: list[Actor] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)
    timers: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    points: int = 0
    failures: list[str] = field(default_factory=list)
    current: Actor | None = None

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self._hub = getcurrent()

    def chance(self, probability: float) -> bool:
        return probability > 0 and self.random.random() < probability

    def tell(self, what: str) -> None:
        name = self.current.name if self.current else "-"
        self.trace.append(f"{self.now:9.3f}  {name:<18} {what}")

    def add(self, actor: Actor) -> None:
        self.actors.append(actor)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Have `call` called when so much time has passed."""
        self.timers.append((self.now + seconds, len(self.timers), call))

    # What actors call, and whatever they call calls

    def point(self, what: str) -> None:
        """Others may go on here, and the process that is here may be killed or stand still; raises Killed."""
        actor = self._alive()
        self.points += 1
        if actor.mortal and self.chance(self.trouble.kills):
            self._kill(actor, what)
        if actor.mortal and self.chance(self.trouble.stalls):
            self.tell(f"stands still: {what}")
            actor.stands_still = True
            self._switch(actor, self.now + self.random.uniform(1, 20), None)
            actor.stands_still = False
        self._switch(actor, self.now, None)

    def pause(self, seconds: float) -> None:
        actor = self._alive()
        self._switch(actor, self.now + seconds, None)

    def wait(self, ready: Callable[[], bool], seconds: float) -> bool:
        """Wait until `ready` or until the time is over; whether it was ready."""
        actor = self._alive()
        self._switch(actor, self.now + seconds, ready)
        return ready()

    def _alive(self) -> Actor:
        assert self.current
        if self.current.dead:
            raise Killed
        return self.current

    def _kill(self, actor: Actor, what: str) -> None:
        self.tell(f"is killed: {what}")
        actor.dead = True
        actor.dies()
        raise Killed

    def _switch(self, actor: Actor, wakes_at: float, ready: Callable[[], bool] | None) -> None:
        actor.wakes_at, actor.ready = wakes_at, ready
        self._hub.switch()
        if actor.dead:
            raise Killed

    # The hub

    def run(self, over: Callable[[], bool], most_seconds: float) -> bool:
        """Let actors move until it is over, which is looked at now and then; False where that takes longer than `most_seconds`."""
        until = self.now + most_seconds
        while not over():
            if self.now > until:
                return False
            for _ in range(MOVES_BETWEEN_LOOKS):
                self._move()
        return True

    def _move(self) -> None:
        self._ring()
        able = [actor for actor in self.actors if actor.wakes_at <= self.now or (actor.ready and actor.ready())]
        if not able:
            times = [actor.wakes_at for actor in self.actors] + [at for at, _, _ in self.timers]
            self.now = max(self.now, min(times))
            return
        self.now += STEP_SECONDS
        self._resume(able[self.random.randrange(len(able))])

    def _ring(self) -> None:
        while due := [timer for timer in self.timers if timer[0] <= self.now]:
            first = min(due, key=lambda timer: timer[:2])
            self.timers.remove(first)
            first[2]()

    def _resume(self, actor: Actor) -> None:
        if actor.process is None:
            actor.dead, actor.process = False, greenlet(lambda: self._lives(actor), parent=self._hub)
        self.current = actor
        actor.process.switch()
        self.current = None

    def _lives(self, actor: Actor) -> None:
        try:
            actor.work()
        except Killed:
            pass
        except Exception as error:  # noqa: BLE001 - none of the surroundings makes it
            self.failures.append(f"{actor.name} fails: {type(error).__name__}: {error}")
        actor.process = None
        actor.wakes_at, actor.ready = self.now + self.random.uniform(0.1, 3), None
