"""Processes that measure inside themselves: a function of a module here is called in one of them, as often as asked.

Run as `python -m tests.benchmarks.workers MODULE`: reads a line of JSON a call from its input, writes one for its result.
"""

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.stack import ROOT

END_PATIENCE_SECONDS = 10


class WorkerError(RuntimeError):
    """A worker has ended instead of answering; the message is what it said last."""


class Worker:
    """A process with a module of its own; it ends with the block of `worker`."""

    def __init__(self, process: "subprocess.Popen[str]", log: Path) -> None:
        self._process, self._log = process, log

    def call(self, function: str, **arguments: Any) -> Any:
        """Call a function of the module there; arguments and result are what JSON can say. Raises WorkerError."""
        assert self._process.stdin
        assert self._process.stdout
        try:
            self._process.stdin.write(json.dumps([function, arguments]) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise WorkerError("\n".join(self._log.read_text().splitlines()[-15:]))
        return json.loads(answer)


@contextmanager
def worker(module: str, log: Path, variables: Mapping[str, str]) -> Iterator[Worker]:
    """A process with `tests.benchmarks.MODULE` while the block runs; what it prints goes to `log`."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.workers", module],
            cwd=ROOT,
            env={**os.environ, **variables, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "orders_app")))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
            # The terminal's Ctrl-C is for the benchmark alone, which ends its workers.
            start_new_session=True,
        )
    try:
        yield Worker(process, log)
    finally:
        process.kill() if sys.exc_info()[0] else process.communicate(timeout=END_PATIENCE_SECONDS)
        process.wait(END_PATIENCE_SECONDS)


def main() -> None:
    """Answer until the input ends, which it also does when the benchmark was killed."""
    answers = os.fdopen(os.dup(1), "w")
    # Whatever else is printed, log lines above all, is not an answer.
    os.dup2(2, 1)
    module = importlib.import_module(f"tests.benchmarks.{sys.argv[1]}")
    for line in sys.stdin:
        function, arguments = json.loads(line)
        answers.write(json.dumps(getattr(module, function)(**arguments)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
