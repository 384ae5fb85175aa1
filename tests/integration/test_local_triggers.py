"""The process of the triggers: functions that hang are killed at their timeouts, and hold up no others."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.support.esm import Topic
from tests.support.eventually import eventually
from tests.support.stack import is_running

ROOT = Path(__file__).resolve().parents[2]
APP = """
import os, time
from pathlib import Path

notes = Path(os.environ["NOTES"])

def note(what):
    with notes.open("a") as file:
        file.write(f"{what}\\n")

def on_events(event, context):
    was_there = "batch" in notes.read_text().split() if notes.exists() else False
    note("batch")
    if not was_there:
        time.sleep(60)
    note("taken")
    return {"batchItemFailures": []}

def hanging(event, context):
    note("hanging")
    time.sleep(60)

def ticking(event, context):
    note("ticking")
"""
RUN = """
import sys
from chalicelib.messages.topics import Schedule, Trigger
from infra.stack import triggers
triggers.TRIGGERS = (Trigger(sys.argv[1], "on_events", timeout_seconds=2),)
triggers.SCHEDULES = (Schedule("hanging", timeout_seconds=1), Schedule("ticking", timeout_seconds=1))
triggers.main()
"""


class Triggers:
    """The process with functions of its own; what they note down, in its order."""

    def __init__(self, process: "subprocess.Popen[bytes]", notes: Path) -> None:
        self.process = process
        self._notes = notes

    def noted(self) -> list[str]:
        return self._notes.read_text().split() if self._notes.exists() else []

    def tree(self) -> list[int]:
        """The pids of the process and its descendants: one that forks, and one a function."""
        return [self.process.pid, *(child.pid for child in psutil.Process(self.process.pid).children(recursive=True))]


@contextmanager
def at_work(folder: Path, topic: Topic) -> Iterator[Triggers]:
    """The triggers while the block runs."""
    (folder / "app.py").write_text(textwrap.dedent(APP))
    variables = {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT), str(ROOT / "orders_app")]), "NOTES": str(folder / "notes")}
    with subprocess.Popen(
        [sys.executable, "-c", RUN, topic.name], env={**os.environ, **variables, "KAFKA_BROKERS": topic.bootstrap, "SWEEP_SECONDS": "0.1"}
    ) as process:
        try:
            yield Triggers(process, folder / "notes")
        finally:
            process.kill()


def test_a_function_that_hangs_is_killed_at_its_timeout_and_holds_up_no_other(tmp_path: Path, topic: Topic) -> None:
    topic.write(b"v")
    with at_work(tmp_path, topic) as triggers:
        eventually(lambda: "taken" in triggers.noted(), what="the record to be delivered again")
        eventually(lambda: triggers.noted().count("hanging") >= 2, what="the schedule to be called again")
        assert triggers.noted().count("batch") == 2

        def is_ahead() -> bool:
            noted = triggers.noted()
            return noted.count("ticking") > 2 * noted.count("hanging")

        eventually(is_ahead, what="the other schedule to be called more often")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_the_triggers_ends_all_their_functions(tmp_path: Path, topic: Topic, number: signal.Signals) -> None:
    with at_work(tmp_path, topic) as triggers:
        eventually(lambda: {"hanging", "ticking"} <= set(triggers.noted()))
        pids = triggers.tree()
        assert len(pids) == 5

        triggers.process.send_signal(number)

        assert triggers.process.wait(10) == (0 if number is signal.SIGTERM else -number)
        eventually(lambda: not any(is_running(pid) for pid in pids), what="the end of the functions")


def test_the_triggers_end_when_the_process_that_forks_their_functions_does(tmp_path: Path, topic: Topic) -> None:
    with at_work(tmp_path, topic) as triggers:
        eventually(lambda: "ticking" in triggers.noted())

        psutil.Process(triggers.process.pid).children()[0].kill()

        assert triggers.process.wait(10) == 1
