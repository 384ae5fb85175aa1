"""One run: orders with their people, several of each function, partners, an operator; first with trouble, then calm, then judged."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from itertools import count
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

from chalicelib.db.states import Kind, kind_of
from chalicelib.entrypoints import kafka
from chalicelib.errors import Refusal, Unavailable
from chalicelib.messages.envelope import Incoming, MessageContext
from chalicelib.messages.topics import PARTITIONS, TRIGGERS, Trigger
from chalicelib.messaging.publisher import Publisher
from chalicelib.operations import operate
from chalicelib.operations import redrive as redriving
from chalicelib.operations.accept import accept_order
from chalicelib.operations.call import Call
from chalicelib.operations.cancel import cancel_order
from chalicelib.operations.complete import complete_order
from chalicelib.operations.create import create_order
from chalicelib.operations.deaths import DeathWatch
from chalicelib.operations.give_back import cancel_acceptance
from chalicelib.operations.move_status import BY_HAND, move_status
from chalicelib.operations.sweep import Sweeper
from chalicelib.orders.access import Viewer
from chalicelib.orders.order import Order, OrderStatus
from chalicelib.orders.timeouts import Timeouts
from chalicelib.sagas.outcomes import IdSource
from chalicelib.sagas.retry import RetryPolicy
from chalicelib.sagas.state import SagaStatus
from tests.explorer.service import PARTNERS
from tests.simulation.broker import Broker, Producer, lambda_event
from tests.simulation.partners import Books, PartnerServices
from tests.simulation.scheduler import CALM, Actor, Scheduler, Trouble
from tests.simulation.tables import Database, Tables
from tests.support.database import NEW_ORDER
from tests.support.examples import RULES

ADMIN = Viewer("adm_1", frozenset({"admin"}))
RULES_HERE = replace(RULES, policy=RetryPolicy(timedelta(seconds=4), 3), timeouts=Timeouts(timedelta(seconds=40), timedelta(seconds=60)))


@dataclass(frozen=True)
class Settings:
    """A run: the same settings, the same trace."""

    seed: int
    orders: int = 8
    trouble: Trouble = field(default_factory=Trouble)


class Bug(Exception):
    """What a release with a fault raises for some records."""


class Process:
    """One container: what `chalicelib.runtime` builds, over the ports in memory."""

    def __init__(self, world: "World") -> None:
        self.database = Database(world.tables, next(world.numbers))
        self.producer = Producer(world.scheduler, world.broker)
        self.rules = RULES_HERE
        self.publisher = Publisher(cast(Any, self.database), cast(Any, self.producer), world.new_id)
        self.deaths = DeathWatch(cast(Any, self.database))
        self.sweeper = Sweeper(cast(Any, self.database), self.rules, self.publisher.publish, world.new_ids)


@dataclass
class World:
    """Everything there is in a run."""

    settings: Settings
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    wrongs: list[str] = field(default_factory=list)
    order_ids: list[UUID] = field(default_factory=list)
    placed: set[UUID] = field(default_factory=set)
    redriven_in_vain: set[UUID] = field(default_factory=set)
    buggy: dict[str, bool] = field(default_factory=dict)
    killed: int = 0

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(self.settings.seed, self.settings.trouble)
        self.tables = Tables(_Surroundings(self.scheduler))
        self.broker = Broker()
        self.books = Books()
        self.processes: dict[str, Process] = {}

    def new_id(self) -> UUID:
        return UUID(int=next(self.numbers))

    def new_ids(self) -> IdSource:
        return IdSource(lambda: str(self.new_id()), self.scheduler.random.uniform(-1, 1))

    # Who there is

    def begin(self) -> None:
        for number in range(self.settings.orders):
            self._employ(f"people {number}", partial(self._people, number))
        for trigger in TRIGGERS:
            for one in "ab":
                self._employ(f"{trigger.function[3:]} {one}", partial(self._poll, trigger))
        for topic in PARTNERS:
            self._employ(topic.replace("-commands", " service"), partial(PartnerServices(self).serve, topic))
        for one in "ab":
            self._employ(f"sweep {one}", lambda: self._again(lambda: self.process.sweeper.sweep(), 1.0))
            self._employ(f"relay {one}", lambda: self._again(lambda: self.process.publisher.relay(), 1.0))
        self._employ("operator", lambda: self._again(self._operate, 5.0))
        self._employ("the broker", self._outages, mortal=False)

    def _employ(self, name: str, work: Callable[[], None], *, mortal: bool = True) -> None:
        def dies() -> None:
            self.killed += 1
            if name in self.processes:
                self.processes.pop(name).database.die()

        self.scheduler.add(Actor(name, work, dies, mortal))

    @property
    def process(self) -> Process:
        """The container of the process that moves now."""
        assert self.scheduler.current
        name = self.scheduler.current.name
        if name not in self.processes:
            self.processes[name] = Process(self)
        return self.processes[name]

    def _again(self, work: Callable[[], None], seconds: float) -> None:
        """A function that is called over and over; what it raises, Lambda would see."""
        while True:
            self.scheduler.pause(seconds * self.scheduler.random.uniform(0.5, 1.5))
            self._tried(work)

    def _tried(self, work: Callable[[], object]) -> bool:
        """Whether it went through; raises what is no fault of the surroundings."""
        try:
            work()
            return True
        except Refusal as refusal:
            self.scheduler.tell(f"is refused: {refusal}")
        except Unavailable:
            self.scheduler.tell("finds the broker away")
        except Exception as error:
            if kind_of(error) is Kind.FAULT:
                raise
            self.scheduler.tell(f"finds the database away: {type(error).__name__}")
        return False

    # People

    def _people(self, number: int) -> None:
        random, scheduler = self.scheduler.random, self.scheduler
        if len(self.order_ids) <= number or not self.tables.rows["orders"].get(self.order_ids[number]):
            scheduler.pause(random.uniform(0, 20))
            while not self._place(number):
                scheduler.pause(random.uniform(0.5, 3))
        order_id = self.order_ids[number]
        for _ in range(8):
            scheduler.pause(random.uniform(0.2, 15))
            self._tried(lambda: self._ask(order_id))
        while True:
            scheduler.pause(math.inf)

    def _place(self, number: int) -> bool:
        while len(self.order_ids) <= number:
            self.order_ids.append(self.new_id())
        order_id = self.order_ids[number]
        if self.tables.rows["orders"].get(order_id):
            return True

        def place(session: Any, call: Call) -> None:
            create_order(session, call, order_id, NEW_ORDER)

        placed = self._tried(lambda: self._request(Viewer("cust_1", frozenset({"customer"})), place))
        if placed:
            self.placed.add(order_id)
        return placed

    def _request(self, viewer: Viewer, operation: Callable[[Any, Call], object]) -> None:
        """What HTTP does: a transaction, then what it wrote is published."""
        call = Call(RULES_HERE, viewer, MessageContext("corr-simulated"), self.new_ids())
        with self.process.database.transaction() as session:
            operation(session, call)
        self.process.publisher.publish(call.written)

    def _ask(self, order_id: UUID) -> None:
        order: Order = self.tables.rows["orders"][order_id]
        customer, runner = Viewer("cust_1", frozenset({"customer"})), Viewer(order.runner_id or "run_1", frozenset({"runner"}))
        pick = self.scheduler.random.choice
        wishes: dict[OrderStatus, Sequence[str]] = {
            OrderStatus.READY_FOR_PICKUP: ("accept", "accept", "accept", "cancel", ""),
            OrderStatus.ACCEPTED: ("move", "move", "move", "give back", "cancel", "accept"),
            OrderStatus.COLLECTED: ("move", "move", "admin"),
            OrderStatus.ON_THE_WAY: ("move", "move", "admin"),
            OrderStatus.DELIVERED: ("complete", "complete", "admin", ""),
        }
        wish = pick(wishes.get(order.order_status, ("cancel", "", "")))
        self.scheduler.tell(f"wants of {str(order_id)[-4:]}: {wish or 'nothing'}")
        taker = pick(("run_1", "run_2"))
        asks: dict[str, tuple[Viewer, Callable[[Any, Call], object]]] = {
            "accept": (Viewer(taker, frozenset({"runner"})), lambda session, call: accept_order(session, call, order_id, taker)),
            "cancel": (customer, lambda session, call: cancel_order(session, call, order_id, None)),
            "admin": (ADMIN, lambda session, call: cancel_order(session, call, order_id, "the store burnt down")),
            "give back": (runner, lambda session, call: cancel_acceptance(session, call, order_id)),
            "move": (runner, lambda session, call: move_status(session, call, order_id, BY_HAND[order.order_status])),
            "complete": (customer, lambda session, call: complete_order(session, call, order_id)),
        }
        if wish:
            self._request(*asks[wish])

    # The operator

    def _operate(self) -> None:
        for _, saga in sorted(self.tables.rows["sagas"].items()):
            if saga.status is SagaStatus.FAILED:
                hopeless = saga.pending is None and (saga.name != "complete_order" or len(saga.step("release_escrow").tries) > 4)
                operation = operate.compensate if hopeless else operate.retry
                self._tried(lambda: self._request(ADMIN, lambda session, call: operation(session, call, saga.saga_id)))  # noqa: B023
        for id, (letter, _) in sorted(self.tables.rows["letters"].items()):
            if letter.redriven_at is None and letter.error_class == Bug.__name__:
                self.scheduler.tell(f"redrives a dead letter of {str(letter.order_id)[-4:]}")
                if not self._tried(lambda: self._request(ADMIN, lambda session, call: redriving.redrive(session, call, id))):  # noqa: B023
                    self.redriven_in_vain.add(id)

    # The triggers

    def _poll(self, trigger: Trigger) -> None:
        while True:
            self.scheduler.pause(self.scheduler.random.uniform(0.05, 1.0))
            group, topic = trigger.consumer_group, trigger.topic
            batch = [record for number in range(PARTITIONS[topic]) for record in self.broker.records(group, topic, number, 20)]
            if batch and self._tried(lambda: self._deliver(trigger, batch)):  # noqa: B023
                self.scheduler.point("after it has committed offsets")

    def _deliver(self, trigger: Trigger, batch: Sequence[Incoming]) -> None:
        """Call the function, then commit what it has taken: of each partition up to the first record that failed."""
        self.scheduler.tell(f"takes {len(batch)} records")
        response = kafka.take_partner_events(lambda_event(batch), SimpleNamespace(get_remaining_time_in_millis=lambda: 30_000))
        self.scheduler.point("before it commits offsets")
        failed = [each["itemIdentifier"] for each in response["batchItemFailures"]]
        for number in {record.partition for record in batch}:
            last = max(record.offset for record in batch if record.partition == number) + 1
            stop = [each["offset"] for each in failed if each["partition"] == f"{trigger.topic}-{number}"]
            self.broker.commit(trigger.consumer_group, trigger.topic, number, min([last, *stop]))

    # Trouble

    def _outages(self) -> None:
        random = self.scheduler.random
        while True:
            self.scheduler.pause(random.uniform(5, 40))
            if self.scheduler.chance(self.scheduler.trouble.outages):
                self.broker.down = True
                self.scheduler.tell("is away")
                self.scheduler.pause(random.uniform(1, 15))
                self.broker.down = False
                self.scheduler.tell("is back")

    def fails(self, causation_id: str) -> bool:
        """Whether the release of these minutes has a fault that this reply meets."""
        if causation_id not in self.buggy:
            self.buggy[causation_id] = self.scheduler.chance(self.scheduler.trouble.bugs)
        return self.buggy[causation_id] and self.scheduler.trouble is not CALM

    def calm(self) -> None:
        """From now on nothing goes wrong any more."""
        self.scheduler.tell("all is calm")
        self.scheduler.trouble = CALM
        self.broker.down = False


class _Surroundings:
    """The scheduler as the tables need it."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    @property
    def now(self) -> float:
        return self._scheduler.now

    def point(self, what: str) -> None:
        self._scheduler.point(what)

    def wait(self, ready: Callable[[], bool], seconds: float) -> bool:
        self._scheduler.tell("waits for a lock")
        return self._scheduler.wait(ready, seconds)

    def lose(self) -> bool:
        lost = self._scheduler.chance(self._scheduler.trouble.lost_connections)
        if lost:
            self._scheduler.tell("loses its connection to the database")
        return lost
