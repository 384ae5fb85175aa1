"""The discrete-event half: every order, batch, commit and look of a place by itself, by simpy. The same seed gives the same run."""

import random
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Any, TypeAlias

import simpy

from tests.benchmarks.scale import figures
from tests.benchmarks.scale.place import BATCH_DATABASE, STEPS, LocalPartners, Place

Process: TypeAlias = Generator[simpy.Event, Any, None]
# Of the orders of a run, so many at its beginning don't count: the queues are not yet as they will be.
WARM_UP = 0.2


@dataclass
class Run:
    """What a simulation has seen: how long each order took (milliseconds), how large batches were, how many requests were refused."""

    per_second: float = 0.0
    answered_ms: list[float] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    refused: int = 0
    most_connections: int = 0

    @property
    def mean_ms(self) -> float:
        """The mean time of an order."""
        return sum(self.answered_ms) / len(self.answered_ms)

    def percentile(self, percent: int) -> float:
        """The time within which so many of a hundred orders were answered."""
        return quantiles(self.answered_ms, n=100)[percent - 1]

    @property
    def batch(self) -> float:
        """The mean batch."""
        return sum(self.batches) / len(self.batches)


def arriving(place: Place, per_second: float, orders: int, seed: int = 1) -> Run:
    """Orders that arrive by chance, at a rate that doesn't heed how long they take."""
    world = World(place, seed)

    def source() -> Process:
        for number in range(orders):
            yield world.env.timeout(world.random.expovariate(per_second / 1000))
            world.env.process(world.order(counts=number >= orders * WARM_UP))

    world.env.process(source())
    world.env.run()
    world.run.per_second = per_second
    return world.run


def in_flight(place: Place, clients: int, orders: int, seed: int = 1) -> Run:
    """So many clients, each placing its next order once the one before is answered; `per_second` is what they reach."""
    world = World(place, seed)
    numbers, begun = iter(range(orders)), 0.0

    def client() -> Process:
        nonlocal begun
        for number in numbers:
            counts = number >= orders * WARM_UP
            if counts and not begun:
                begun = world.env.now
            yield world.env.process(world.order(counts=counts))

    ended = world.env.all_of([world.env.process(client()) for _ in range(clients)])
    world.env.run(ended)
    world.run.per_second = len(world.run.answered_ms) / (world.env.now - begun) * 1000
    return world.run


