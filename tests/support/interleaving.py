"""Every order in which the transactions of two or more sides can follow each other, on one order each, with scripted partners.

    def race() -> Race:
        return Race(stage.scene("READY_FOR_PICKUP"), [Side("accept", accept("runner_1")), Side("cancel", cancel())])

    for race in every_interleaving(race):
        race.scene.settle()

A side is a request (or other transactions of its own), then one transaction for each reply to the saga it started. Between two
transactions all that waits in the outbox is published, and nothing else happens.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from uuid import UUID

from chalicelib.db.pages import first_page
from chalicelib.errors import Refusal
from chalicelib.ids import new_id_source
from chalicelib.messages.envelope import MessageContext
from chalicelib.operations import sweep as sweeps
from chalicelib.operations.accept import accept_order
from chalicelib.operations.call import Call
from chalicelib.operations.cancel import cancel_order
from chalicelib.operations.complete import complete_order
from chalicelib.operations.give_back import cancel_acceptance
from chalicelib.operations.move_status import move_status
from chalicelib.orders.access import Viewer
from chalicelib.orders.order import OrderStatus
from chalicelib.sagas.outcomes import IdSource
from tests.support.kafka_records import Sent
from tests.support.scene import RUNNER, Scene

CONTEXT = MessageContext("corr-race")
CUSTOMER = Viewer("cust_1", frozenset({"customer"}))
ADMIN = Viewer("adm_1", frozenset({"admin"}))

# A transaction of a side; it returns the id of the saga that it started, if it started one.
Move = Callable[[Scene], UUID | None]


def runner(sub: str = RUNNER) -> Viewer:
    return Viewer(sub, frozenset({"runner"}))


def accept(runner_id: str = RUNNER) -> Move:
    """The runner asks for the order."""
    return _asks(
        lambda session, rules, order_id, ids: accept_order(session, Call(rules, runner(runner_id), CONTEXT, ids), order_id, runner_id)
    )


def cancel(viewer: Viewer = CUSTOMER, reason: str | None = None) -> Move:
    """Somebody calls the order off."""
    return _asks(lambda session, rules, order_id, ids: cancel_order(session, Call(rules, viewer, CONTEXT, ids), order_id, reason))


def complete(viewer: Viewer = CUSTOMER) -> Move:
    return _asks(lambda session, rules, order_id, ids: complete_order(session, Call(rules, viewer, CONTEXT, ids), order_id))


def give_back(viewer: Viewer | None = None) -> Move:
    return _asks(lambda session, rules, order_id, ids: cancel_acceptance(session, Call(rules, viewer or runner(), CONTEXT, ids), order_id))


def patch(to: OrderStatus, viewer: Viewer | None = None) -> Move:
    """The runner moves the order on by hand."""

    def move(scene: Scene) -> None:
        scene.do(
            lambda session, rules, order_id: move_status(session, Call(rules, viewer or runner(), CONTEXT, new_id_source()), order_id, to)
        )

    return move


def expire(scene: Scene) -> None:
    """The bank says that it no longer keeps the money, if it ever did."""
    record = scene.partners.expire(scene.order_id)
    scene.take(record)


def created(scene: Scene) -> UUID:
    """The order was placed before the race: this side brings the replies to its creation."""
    scene.publish()
    return scene.saga_id


def is_late(scene: Scene) -> None:
    """The time to accept passes."""
    scene.make_unaccepted()


class Sweep:
    """The clock's function in its two transactions: what is due is read by one, and acted upon by the next."""

    def __init__(self, job: sweeps.Job) -> None:
        self._job = job
        self._due: Sequence[Any] = ()

    def read(self, scene: Scene) -> None:
        with scene.world.engine.begin() as session:
            due = self._job.read(session, scene.world.rules, first_page(session, sweeps.MOST_AT_ONCE))
        self._due = [each for each in due if self._mine(scene, each)]

    def hit(self, scene: Scene) -> list[tuple[Any, IdSource]]:
        """The second transaction alone: it looks at nothing before or after."""
        items = [(each, new_id_source()) for each in self._due]
        if items:
            scene.do(lambda session, rules, _order_id: self._job.do(session, rules, items))
        return items

    def act(self, scene: Scene) -> UUID | None:
        items = self.hit(scene)
        started = {saga["saga_id"] for saga in scene.sagas()} & {ids.saga_id for _, ids in items}
        return next(iter(started), None)

    @property
    def moves(self) -> tuple[Move, Move]:
        return self.read, self.act

    def _mine(self, scene: Scene, due: Any) -> bool:
        """Other runs have left orders behind in the same tables."""
        saga_ids = [saga["saga_id"] for saga in scene.sagas()]
        return getattr(due, "order_id", None) == scene.order_id or getattr(due, "saga_id", None) in saga_ids


