"""The emulator and the local triggers as processes: started, stopped, started again."""

import json
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
from tests.support.esm import Topic
from tests.support.eventually import eventually
from tests.support.servers import KafkaBroker

ROOT = Path(__file__).resolve().parents[2]

HANDLER = """
    import base64, pathlib

    LOG = pathlib.Path(__file__).with_name("calls.log")

    def note(line):
        with LOG.open("a") as file:
            file.write(line + "\\n")

    def handle(event, context):
        for records in event["records"].values():
            for record in records:
                note(base64.b64decode(record["value"]).decode())
"""

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


@pytest.fixture
def topic(kafka_server: KafkaBroker) -> Iterator[Topic]:
    """A topic of three partitions for one test."""
    made = Topic(kafka_server.bootstrap, 3)
    yield made
    made.close()


def lines(folder: Path) -> list[str]:
    """What the functions noted."""
    log = folder / "calls.log"
    return log.read_text().splitlines() if log.exists() else []


def write_mapping(folder: Path, topic: Topic, **parameters: object) -> Path:
    file = folder / "mappings.json"
    mapping = {
        "FunctionName": "f",
        "Topics": [topic.name],
        "StartingPosition": "TRIM_HORIZON",
        "MaximumBatchingWindowInSeconds": 0,
        "SelfManagedKafkaEventSourceConfig": {"ConsumerGroupId": topic.group},
    }
    file.write_text(json.dumps([mapping | parameters]))
    return file


def emulator(folder: Path, topic: Topic, mapping: Path, handler: str = "sample.handle") -> list[str]:
    (folder / "sample.py").write_text(textwrap.dedent(HANDLER))
    return [sys.executable, "-m", "infra.local.esm", "--mapping", str(mapping), "--handler", handler, "--bootstrap", topic.bootstrap]


def test_the_emulator_runs_by_itself_and_goes_on_where_it_stopped(tmp_path: Path, topic: Topic) -> None:
    command = emulator(tmp_path, topic, write_mapping(tmp_path, topic))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for number, values in enumerate(([b"1", b"2"], [b"3", b"4"]), start=1):
        topic.write(*values)
        process = subprocess.Popen(command, cwd=tmp_path, env=environment)
        eventually(lambda expected=2 * number: len(lines(tmp_path)) == expected, what="the last record")
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0

    assert lines(tmp_path) == ["1", "2", "3", "4"]
    assert topic.committed()[0] == 4


@pytest.mark.parametrize(
    ("handler", "parameters", "message"),
    [
        ("sample.nowhere", {}, "handler 'sample.nowhere': module 'sample' has no 'nowhere'"),
        ("nowhere.handle", {}, "handler 'nowhere.handle': module 'nowhere' can't be imported"),
        ("sample.handle", {"BatchSize": 0}, "BatchSize is a whole number from 1 to 10000"),
        ("sample.handle", {"BisectBatchOnFunctionError": True}, "BisectBatchOnFunctionError is not emulated"),
    ],
)
def test_a_wrong_handler_or_mapping_ends_it_with_a_message(
    tmp_path: Path, topic: Topic, handler: str, parameters: dict[str, object], message: str
) -> None:
    command = emulator(tmp_path, topic, write_mapping(tmp_path, topic, **parameters), handler)

    ended = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=20)

    assert ended.returncode != 0
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


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
        self.process = subprocess.Popen([sys.executable, "-m", "infra.local.triggers"], cwd=ROOT, env=self.environment, pass_fds=[write])
        self.started.append(self.process)
        os.close(write)
        with os.fdopen(read, "rb") as ready:
            self.ready = ready.read()

    def end(self) -> float:
        """Ask it to end; the seconds that it took."""
        start = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(10) == 0
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
    producer.send(topic_name, value).get(10)
    producer.close()


def test_the_triggers_call_the_declared_functions_by_topic_and_by_clock(tiny_app: Path, kafka: KafkaBroker) -> None:
    triggers = Triggers(tiny_app, kafka.bootstrap)
    assert triggers.ready == b"ready\n"
    for trigger in TRIGGERS:
        write(kafka, trigger.topic, trigger.topic.encode())

    expected = {f"{trigger.function} {trigger.topic} ends" for trigger in TRIGGERS}
    eventually(lambda: expected <= set(lines(tiny_app)), what="a call of each function")
    for schedule in SCHEDULES:
        if schedule.urgent:
            eventually(lambda name=schedule.function: lines(tiny_app).count(f"{name}aws.events") >= 3, what="three rounds of the clock")
    assert not [schedule for schedule in SCHEDULES if not schedule.urgent and f"{schedule.function}aws.events" in lines(tiny_app)]
    assert triggers.end() < 3


def test_at_the_end_a_running_function_finishes_and_is_committed(tiny_app: Path, kafka: KafkaBroker) -> None:
    trigger = TRIGGERS[0]
    triggers = Triggers(tiny_app, kafka.bootstrap)
    write(kafka, trigger.topic, b"0.7")
    eventually(lambda: f"{trigger.function} 0.7 begins" in lines(tiny_app), what="the call")
    triggers.end()
    assert f"{trigger.function} 0.7 ends" in lines(tiny_app)

    again = Triggers(tiny_app, kafka.bootstrap)
    write(kafka, trigger.topic, b"next")
    eventually(lambda: f"{trigger.function} next ends" in lines(tiny_app), what="the next record")
    again.end()
    assert lines(tiny_app).count(f"{trigger.function} 0.7 begins") == 1


def test_a_function_that_does_not_end_is_left_behind_within_three_seconds_and_its_record_comes_again(
    tiny_app: Path, kafka: KafkaBroker
) -> None:
    trigger = TRIGGERS[0]
    triggers = Triggers(tiny_app, kafka.bootstrap)
    write(kafka, trigger.topic, b"60")
    eventually(lambda: f"{trigger.function} 60 begins" in lines(tiny_app), what="the call")
    assert triggers.end() < 3

    again = Triggers(tiny_app, kafka.bootstrap)
    eventually(lambda: lines(tiny_app).count(f"{trigger.function} 60 begins") == 2, what="the record again")
    again.end()


@pytest.mark.parametrize(
    ("name", "value", "message"), [("KAFKA_BROKERS", "", "KAFKA_BROKERS is needed"), ("SWEEP_SECONDS", "x", "SWEEP_SECONDS is a number")]
)
def test_a_wrong_setting_ends_the_triggers_with_a_message(tmp_path: Path, name: str, value: str, message: str) -> None:
    environment = {**os.environ, "KAFKA_BROKERS": "127.0.0.1:1", name: value}

    ended = subprocess.run(
        [sys.executable, "-m", "infra.local.triggers"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=20, check=False
    )

    assert ended.returncode == 1
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_application_that_lacks_a_declared_function_ends_the_triggers_with_a_message(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("")
    environment = {**os.environ, "KAFKA_BROKERS": "127.0.0.1:1", "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT / 'orders_app'}"}

    ended = subprocess.run(
        [sys.executable, "-m", "infra.local.triggers"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=20, check=False
    )

    assert ended.returncode == 1
    assert f"module 'app' has no {TRIGGERS[0].function!r}" in ended.stderr
