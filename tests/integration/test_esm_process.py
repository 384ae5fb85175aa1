"""The local triggers as a process: started, stopped, started again."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from chalicelib.messages.topics import SCHEDULES, TRIGGERS
from tests.support.esm import calls
from tests.support.eventually import eventually
from tests.support.servers import KafkaBroker

ROOT = Path(__file__).resolve().parents[2]

APP = """
    import base64, pathlib, time
    from chalice import Chalice, Rate

    LOG = pathlib.Path(__file__).with_name("calls.log")
    app = Chalice(app_name="tiny")

    def note(line):
        with LOG.open("a") as file:
            file.write(line + "\\n")

    def take(event, context):
        for records in event["records"].values():
            for record in records:
                value = base64.b64decode(record["value"]).decode()
                note(f"{context.function_name} {value} begins")
                time.sleep(float(value) if value.replace(".", "").isdigit() else 0)
                note(f"{context.function_name} {value} ends")
        return {"batchItemFailures": []}
"""


class Triggers:
    """The triggers process with a tiny application in a folder of its own."""

    started: ClassVar[list["subprocess.Popen[bytes]"]] = []

    def __init__(self, folder: Path, bootstrap: str, **environment: str) -> None:
        read, write = os.pipe()
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT), str(ROOT / "orders_app")]),
            "KAFKA_BROKERS": bootstrap,
            "SWEEP_SECONDS": "0.1",
            "READY_FD": str(write),
            **environment,
        }
        self.process = subprocess.Popen([sys.executable, "-m", "infra.stack.triggers"], cwd=ROOT, env=self.environment, pass_fds=[write])
        self.started.append(self.process)
        os.close(write)
        with os.fdopen(read, "rb") as ready:
            self.ready = ready.read()

    def end(self) -> float:
        """Ask it to end; the seconds that it took."""
        start = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0
        return time.monotonic() - start


@pytest.fixture
def tiny_app(tmp_path: Path) -> Iterator[Path]:
    """A folder with an `app.py` that has every declared function."""
    functions = [
        f"@app.lambda_function(name={it.function!r})\ndef {it.function}(event, context):\n    return take(event, context)\n"
        for it in TRIGGERS
    ]
    schedules = [
        f"@app.schedule(Rate(1, unit=Rate.MINUTES))\ndef {it.function}(event):\n    note({it.function!r} + event.source)\n"
        for it in SCHEDULES
    ]
    (tmp_path / "app.py").write_text("\n\n".join([textwrap.dedent(APP), *functions, *schedules]))
    yield tmp_path
    # What a failed test has left running.
    for process in Triggers.started:
        process.kill()
        process.wait(10)
    Triggers.started.clear()


def write(kafka: KafkaBroker, topic_name: str, value: bytes) -> None:
    from kafka import KafkaProducer

    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap)
    producer.send(topic_name, value).get(30)
    producer.close()


def test_the_triggers_call_the_declared_functions_by_topic_and_by_clock(tiny_app: Path, kafka: KafkaBroker) -> None:
    triggers = Triggers(tiny_app, kafka.bootstrap)
    assert triggers.ready == b"ready\n"
    for trigger in TRIGGERS:
        write(kafka, trigger.topic, trigger.topic.encode())

    expected = {f"{trigger.function} {trigger.topic} ends" for trigger in TRIGGERS}
    eventually(lambda: expected <= set(calls(tiny_app)), what="a call of each function")
    for schedule in SCHEDULES:
        if schedule.urgent:
            eventually(lambda name=schedule.function: calls(tiny_app).count(f"{name}aws.events") >= 3, what="three rounds of the clock")
    assert not [schedule for schedule in SCHEDULES if not schedule.urgent and f"{schedule.function}aws.events" in calls(tiny_app)]
    triggers.end()


def test_at_the_end_a_running_function_finishes_and_is_committed(tiny_app: Path, kafka: KafkaBroker) -> None:
    trigger = TRIGGERS[0]
    triggers = Triggers(tiny_app, kafka.bootstrap)
    write(kafka, trigger.topic, b"0.3")
    eventually(lambda: f"{trigger.function} 0.3 begins" in calls(tiny_app), what="the call")
    triggers.end()
    assert f"{trigger.function} 0.3 ends" in calls(tiny_app)

    again = Triggers(tiny_app, kafka.bootstrap)
    write(kafka, trigger.topic, b"next")
    eventually(lambda: f"{trigger.function} next ends" in calls(tiny_app), what="the next record")
    again.end()
    assert calls(tiny_app).count(f"{trigger.function} 0.3 begins") == 1


def test_a_function_that_does_not_end_is_left_behind_and_its_record_comes_again(tiny_app: Path, kafka: KafkaBroker) -> None:
    trigger = TRIGGERS[0]
    triggers = Triggers(tiny_app, kafka.bootstrap)
    write(kafka, trigger.topic, b"60")
    eventually(lambda: f"{trigger.function} 60 begins" in calls(tiny_app), what="the call")
    # It has two seconds, and of its minute is nothing waited for.
    assert 2 <= triggers.end() < 15

    again = Triggers(tiny_app, kafka.bootstrap)
    eventually(lambda: calls(tiny_app).count(f"{trigger.function} 60 begins") == 2, what="the record again")
    again.end()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [("KAFKA_BROKERS", "", "KAFKA_BROKERS: is missing"), ("SWEEP_SECONDS", "x", "SWEEP_SECONDS: must be")],
)
def test_a_wrong_setting_ends_the_triggers_with_a_message(tmp_path: Path, name: str, value: str, message: str) -> None:
    environment = {**os.environ, "KAFKA_BROKERS": "127.0.0.1:1", name: value}

    ended = subprocess.run(
        [sys.executable, "-m", "infra.stack.triggers"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=20, check=False
    )

    assert ended.returncode == 1
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_application_that_lacks_a_declared_function_ends_the_triggers_with_a_message(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("")
    environment = {**os.environ, "KAFKA_BROKERS": "127.0.0.1:1", "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT / 'orders_app'}"}

    ended = subprocess.run(
        [sys.executable, "-m", "infra.stack.triggers"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=20, check=False
    )

    assert ended.returncode == 1
    assert f"module 'app' has no {TRIGGERS[0].function!r}" in ended.stderr
