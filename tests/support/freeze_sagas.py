"""Freeze rows of every saga at every place where it can rest, as today's code writes them: `python -m tests.support.freeze_sagas NAME …`.

Run it once for a version of a definition, in the release that brings it out, and never again: see tests/data/released_sagas/README.md.
It refuses to overwrite a file. Each file has, for each place, the order's row, its history, and the rows of all its sagas.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import UUID

from chalicelib.db.connection import make_engine
from chalicelib.db.migrations import upgrade
from chalicelib.ids import new_id_source
from chalicelib.operations import operate
from chalicelib.operations.call import Call
from chalicelib.operations.sweep import OverdueCommands
from chalicelib.sagas.definition import Definition
from chalicelib.sagas.engine import UnitOfWork
from chalicelib.sagas.registry import DEFINITIONS
from chalicelib.sagas.state import Saga
from infra.console import complain
from infra.documents.saga_map import REFUSED, TIMED_OUT
from tests.support.database import World
from tests.support.examples import POLICY, RULES
from tests.support.interleaving import ADMIN, CONTEXT, Move, Sweep, accept, acceptance_timeout, cancel, complete, created, give_back
from tests.support.saga_language import UNWILLING
from tests.support.scene import Scene, Stage
from tests.support.servers import running_postgres

FOLDER = Path(__file__).parents[1] / "data" / "released_sagas"


@dataclass
class Run:
    """A saga on its way to the place where it is frozen."""

    scene: Scene
    saga_id: UUID

    @property
    def saga(self) -> Any:
        return next(saga for saga in self.scene.sagas() if saga["saga_id"] == self.saga_id)

    @property
    def awaited(self) -> int:
        """Where among all that was sent the awaited command is."""
        return next(place for place, sent in enumerate(self.scene.sent) if sent.id == self.saga["awaited_id"])


Act = Callable[[Run], None]


def done(run: Run) -> None:
    """The partner does what is asked."""
    record = run.scene.work(run.awaited)
    assert record
    run.scene.take(record)


def refused(run: Run) -> None:
    asked = run.scene.sent[run.awaited].type
    assert asked in UNWILLING
    run.scene.unwilling[asked] += 1
    done(run)


def times_out(run: Run) -> None:
    run.scene.make_due()
    sweep = Sweep(OverdueCommands())
    sweep.read(run.scene)
    sweep.act(run.scene)


def no_reply(run: Run) -> None:
    """Nobody answers any copy."""
    for _ in range(POLICY.attempts):
        times_out(run)


def cancelled(run: Run) -> None:
    """The customer calls the order off."""
    cancel(reason="changed my mind")(run.scene)


def compensated(run: Run) -> None:
    """An operator has the saga compensated."""
    run.scene.do(lambda session, rules, _: operate.compensate(session, Call(rules, ADMIN, CONTEXT, new_id_source()), run.saga_id))


def retried(run: Run) -> None:
    run.scene.do(lambda session, rules, _: operate.retry(session, Call(rules, ADMIN, CONTEXT, new_id_source()), run.saga_id))


def unpayable(run: Run) -> None:
    """The payout is refused as often as it may be tried."""
    for number in range(POLICY.attempts):
        if number:
            times_out(run)
        refused(run)


def by_the_clock(scene: Scene) -> UUID | None:
    """Nobody accepts the order in time."""
    return [move(scene) for move in acceptance_timeout()][-1]


@dataclass(frozen=True)
class Recipe:
    """From which status a saga starts, how, and by which acts it comes to each place; words after a comma tell variants apart."""

    status: str
    start: Move
    places: dict[str, Sequence[Act]]


def suspended_at(place: str) -> str:
    return f"{TIMED_OUT} at {place}"


RECIPES: dict[str, tuple[Recipe, ...]] = {
    "create_order": (
        Recipe(
            "NEW",
            created,
            {
                "validate_customer": (),
                "authorize_payment": (done,),
                "hold_escrow": (done, done),
                "hold_escrow, third copy": (done, done, times_out, times_out),
                "undo_hold_escrow": (done, done, no_reply),
                "undo_hold_escrow, cancelled": (done, done, cancelled),
                "undo_authorize_payment": (done, done, refused),
                "undo_authorize_payment, maybe done": (done, no_reply),
                "undo_authorize_payment, hold undone": (done, done, cancelled, done),
                suspended_at("undo_hold_escrow"): (done, done, cancelled, no_reply),
                suspended_at("undo_authorize_payment"): (done, no_reply, no_reply),
            },
        ),
    ),
    "accept_order": (
        Recipe(
            "READY_FOR_PICKUP",
            accept(),
            {
                "validate_runner": (),
                "assign_escrow": (done,),
                "undo_assign_escrow": (done, no_reply),
                "undo_assign_escrow, by an operator": (done, compensated),
                suspended_at("undo_assign_escrow"): (done, no_reply, no_reply),
            },
        ),
    ),
    "complete_order": (
        Recipe(
            "DELIVERED",
            complete(),
            {
                "validate_runner": (),
                "capture_payment": (done,),
                suspended_at("capture_payment"): (done, no_reply),
                "release_escrow": (done, done),
                "release_escrow, refused and waiting": (done, done, refused),
                "release_escrow, second try": (done, done, refused, times_out),
                suspended_at("release_escrow"): (done, done, no_reply),
                REFUSED: (done, done, unpayable),
                "validate_runner_again": (done, done, unpayable, retried),
                suspended_at("validate_runner_again"): (done, done, unpayable, retried, no_reply),
                f"{REFUSED}, runner rejected": (done, done, unpayable, retried, refused),
                "undo_release_escrow": (done, done, unpayable, compensated),
                suspended_at("undo_release_escrow"): (done, done, unpayable, compensated, no_reply),
                "undo_capture_payment": (done, done, unpayable, compensated, done),
                suspended_at("undo_capture_payment"): (done, done, unpayable, compensated, done, no_reply),
            },
        ),
    ),
    "cancel_acceptance": (
        Recipe(
            "ACCEPTED",
            give_back(),
            {"unassign_runner": (), suspended_at("unassign_runner"): (no_reply,)},
        ),
    ),
    "cancel_order": (
        Recipe(
            "ACCEPTED",
            cancel(reason="too slow"),
            {
                "unassign_runner": (),
                suspended_at("unassign_runner"): (no_reply,),
                "refund_escrow": (done,),
                suspended_at("refund_escrow"): (done, no_reply),
                "release_payment": (done, done),
                suspended_at("release_payment"): (done, done, no_reply),
            },
        ),
        Recipe(
            "READY_FOR_PICKUP",
            by_the_clock,
            {
                "refund_escrow, timed out": (),
                "release_payment, timed out": (done,),
            },
        ),
    ),
}


def newest(name: str) -> Definition:
    """The latest version of a saga, which may not be the one that is started."""
    return max((each for each in DEFINITIONS.values() if each.name == name), key=lambda each: each.version)


def freeze(world: World, definition: Definition) -> list[dict[str, Any]]:
    """Bring an order to each place of this version, and return the rows."""
    name, start = definition.name, UnitOfWork.start

    def started(work: UnitOfWork, other: Definition, *given: Any) -> Saga:
        return start(work, definition if other.name == name else other, *given)

    with closing(Stage(world)) as stage, patch.object(UnitOfWork, "start", started):
        return [_rows(world, place, _brought(stage, recipe, acts)) for recipe in RECIPES[name] for place, acts in recipe.places.items()]


def _brought(stage: Stage, recipe: Recipe, acts: Sequence[Act]) -> Run:
    scene = stage.scene(recipe.status, pool=1)
    scene.publish()
    saga_id = recipe.start(scene)
    assert saga_id
    run = Run(scene, saga_id)
    for act in acts:
        act(run)
    return run


def _rows(world: World, place: str, run: Run) -> dict[str, Any]:
    def of(table: str, order: str) -> list[Any]:
        statement = f"SELECT CAST(to_jsonb(t) AS text) AS row FROM campusg.{table} t WHERE order_id = :id ORDER BY {order}"
        return [json.loads(each["row"], parse_float=str) for each in world.rows(statement, id=run.scene.order_id)]

    [order] = of("orders", "order_id")
    return {"place": place, "order": order, "sagas": of("sagas", "started_at"), "order_history": of("order_history", "version")}


def main() -> int:
    files = {FOLDER / f"{each.name}-{each.version}.json": each for each in map(newest, sys.argv[1:])}
    for file in files:
        if file.exists():
            complain(f"{file.name} is frozen")
            return 1
    with tempfile.TemporaryDirectory() as folder, running_postgres(Path(folder)) as server:
        server.server.ensure_database("frozen")
        upgrade(server.server.url("frozen"))
        engine = make_engine(server.server.url("frozen"), pool_size=2)
        world = World(engine, RULES)
        for file, definition in files.items():
            lines = ",\n".join(json.dumps(each, ensure_ascii=False) for each in freeze(world, definition))
            file.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
        engine.dispose()
    return 0


if __name__ == "__main__":
    sys.exit(main())
