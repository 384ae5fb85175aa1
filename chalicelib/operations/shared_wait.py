"""Waiting for sagas: one of the requests that wait looks for all of them, so that a process asks once at a time, however many wait.

No thread of its own does it, as nothing may run between requests where Lambda freezes the process. No connection is held between looks.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from threading import Event, Lock
from typing import TypeAlias
from uuid import UUID

from chalicelib.sagas.queries import SagaWithOrder
from chalicelib.sagas.state import Saga

# Returns those of these sagas that rest.
Look: TypeAlias = Callable[[Iterable[UUID]], Sequence[SagaWithOrder]]

SHORTEST_PAUSE, LONGEST_PAUSE = 0.004, 0.15
# Of the time that a saga has been waited for, so much may pass before it is looked at again.
SHARE = 0.08
FIRST_GUESS, LONGEST_GUESS = 0.02, 1.0
# So late the first look comes at most: when a rush is over, the next saga rests long before what has been usual.
LATEST_FIRST_LOOK = 0.2
# How far one saga that took longer than usual moves the guess. Shorter ones are believed at once: a look too early costs little.
SLOWNESS = 0.1


class Waiter:
    """A request that waits since `begun` for a saga that usually takes `usual` seconds; times are of the monotonic clock."""

    def __init__(self, saga: Saga, begun: float, usual: float) -> None:
        self.saga_id = saga.saga_id
        self.name = saga.name
        self.begun = begun
        self.usual = usual
        self.woken = Event()
        self.seen: SagaWithOrder | None = None
        self.error: Exception | None = None

    @property
    def served(self) -> bool:
        return self.seen is not None or self.error is not None

    def next_look(self, now: float, last_look: float) -> float:
        """When to look: first when the saga has usually come to rest, or soon, then in pauses that grow with the time it has taken."""
        pause = SHARE * max(self.usual, now - self.begun)
        return max(self.begun + min(self.usual, LATEST_FIRST_LOOK), last_look + min(max(pause, SHORTEST_PAUSE), LONGEST_PAUSE))


class SharedWait:
    """The waiting requests of a process. Safe for several threads: the first leads, and whoever leaves hands the lead over."""

    def __init__(
        self,
        look: Look,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[Event, float], object] = Event.wait,
    ) -> None:
        """`pause` waits for the event, at most so many seconds."""
        self._look = look
        self._clock = clock
        self._pause = pause
        self._lock = Lock()
        self._waiters: list[Waiter] = []
        self._leader: Waiter | None = None
        self._last_look = 0.0
        # What sagas of a name have taken lately, in seconds.
        self._usual: dict[str, float] = {}

    def wait(self, saga: Saga, begun: float, deadline: float) -> SagaWithOrder | None:
        """The saga once it rests; None where it does not by `deadline`. Raises what a look raises, for all whom it was for.

        `begun` is when the request that the saga serves began.
        """
        waiter = self._join(saga, begun)
        try:
            while not waiter.served and (left := deadline - self._clock()) > 0:
                if waiter is self._leader:
                    self._lead(waiter, deadline)
                else:
                    self._pause(waiter.woken, left)
        finally:
            self._leave(waiter)
        if waiter.error:
            raise waiter.error
        return waiter.seen

    def _join(self, saga: Saga, begun: float) -> Waiter:
        with self._lock:
            waiter = Waiter(saga, begun, self._usual.get(saga.name, FIRST_GUESS))
            self._waiters.append(waiter)
            if self._leader is None:
                self._leader = waiter
            # The leader may be resting for longer than this saga takes.
            self._leader.woken.set()
        return waiter

    def _lead(self, leader: Waiter, deadline: float) -> None:
        """Rest until the next look, the leader's deadline or a new waiter; look if it is time."""
        leader.woken.clear()
        with self._lock:
            now = self._clock()
            next_look = min(waiter.next_look(now, self._last_look) for waiter in self._waiters)
        if next_look > now:
            self._pause(leader.woken, min(next_look, deadline) - now)
        else:
            self._look_for_all()

    def _look_for_all(self) -> None:
        with self._lock:
            asked = list(self._waiters)
        try:
            found = {each.saga.saga_id: each for each in self._look({waiter.saga_id for waiter in asked})}
        except Exception as error:  # noqa: BLE001 - everyone for whom it was raises it
            with self._lock:
                for waiter in asked:
                    self._serve(waiter, error=error)
            return
        with self._lock:
            self._last_look = self._clock()
            for waiter in asked:
                if waiter.saga_id in found:
                    self._serve(waiter, seen=found[waiter.saga_id])
            for each in found.values():
                self._learn(each.saga)

    def _serve(self, waiter: Waiter, *, seen: SagaWithOrder | None = None, error: Exception | None = None) -> None:
        waiter.seen, waiter.error = seen, error
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        waiter.woken.set()

    def _learn(self, saga: Saga) -> None:
        """By the database's clock, so that a look too late teaches nothing wrong."""
        if saga.ended_at is None:
            return
        took = min((saga.ended_at - saga.started_at).total_seconds(), LONGEST_GUESS)
        usual = self._usual.get(saga.name, FIRST_GUESS)
        self._usual[saga.name] = min(took, usual + SLOWNESS * (took - usual))

    def _leave(self, waiter: Waiter) -> None:
        with self._lock:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            if waiter is self._leader:
                self._leader = self._waiters[0] if self._waiters else None
                if self._leader:
                    self._leader.woken.set()
