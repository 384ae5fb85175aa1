"""A run from its seed to its verdict, and the search for a smaller one that fails as well."""

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields, replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from uuid import UUID

from chalicelib.entrypoints import kafka
from chalicelib.messages.topics import TRIGGERS
from chalicelib.messaging import publisher
from chalicelib.operations import take_replies
from chalicelib.orders.order import Order, OrderStatus, PaymentStatus
from infra.partners.accounts import Account
from tests.explorer.faults import Planted
from tests.explorer.partners import Answer, Partners
from tests.explorer.rules import broken_in
from tests.explorer.service import PARTNERS, Service
from tests.simulation.ports import in_memory
from tests.simulation.tables import Session
from tests.simulation.world import Bug, Settings, World

SECONDS_OF_TROUBLE, MOST_SECONDS_OF_CALM = 90.0, 1_800.0


@dataclass(frozen=True)
class Outcome:
    """What was wrong, if anything was, and how the run went. `points` are those at which anybody might have moved or been killed."""

    settings: Settings
    wrong: str | None
    trace: Sequence[str]
    orders: int
    points: int
    killed: int


def simulate(settings: Settings, planted: Iterable[Planted] = ()) -> Outcome:
    """Run until something is wrong, or until all is at rest and right; with `planted` in the place of what is right."""
    with in_memory(), ExitStack() as stack:
        for where, name, wrongly in planted:
            stack.enter_context(patch.object(where, name, wrongly))
        world = World(settings)
        with _in(world):
            wrong = _wrong(world)
    scheduler = world.scheduler
    return Outcome(settings, wrong, scheduler.trace, len(world.tables.rows["orders"]), scheduler.points, world.killed)


def _wrong(world: World) -> str | None:
    scheduler = world.scheduler
    world.tables.committed = lambda session: _look_at(world, session)
    world.begin()
    scheduler.run(lambda: bool(_noticed(world)), SECONDS_OF_TROUBLE)
    world.calm()
    if not scheduler.run(lambda: bool(_noticed(world)) or _at_rest(world), MOST_SECONDS_OF_CALM):
        return f"not at rest after {MOST_SECONDS_OF_CALM / 60:.0f} minutes of calm: {_unfinished(world)}"
    return next(iter([*_noticed(world), *_wrong_at_rest(world)]), None)


def _noticed(world: World) -> list[str]:
    return world.wrongs + world.broker.wrongs + world.scheduler.failures


def _look_at(world: World, session: Session) -> None:
    """Whatever the transaction touched must be as it may be in any state."""
    touched = {*session.writes["orders"], *(saga.order_id for saga in session.writes["sagas"].values())}
    for order_id in touched:
        world.wrongs += [f"of order {str(order_id)[-4:]}: {wrong}" for wrong in _broken(world, order_id)]


def _broken(world: World, order_id: UUID) -> Iterator[str]:
    rows = world.tables.rows
    sagas = tuple(saga for _, saga in sorted(rows["sagas"].items()) if saga.order_id == order_id)
    answers = {id: Answer(id, order_id, reply) for id, reply in world.books.answers.items() if reply}
    partners = Partners(world.books.accounts.get(str(order_id), Account(str(order_id))), answers)
    yield from broken_in(Service(rows["orders"][order_id], sagas, (), ()), partners)


# Rest


def _at_rest(world: World) -> bool:
    return not _unfinished(world)


def _unfinished(world: World) -> str | None:
    """What still has to happen."""
    rows = world.tables.rows
    if len(rows["orders"]) < world.settings.orders:
        return "not all orders are placed"
    if rows["outbox"]:
        return f"{len(rows['outbox'])} messages wait in the outbox"
    if any(not world.broker.taken(trigger.consumer_group, trigger.topic) for trigger in TRIGGERS):
        return "replies wait to be taken"
    if any(not world.broker.taken("partner", topic) for topic in PARTNERS):
        return "commands wait to be worked"
    going = [saga for saga in rows["sagas"].values() if not saga.ended]
    if going:
        return f"{going[0].name} of {str(going[0].order_id)[-4:]} is {going[0].status} at {going[0].current_step}"
    if any(_goes_on(world, order) for order in rows["orders"].values()):
        return "an order's time is not over"
    waiting = [letter for letter, _ in rows["letters"].values() if letter.redriven_at is None and letter.error_class == Bug.__name__]
    return "dead letters wait" if waiting and not world.redriven_in_vain.issuperset(letter.dead_letter_id for letter in waiting) else None