def acceptance_timeout() -> Sequence[Move]:
    """Time passes, and the sweep finds the order due, and acts."""
    return (is_late, *Sweep(sweeps.UnacceptedOrders()).moves)


def time_out() -> Sequence[Move]:
    """The pending command is due, and the sweep finds it so, and acts."""
    return (lambda scene: scene.make_due(), *Sweep(sweeps.OverdueCommands()).moves)


def times_out(scene: Scene) -> None:
    """The pending command has been waited for long enough, once."""
    for move in time_out():
        move(scene)


def falls_silent(scene: Scene) -> None:
    """No copy of the pending command is answered; what the partners may have done of it, they will do later."""
    before = scene.pending_id
    while scene.pending_id == before and scene.order["active_saga_id"] and scene.holder["status"] != "FAILED":
        times_out(scene)


def _asks(operation: Callable[..., Any]) -> Move:
    def move(scene: Scene) -> UUID | None:
        ids = new_id_source()
        asked = scene.do(lambda session, rules, order_id: operation(session, rules, order_id, ids))
        return asked.saga.saga_id if asked.saga.saga_id == ids.saga_id else None

    return move


@dataclass
class Side:
    """One side of a race: its own transactions, then a transaction for each reply to the saga it started (not one it joined)."""

    name: str
    moves: Sequence[Move]
    refused: Refusal | None = None
    saga_id: UUID | None = None
    _made: int = 0

    def ready(self, scene: Scene) -> bool:
        """Whether it has anything left to do now."""
        return self._made < len(self.moves) or bool(self.saga_id and scene.unworked(self.saga_id))

    def step(self, scene: Scene) -> None:
        """Make one transaction."""
        if self._made == len(self.moves):
            scene.answer_next(self.saga_id)
            return
        self._made += 1
        try:
            self.saga_id = self.moves[self._made - 1](scene) or self.saga_id
        except Refusal as refusal:
            self.refused = refusal
            self._made = len(self.moves)


@dataclass
class Race:
    """One run: the sides, and `path`, who moved when."""

    scene: Scene
    sides: list[Side]
    path: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return " ".join(self.path)

    def side(self, name: str) -> Side:
        return next(side for side in self.sides if side.name == name)

    @property
    def winners(self) -> list[str]:
        """The sides that were not refused."""
        return [side.name for side in self.sides if side.refused is None]


def every_interleaving(begin: Callable[[], Race]) -> Iterator[Race]:
    """Run every order of the sides' transactions to its end, each on a race of its own; depth first."""
    unexplored: list[list[str]] = [[]]
    while unexplored:
        prefix = unexplored.pop()
        race = begin()
        while ready := [side for side in race.sides if side.ready(race.scene)]:
            number = len(race.path)
            name = prefix[number] if number < len(prefix) else ready[0].name
            if number >= len(prefix):
                unexplored += [[*race.path, other.name] for other in ready[1:]]
            race.side(name).step(race.scene)
            race.path.append(name)
        yield race


def check_books(race: Race) -> None:
    """`check_at_rest` for a race whose scene has settled."""
    check_at_rest(race.scene, str(race))


def check_at_rest(scene: Scene, path: str = "") -> None:
    """What must hold of any order at rest, whatever happened; then all replies come once more, and nothing may change."""
    order, sagas = scene.order, scene.sagas()
    assert order["active_saga_id"] is None, path
    assert [saga["name"] for saga in sagas if saga["ended_at"] is None] == [], path
    assert scene.partners.disagreements(order) == [], path
    history = scene.history()
    versions = list(range(1, order["version"] + 1))
    assert [entry["version"] for entry in history] == versions, path
    events = [message for message in scene.sent if message.topic == "order-events"]
    assert [int(event.header("ce_sequence")) for event in events] == versions, path
    _check_chain(events, order, path)
    assert scene.dead_letters() == [], path
    # Whatever comes late or twice settles nothing any more.
    before = scene.state()
    scene.take(*(record.again() for record in scene.replies))
    assert scene.state() == before, path


def _check_chain(events: Sequence[Sent], order: Mapping[str, Any], path: str) -> None:
    """Each event starts where the one before ended, and the last is the order."""
    data = [event.data for event in events]
    for earlier, later in pairwise(data):
        assert (later["from"], later["paymentFrom"]) == (earlier["to"], earlier["paymentTo"]), path
    assert (data[-1]["to"], data[-1]["paymentTo"]) == (order["order_status"], order["payment_status"]), path
