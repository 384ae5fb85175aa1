"""One run: a stack under load while its parts fail, left to settle, and judged."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from random import Random
from typing import Any

import sqlalchemy as sa

from infra.operator.audit import examine
from infra.stack.running import operator_session
from tests.chaos.faults import FUNCTION, Saboteur, plan
from tests.chaos.lives import Life
from tests.chaos.place import Options, Place
from tests.chaos.report import Outcome
from tests.support.history import Event, Finding, Run, violations
from tests.support.history.reading import EventReader, reading_events, tables

LIVES_END_SECONDS, SETTLE_SECONDS, EVENTS_SECONDS, RETRY_SECONDS = 120.0, 180.0, 30.0, 10.0
# Besides: as often may the clock have to come by.
SETTLE_SWEEPS = 7
PROGRESS_SECONDS = 5.0
# What waits for nobody: held by a saga, open until its time is over, delivered until the clock completes it; and messages to be sent.
UNSETTLED = sa.text("""
    SELECT count(*) FILTER (WHERE active_saga_id IS NOT NULL) AS held,
        count(*) FILTER (WHERE order_status = 'READY_FOR_PICKUP') AS open,
        count(*) FILTER (WHERE (order_status, payment_status) = ('DELIVERED', 'AUTHORIZED')) AS delivered,
        (SELECT count(*) FROM campusg.outbox) AS unsent
    FROM campusg.orders""")
SUSPENDED = sa.text("SELECT CAST(saga_id AS text) FROM campusg.sagas WHERE ended_at IS NULL AND status = 'FAILED'")
ENDS = sa.text("SELECT concat(order_status, '/', payment_status), count(*) FROM campusg.orders GROUP BY 1 ORDER BY 2 DESC, 1")
DEAD_LETTERS = sa.text("SELECT CAST(order_id AS text), concat(error_class, ': ', error) FROM campusg.dead_letters")


class Chaos:
    """One run on a place. `tell` is called now and then with a line of progress."""

    def __init__(self, place: Place, options: Options, tell: Callable[[str], None]) -> None:
        self._place, self._options, self._tell = place, options, tell
        self._random = Random(options.seed)
        self._lossy = False
        self._retried = 0
        self.readings: Sequence[Sequence[Event]] = ()

    def run(self) -> Outcome:
        """Load and faults, rest, judgement."""
        options, place = self._options, self._place
        with reading_events(place.bootstrap) as events:
            faults = plan(options.seed, options.seconds, options.catalogue, options.pace)
            saboteur = Saboteur(faults, self._pid_of, place.proxies, partial(self._killed, events), Random(options.seed))
            saboteur.start()
            try:
                self._load(saboteur)
            finally:
                saboteur.stop()
            seconds, left = self._settle()
            events.read_on(EVENTS_SECONDS)
        self.readings = events.readings
        ends = {row[0]: row[1] for row in self._rows(ENDS)}
        return Outcome([*left, *self.judged()], saboteur.made, place.log, ends, seconds, self._retried, self._lossy)

    def judged(self) -> list[Finding]:
        """What the history checker and the audit find, and dead letters, which nobody has given cause for."""
        requests = [request for request in self._place.log.requests if request.path.startswith("/api/orders")]
        run = Run(requests=requests, readings=self.readings, may_lose=self._lossy, **tables(self._place.database))
        audited, _ = examine(self._place.database, timedelta(seconds=self._place.sweep_seconds))
        found = [Finding(each.rule, str(each.order_id), each.detail) for each in audited]
        return [*violations(run), *found, *(Finding("no_dead_letters", row[0], row[1]) for row in self._rows(DEAD_LETTERS))]

    def _pid_of(self, target: str) -> int | None:
        return self._place.pid_of(self._place.functions if target == FUNCTION else target)

    def _killed(self, events: EventReader, target: str) -> None:
        if target == "kafka" and not self._place.broker_keeps:
            self._lossy = True
            events.begin_anew()

    def _load(self, saboteur: Saboteur) -> None:
        """Have orders placed at even intervals, each with its life, until the time is over; the faults end before the last lives do."""
        begun, told = time.monotonic(), 0.0
        with ThreadPoolExecutor(self._place.people) as people:
            lives: list[Future[None]] = []
            for number in range(self._options.orders):
                due = begun + self._options.seconds * number / self._options.orders
                while time.monotonic() < due:
                    time.sleep(min(0.2, max(0.0, due - time.monotonic())))
                if time.monotonic() - told > PROGRESS_SECONDS:
                    told = time.monotonic()
                    self._tell(self._progress(told - begun, number, sum(each.done() for each in lives), saboteur))
                lives.append(people.submit(Life(self._place.service, Random(f"{self._options.seed}-{number}")).live))
            time.sleep(max(0.0, begun + self._options.seconds - time.monotonic()))
            saboteur.stop()
            deadline = time.monotonic() + LIVES_END_SECONDS
            while time.monotonic() < deadline and not all(each.done() for each in lives):
                time.sleep(0.2)
            self._place.service.ending.set()
        for life in lives:
            life.result()

    def _progress(self, seconds: float, orders: int, ended: int, saboteur: Saboteur) -> str:
        requests = self._place.log.requests
        asked = f"{len(requests)} requests ({sum(request.unknown for request in requests)} unknown)"
        return f"{seconds:4.0f} s: {orders} orders, {ended} lives over, {asked}, {saboteur.made.total()} faults"

    def _settle(self) -> tuple[float, list[Finding]]:
        """Wait until nothing is under way; the seconds that took, and what still was when the time was over."""
        begun, retried = time.monotonic(), time.monotonic()
        while True:
            [left] = self._rows(UNSETTLED)
            seconds = time.monotonic() - begun
            if not any(left):
                return seconds, []
            if seconds > SETTLE_SECONDS + SETTLE_SWEEPS * self._place.sweep_seconds:
                return seconds, [Finding("at_rest", None, f"after {seconds:.0f} s without faults {left._asdict()} had not come to rest")]
            if time.monotonic() - retried > RETRY_SECONDS:
                retried = time.monotonic()
                self._retry()
                self._tell(f"settling for {seconds:.0f} s: {', '.join(f'{number} {name}' for name, number in left._asdict().items())}")
            time.sleep(0.5)

    def _retry(self) -> None:
        """What an operator does with sagas that are suspended."""
        operator = self._place.service.person("adm_9", "admin", self._random)
        for (saga_id,) in self._rows(SUSPENDED):
            self._retried += operator.ask("POST", f"/api/sagas/{saga_id}/retry").status == 202

    def _rows(self, statement: sa.TextClause) -> list[Any]:
        with operator_session(self._place.database) as session:
            return list(session.execute(statement))