def _goes_on(world: World, order: Order) -> bool:
    open_still = order.order_status is OrderStatus.READY_FOR_PICKUP
    to_be_paid = order.order_status is OrderStatus.DELIVERED and order.payment_status is PaymentStatus.AUTHORIZED
    return open_still or (to_be_paid and str(order.order_id) not in world.books.expired)


def _wrong_at_rest(world: World) -> Iterator[str]:
    rows = world.tables.rows
    for order_id in world.placed:
        if order_id not in rows["orders"]:
            yield f"order {str(order_id)[-4:]} was placed and is gone"
    for order_id, order in rows["orders"].items():
        name = f"of order {str(order_id)[-4:]}"
        yield from (f"{name}: {wrong}" for wrong in _broken(world, order_id))
        history = sorted(version for id, version in rows["history"] if id == str(order_id))
        if history != list(range(1, order.version + 1)):
            yield f"{name} the history has {history}, the version is {order.version}"
        if world.broker.versions.get(str(order_id).encode(), 0) != order.version:
            yield f"{name} the last event is {world.broker.versions.get(str(order_id).encode(), 0)}, the version {order.version}"
        unheard = str(order_id) in world.books.expired and not order.authorization_expired
        if unheard and order.payment_status is PaymentStatus.AUTHORIZED:
            yield f"{name} the bank said that the authorization expired, and nobody heard"
    for letter, _ in rows["letters"].values():
        if letter.error_class not in ("AuthorizationExpired", Bug.__name__):
            yield f"a dead letter of {str(letter.order_id)[-4:]}: {letter.explanation}"


# What the real code meets instead of the world


@contextmanager
def _in(world: World) -> Iterator[None]:
    scheduler, judge = world.scheduler, vars(take_replies)["judge"]
    clock = SimpleNamespace(monotonic=lambda: scheduler.now, sleep=scheduler.pause)

    def judged(definition: Any, saga: Any, order: Any, reply: Any, causation_id: str) -> Any:
        if world.fails(causation_id):
            raise Bug(f"a release with a fault meets {reply.TYPE}")
        return judge(definition, saga, order, reply, causation_id)

    with ExitStack() as stack:
        for where, name, instead in (
            (kafka, "runtime", lambda: world.process),
            (kafka, "new_id", world.new_id),
            (kafka, "new_id_source", world.new_ids),
            (kafka, "time", clock),
            (publisher, "time", clock),
            (take_replies, "judge", judged),
        ):
            stack.enter_context(patch.object(where, name, instead))
        stack.enter_context(patch.dict(os.environ, {"POWERTOOLS_METRICS_DISABLED": "true"}))
        logging.disable(logging.CRITICAL)
        stack.callback(logging.disable, logging.NOTSET)
        yield


# Smaller


def shrink(outcome: Outcome, planted: Iterable[Planted] = (), tries: int = 12) -> Outcome:
    """A run with fewer orders and less trouble that is wrong, too: found by leaving things out and trying a few seeds each time.

    Hypothesis shrinks what it has drawn; here one draw decides over all later ones, so leaving one out makes another run altogether.
    """
    smallest = outcome
    for orders in range(1, outcome.settings.orders):
        found = _first_wrong(replace(smallest.settings, orders=orders), planted, tries)
        if found:
            smallest = found
            break
    for each in fields(smallest.settings.trouble):
        trouble = replace(smallest.settings.trouble, **{each.name: 0.0})
        if trouble != smallest.settings.trouble:
            smallest = _first_wrong(replace(smallest.settings, trouble=trouble), planted, tries) or smallest
    return smallest


def _first_wrong(settings: Settings, planted: Iterable[Planted], tries: int) -> Outcome | None:
    outcomes = (simulate(replace(settings, seed=settings.seed + number), planted) for number in range(tries))
    return next((outcome for outcome in outcomes if outcome.wrong), None)
