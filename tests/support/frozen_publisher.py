"""An execution environment with one publisher, in a process of its own, that can be frozen between two invocations as Lambda does."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

INVOCATION_SECONDS = 20.0


@dataclass
class Environment:
    """Its process runs this module. An invocation publishes what waits."""

    process: "subprocess.Popen[str]"

    def begin(self) -> None:
        """Begin an invocation and don't wait for it."""
        assert self.process.stdin
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def end(self) -> None:
        """Wait until the invocation has come to its end."""
        assert self.process.stdout
        ready, _, _ = select.select([self.process.stdout], [], [], INVOCATION_SECONDS)
        assert ready, "the invocation did not end"
        assert self.process.stdout.readline() == "done\n"

    def invoke(self) -> None:
        self.begin()
        self.end()

    def freeze(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)


@contextmanager
def environment(database_url: str, brokers: str, **patience: float) -> Iterator[Environment]:
    """The environment, as long as the block runs; `patience` is its producer's."""
    arguments = [database_url, brokers, *(f"{name}={value}" for name, value in patience.items())]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.frozen_publisher", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        started = Environment(process)
        try:
            started.end()
            yield started
        finally:
            process.kill()


def main(database_url: str, brokers: str, *patience: str) -> None:
    # Before the logger takes hold of it: what goes to standard output is for whoever invokes.
    answers, sys.stdout = sys.stdout, sys.stderr
    from chalicelib.db.connection import Database, make_engine
    from chalicelib.ids import new_id
    from chalicelib.messaging.producer import Patience, Producer
    from chalicelib.messaging.publisher import Publisher

    given = {name: json.loads(value) for name, value in (each.split("=") for each in patience)}
    publisher = Publisher(Database(make_engine(database_url, pool_size=1)), Producer(brokers, patience=Patience(**given)), new_id)
    answers.write("done\n")
    answers.flush()
    for _ in sys.stdin:
        publisher.relay()
        answers.write("done\n")
        answers.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
