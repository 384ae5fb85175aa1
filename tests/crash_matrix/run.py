"""Walking paths: once to see their operations, then once for each instant, at which the process that is there is killed."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from tests.crash_matrix import history
from tests.crash_matrix.board import Instant
from tests.crash_matrix.lane import Lane
from tests.crash_matrix.paths import SagaPath
from tests.crash_matrix.walk import Walk, Wrong

# A process that was to be killed may not come to the instant where other work of the machine changed who came first.
TRIES = 3


@dataclass
class Outcome:
    """What became of a walk: nothing wrong, or what was. `point` is where somebody was to be killed (None: nobody)."""

    path: str
    point: Instant | None
    walk: Walk
    wrong: list[str] = field(default_factory=list)
    reached: bool = True
    seconds: float = 0.0


class NotTaken(AssertionError):
    """A path does not end as it should though nobody was killed."""


def catalogue(lane: Lane, path: SagaPath) -> list[Instant]:
    """All instants of a path, recorded by walking it; raises NotTaken where it leads elsewhere than it should."""
    [walk] = _prepared(lane, [path])
    outcome = _walk(path, walk, None)
    instants = lane.board.instants()
    _check(lane, path, [outcome])
    if outcome.wrong:
        raise NotTaken(f"{path.name}: {'; '.join(outcome.wrong)}")
    return instants


def crash_at(lane: Lane, path: SagaPath, points: Sequence[Instant]) -> list[Outcome]:
    """Walk the path once for each of its points, each with an order of its own, and check all at the end."""
    outcomes: dict[Instant, Outcome] = {}
    waiting = list(points)
    for _ in range(TRIES):
        for point, walk in zip(waiting, _prepared(lane, [path] * len(waiting)), strict=True):
            outcomes[point] = _walk(path, walk, point)
        _check(lane, path, [outcomes[point] for point in waiting])
        waiting = [point for point in waiting if not outcomes[point].reached and not outcomes[point].wrong]
        if not waiting:
            break
    for point in waiting:
        outcomes[point].wrong.append("nobody came to this instant")
    return list(outcomes.values())


def sample(lane: Lane, points: Sequence[tuple[SagaPath, Instant]]) -> list[Outcome]:
    """Crash once on each of these paths; their orders are brought to where they begin together."""
    outcomes = []
    for (path, point), walk in zip(points, _prepared(lane, [path for path, _ in points]), strict=True):
        outcome = _walk(path, walk, point)
        if not outcome.reached and not outcome.wrong:
            [outcome] = crash_at(lane, path, [point])
        else:
            _check(lane, path, [outcome])
        outcomes.append(outcome)
    return outcomes


def _prepared(lane: Lane, paths: Sequence[SagaPath]) -> list[Walk]:
    """An order for each of the paths, where that begins; all go through the acts before it together."""
    walks = [Walk(lane, f"{path.customer}{uuid4().hex[:12]}") for path in paths]
    lane.supervise()
    for number in range(max(len(path.before) for path in paths)):
        for path, walk in zip(paths, walks, strict=True):
            if number < len(path.before):
                path.before[number](walk)
        walks[0].settle()
    return walks


def _walk(path: SagaPath, walk: Walk, point: Instant | None) -> Outcome:
    """Walk the path, kill who comes to the point, and let all come to rest."""
    outcome, board, begun = Outcome(path.name, point, walk), walk.lane.board, time.monotonic()
    walk.lane.renew_functions()
    board.begin(point)
    try:
        path.acts(walk)
        walk.settle()
        outcome.reached = point is None or board.killed
        board.end()
        walk.rest()
    except Wrong as wrong:
        outcome.wrong.append(str(wrong))
    finally:
        board.end()
    outcome.wrong += [f"order-events tells of order {order_id}, which is not there" for order_id in history.strangers(walk.lane)]
    outcome.seconds = time.monotonic() - begun
    return outcome


def _check(lane: Lane, path: SagaPath, outcomes: Sequence[Outcome]) -> None:
    found = history.problems(lane, path, [outcome.walk for outcome in outcomes])
    for outcome in outcomes:
        outcome.wrong += found.get(outcome.walk.order_id, [])
