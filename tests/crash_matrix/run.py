"""Walking paths: once to see their operations, then once for each instant, at which the process that is there is killed."""

import time
from collections.abc import Sequence
from uuid import uuid4

from tests.crash_matrix import history
from tests.crash_matrix.board import Instant
from tests.crash_matrix.history import Outcome
from tests.crash_matrix.lane import Lane
from tests.crash_matrix.paths import SagaPath
from tests.crash_matrix.walk import Walk, Wrong

# A process that was to be killed may not come to the instant where other work of the machine changed who came first.
TRIES = 3


def catalogue(lane: Lane, path: SagaPath) -> list[Instant]:
    """All instants of a path, recorded by walking it; raises Wrong where it leads elsewhere than it should."""
    [walk] = _prepared(lane, [path])
    outcome = _walk(path, None, walk)
    instants = lane.board.instants()
    history.judge(lane, [outcome])
    if outcome.wrong:
        raise Wrong(f"{path.name}: {'; '.join(outcome.wrong)}")
    return instants


def crash_at(lane: Lane, points: Sequence[tuple[SagaPath, Instant]]) -> list[Outcome]:
    """Walk each path with somebody killed at its point, each with an order of its own; all are checked together at the end."""
    outcomes: dict[int, Outcome] = {}
    waiting = list(range(len(points)))
    for _ in range(TRIES):
        for number, walk in zip(waiting, _prepared(lane, [points[each][0] for each in waiting]), strict=True):
            outcomes[number] = _walk(*points[number], walk)
        history.judge(lane, [outcomes[each] for each in waiting])
        waiting = [each for each in waiting if not outcomes[each].reached and not outcomes[each].wrong]
        if not waiting:
            break
    for each in waiting:
        outcomes[each].wrong.append("nobody came to this instant")
    return list(outcomes.values())


def _prepared(lane: Lane, paths: Sequence[SagaPath]) -> list[Walk]:
    """An order for each of the paths, where that begins; all go through the acts before it together."""
    lane.begin_anew()
    walks = [Walk(lane, f"{path.customer}{uuid4().hex[:12]}") for path in paths]
    lane.supervise()
    for number in range(max(len(path.before) for path in paths)):
        for path, walk in zip(paths, walks, strict=True):
            if number < len(path.before):
                path.before[number](walk)
        walks[0].settle()
    return walks


def _walk(path: SagaPath, point: Instant | None, walk: Walk) -> Outcome:
    """Walk the path, kill who comes to the point, and let all come to rest."""
    outcome, board, begun = Outcome(path, point, walk), walk.lane.board, time.monotonic()
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
    outcome.seconds = time.monotonic() - begun
    return outcome
