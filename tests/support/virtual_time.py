"""Time that passes only when every thread waits, so that what threads do over time takes no time and always goes the same way."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class _Sleeper:
    until: float
    event: threading.Event
    goes_on: threading.Event = field(default_factory=threading.Event)


class VirtualTime:
    """A clock for some threads, of which one runs at a time. `now` is in seconds."""

    def __init__(self) -> None:
        self.now = 0.0
        self._lock = threading.Lock()
        self._sleepers: list[_Sleeper] = []
        self._alive = 0

    def clock(self) -> float:
        return self.now

    def pause(self, event: threading.Event, seconds: float) -> None:
        """Return when the event is set or the seconds are over, whatever comes first."""
        assert seconds > 0
        sleeper = _Sleeper(self.now + seconds, event)
        with self._lock:
            self._sleepers.append(sleeper)
            self._wake_one()
        assert sleeper.goes_on.wait(10), "no thread went on"

    def run(self, *tasks: tuple[float, Callable[[], Any]]) -> list[Any]:
        """Run each task in a thread of its own from its time on; what they returned or raised, in the same order."""
        results: list[Any] = [None] * len(tasks)

        def run(number: int, work: Callable[[], Any], begins: _Sleeper) -> None:
            assert begins.goes_on.wait(10)
            try:
                results[number] = work()
            except Exception as error:  # noqa: BLE001 - it is returned
                results[number] = error
            with self._lock:
                self._alive -= 1
                self._wake_one()

        begins = [_Sleeper(at, threading.Event()) for at, _ in tasks]
        self._sleepers, self._alive = list(begins), len(tasks)
        threads = [threading.Thread(target=run, args=(number, work, begins[number])) for number, (_, work) in enumerate(tasks)]
        for thread in threads:
            thread.start()
        with self._lock:
            self._wake_one()
        for thread in threads:
            thread.join(20)
        assert self._alive == 0
        return results

    def _wake_one(self) -> None:
        """Let one thread go on once all of them wait: one whose event is set, or else the next whose time comes."""
        if not self._sleepers or len(self._sleepers) < self._alive:
            return
        chosen = next((each for each in self._sleepers if each.event.is_set()), None) or min(self._sleepers, key=lambda each: each.until)
        if not chosen.event.is_set():
            self.now = max(self.now, chosen.until)
        self._sleepers.remove(chosen)
        chosen.goes_on.set()
