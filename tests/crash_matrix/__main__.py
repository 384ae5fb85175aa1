"""`make crash-matrix`: kill whoever works at every operation of every path, and check what is left.

By make: `make crash-matrix`, `make crash-matrix ONLY="create accept"` for some paths, `make crash-matrix ONLY=create POINT=http:4` for one
point again (several with spaces), `LANES=1` to leave the machine to others. Returns 1 where anything is wrong.
"""

import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue

from chalicelib.db.migrations import upgrade
from infra.console import complain, say
from tests.crash_matrix.board import Instant
from tests.crash_matrix.history import Outcome
from tests.crash_matrix.lane import Lane, running
from tests.crash_matrix.paths import PATHS, SagaPath
from tests.crash_matrix.run import catalogue, crash_at
from tests.crash_matrix.table import reds, table
from tests.crash_matrix.walk import Wrong
from tests.support.servers import TEMPLATE, a_broker, a_given_kafka, a_postgres

POINTS_AT_ONCE = 12


def main() -> int:
    """Walk, print, and return the exit code."""
    only, points = os.environ.get("ONLY", "").split(), os.environ.get("POINT", "").split()
    paths = [path for path in PATHS if not only or path.name in only]
    if unknown := set(only) - {path.name for path in PATHS}:
        complain(f"make crash-matrix: ONLY knows {', '.join(path.name for path in PATHS)}, not {', '.join(sorted(unknown))}")
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="crash-matrix-") as folder, lanes(Path(folder)) as at_work:
        matrix = Matrix(at_work, points)
        try:
            matrix.walk(paths)
        except Wrong as error:
            complain(f"make crash-matrix: before anybody was killed: {error}")
        except KeyboardInterrupt:
            complain("interrupted: what follows is not complete")
    say("", *table(matrix.outcomes), "", *reds(matrix.outcomes))
    wrong = sum(bool(outcome.wrong) for outcome in matrix.outcomes)
    seconds = time.monotonic() - begun
    say(f"{len(matrix.outcomes)} of {matrix.number} points on {len(paths)} paths, {wrong} red, in {seconds:.0f} s")
    return 0 if matrix.is_green else 1


class Matrix:
    """Paths walked on several lanes at once."""

    def __init__(self, lanes: Sequence[Lane], points: Sequence[str]) -> None:
        """`points` are the names of those to walk (none: all)."""
        self._points = points
        self._at_once = len(lanes)
        self._free: SimpleQueue[Lane] = SimpleQueue()
        for lane in lanes:
            self._free.put(lane)
        self.outcomes: list[Outcome] = []
        self.number = 0
        """How many points there are, once all paths were recorded."""

    @property
    def is_green(self) -> bool:
        """Whether there are points, each was walked, and nothing is wrong at any of them."""
        return 0 < len(self.outcomes) == self.number and not any(outcome.wrong for outcome in self.outcomes)

    def walk(self, paths: Sequence[SagaPath]) -> None:
        """See each path's operations, then crash at each; raises Wrong where a path fails though nobody was killed."""
        with ThreadPoolExecutor(self._at_once) as pool:
            waiting: dict[Future[list[Outcome]], SagaPath] = {}
            seen = {pool.submit(self._catalogue, path): path for path in paths}
            try:
                for future, path in seen.items():
                    points = future.result()
                    for begin in range(0, len(points), POINTS_AT_ONCE):
                        waiting[pool.submit(self._crash_at, path, points[begin : begin + POINTS_AT_ONCE])] = path
                self.number = sum(len(future.result()) for future in seen)
                say(f"{len(seen)} paths with {self.number} points")
                self._collect(waiting)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _collect(self, waiting: dict[Future[list[Outcome]], SagaPath]) -> None:
        total, begun = len(waiting), time.monotonic()
        while waiting:
            for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                path, outcomes = waiting.pop(future), future.result()
                self.outcomes += outcomes
                wrong = [outcome for outcome in outcomes if outcome.wrong]
                share = f"{100 * (total - len(waiting)) / total:3.0f} % {time.monotonic() - begun:4.0f} s"
                say(f"{share}  {path.name}: {len(outcomes)} points" + (f", {len(wrong)} red" if wrong else ""), *reds(wrong))

    def _catalogue(self, path: SagaPath) -> list[Instant]:
        lane = self._free.get()
        try:
            found = catalogue(lane, path)
        finally:
            self._free.put(lane)
        return [instant for instant in found if not self._points or instant.name in self._points]

    def _crash_at(self, path: SagaPath, points: Sequence[Instant]) -> list[Outcome]:
        lane = self._free.get()
        try:
            return crash_at(lane, [(path, point) for point in points])
        finally:
            self._free.put(lane)


@contextmanager
def lanes(folder: Path) -> Iterator[list[Lane]]:
    """A lane for each processor on one PostgreSQL, each with a broker of its own; only one where a broker is given."""
    with ExitStack() as stack:
        postgres = stack.enter_context(a_postgres(folder))
        postgres.server.ensure_database(TEMPLATE)
        upgrade(postgres.server.url(TEMPLATE))
        postgres.make_template(TEMPLATE)
        given = stack.enter_context(a_given_kafka(folder))
        at_work = []
        for number in range(1 if given else int(os.environ.get("LANES") or os.cpu_count() or 1)):
            home = folder / f"lane-{number}"
            home.mkdir()
            broker = stack.enter_context(a_broker(home, given))
            at_work.append(stack.enter_context(running(home, postgres.create_database(TEMPLATE), broker)))
        yield at_work


if __name__ == "__main__":
    sys.exit(main())