class World:
    """A place at work."""

    def __init__(self, place: Place, seed: int) -> None:
        self.place = place
        self.env = simpy.Environment()
        self.run = Run()
        # Not for secrets: a run must be repeatable.
        self.random = random.Random(seed)
        self._pool = simpy.Resource(self.env, place.pool)
        self._api = simpy.Resource(self.env, 1 if place.serial_api else place.concurrency)
        self._functions = simpy.Resource(self.env, place.concurrency)
        self._connections = simpy.Resource(self.env, place.connections)
        self._committing: list[simpy.Event] = []
        self._flusher = simpy.Store(self.env)
        self.env.process(self._flush())
        self._topics = [[simpy.Store(self.env) for _ in range(place.lanes)] for _ in range(STEPS)]
        for lane in (lane for topic in self._topics for lane in topic):
            self.env.process(self._take(lane))
        self._commands = simpy.Store(self.env)
        if isinstance(place.partners, LocalPartners):
            self.env.process(self._answer(place.partners))

    def order(self, *, counts: bool) -> Process:
        """An order from its POST to its answer, unless no function is free for it."""
        begun, place = self.env.now, self.place
        if self._functions.count >= place.concurrency:
            self.run.refused += counts
            return
        yield self.env.timeout(self._vary(place.around_ms))
        with self._functions.request() as function:
            yield function
            with self._api.request() as turn:
                yield turn
                yield from self._compute(place.post)
            yield from self._transaction(figures.POST_DATABASE, figures.POST_CROSSINGS)
            saga = self.env.process(self._saga())
            if place.looks:
                for _ in range(round(place.looks) - 1):
                    self.env.process(self._look())
                yield saga
                yield self.env.timeout(self.random.uniform(0, place.pause_ms(self.env.now - begun)))
                yield self.env.process(self._look())
        if counts:
            self.run.answered_ms.append(self.env.now - begun)

    def _saga(self) -> Process:
        for topic in self._topics:
            yield from self._ask_partner()
            yield self._put(self.random.choice(topic))

    def _look(self) -> Process:
        yield from self._compute(self.place.look)
        yield from self._database(figures.LOOK_DATABASE)
        yield self.env.timeout(self.place.crossing_ms)

    def _take(self, lane: simpy.Store) -> Process:
        """A lane of a topic: batches, one after the other."""
        place = self.place
        while True:
            batch = [(yield lane.get()), *self._waiting(lane)]
            self.run.batches.append(len(batch))
            yield self.env.timeout(self._vary(place.pickup_ms))
            with self._functions.request() as function:
                yield function
                yield from self._compute(place.batch.of(len(batch)))
                yield from self._transaction(BATCH_DATABASE.of(len(batch)), figures.BATCH_CROSSINGS)
            for done in batch:
                done.succeed()

    def _answer(self, partners: LocalPartners) -> Process:
        """The partners at home: one process for all their topics."""
        while True:
            batch = [(yield self._commands.get()), *self._waiting(self._commands)]
            yield from self._compute(partners.compute.of(len(batch)))
            yield from self._database(partners.database.of(len(batch)))
            yield from self._commit()
            yield self.env.timeout(self._vary(self.place.acknowledge_ms))
            for done in batch:
                done.succeed()

    def _ask_partner(self) -> Iterator[simpy.Event]:
        partners = self.place.partners
        if isinstance(partners, LocalPartners):
            yield self._put(self._commands)
        else:
            yield self.env.timeout(partners.p50 * self.random.lognormvariate(0, partners.sigma))

    def _transaction(self, database_ms: float, crossings: float) -> Iterator[simpy.Event]:
        """Work of the database up to the commit, with a connection of its own; then what was written is sent."""
        with self._connections.request() as connection:
            yield connection
            self.run.most_connections = max(self.run.most_connections, self._connections.count)
            yield from self._database(database_ms)
            yield self.env.timeout(self.place.crossings_ms(crossings))
            yield from self._commit()
        yield self.env.timeout(self._vary(self.place.acknowledge_ms))

    def _compute(self, milliseconds: float) -> Iterator[simpy.Event]:
        if self.place.shared:
            yield from self._database(milliseconds)
        else:
            yield self.env.timeout(self._vary(milliseconds))

    def _database(self, milliseconds: float) -> Iterator[simpy.Event]:
        with self._pool.request() as processor:
            yield processor
            yield self.env.timeout(self._vary(milliseconds))

    def _commit(self) -> Iterator[simpy.Event]:
        """Wait for the next flush of the log: one serves all who came before it began."""
        done = self.env.event()
        yield self._flusher.put(done)
        yield done

    def _flush(self) -> Process:
        while True:
            group = [(yield self._flusher.get()), *self._waiting(self._flusher, most=len(self._flusher.items))]
            yield self.env.timeout(self._vary(self.place.flush_ms))
            for done in group:
                done.succeed()

    def _put(self, store: simpy.Store) -> simpy.Event:
        """Put a record where it will be taken; the event is that this is done."""
        done = self.env.event()
        store.put(done)
        return done

    def _waiting(self, store: simpy.Store, most: int | None = None) -> list[simpy.Event]:
        """Take what else waits, at most a batch."""
        number = min(len(store.items), self.place.batch_size - 1 if most is None else most)
        taken, store.items[:] = store.items[:number], store.items[number:]
        return taken

    def _vary(self, mean: float) -> float:
        """A time about its mean, of which the standard deviation is a known share."""
        shape = 1 / figures.SPREAD**2
        return self.random.gammavariate(shape, mean / shape) if mean else 0.0
