"""The emulator by itself, from its command line: started, stopped, started again."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from infra.esm import service
from infra.esm.__main__ import main
from infra.esm.feed import Cluster
from infra.esm.invoke import Function
from infra.esm.poller import Poller
from infra.esm.request import from_aws
from infra.esm.retry import Backoff
from tests.support.esm import Topic, calls
from tests.support.eventually import eventually
from tests.support.servers import KafkaBroker

ROOT = Path(__file__).resolve().parents[2]

HANDLERS = """
    import base64, pathlib, time

    LOG = pathlib.Path(__file__).with_name("calls.log")

    def note(line):
        with LOG.open("a") as file:
            file.write(line + "\\n")

    def handle(event, context):
        for records in event["records"].values():
            for record in records:
                note(base64.b64decode(record["value"]).decode())

    def hang(event, context):
        note("begins")
        time.sleep(60)
"""


@pytest.fixture
def other_topic(kafka_server: KafkaBroker) -> Iterator[Topic]:
    """Another one."""
    made = Topic(kafka_server.bootstrap, 1)
    yield made
    made.close()


def mapping(topic: Topic, function: str = "f", **parameters: object) -> dict[str, Any]:
    least = {
        "FunctionName": function,
        "Topics": [topic.name],
        "StartingPosition": "TRIM_HORIZON",
        "MaximumBatchingWindowInSeconds": 0,
        "ProvisionedPollerConfig": {},
        "SelfManagedEventSource": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": [topic.bootstrap]}},
        "SelfManagedKafkaEventSourceConfig": {"ConsumerGroupId": f"{topic.group}-{function}"},
    }
    return least | parameters


def command(folder: Path, mappings: object, *options: str) -> list[str]:
    (folder / "sample.py").write_text(textwrap.dedent(HANDLERS))
    (folder / "mappings.json").write_text(json.dumps(mappings))
    return [sys.executable, "-m", "infra.esm", "--mapping", "mappings.json", *options]


@contextmanager
def emulator(folder: Path, mappings: object, *options: str) -> Iterator["subprocess.Popen[bytes]"]:
    """The emulator at work while the block runs; afterwards it was asked to end, and ended well."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command(folder, mappings, *options), cwd=folder, env=environment)
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
    finally:
        process.kill()
        process.wait(5)


@pytest.mark.rule("at-least-once")
def test_it_goes_on_where_it_stopped(tmp_path: Path, topic: Topic) -> None:
    for number, values in enumerate(([b"1", b"2"], [b"3", b"4"]), start=1):
        topic.write(*values)
        with emulator(tmp_path, mapping(topic), "--handler", "sample.handle"):
            eventually(lambda expected=2 * number: len(calls(tmp_path)) == expected, what="the last record")

    assert calls(tmp_path) == ["1", "2", "3", "4"]


@pytest.mark.rule("function-timeout")
@pytest.mark.rule("enabled")
@pytest.mark.rule("metrics-written")
def test_several_mappings_have_functions_and_metrics_of_their_own_a_hanging_one_is_killed_and_a_disabled_one_rests(
    tmp_path: Path, topic: Topic, other_topic: Topic
) -> None:
    mappings = [mapping(topic, "works"), mapping(other_topic, "hangs", MaximumRetryAttempts=1), mapping(topic, "rests", Enabled=False)]
    handlers = ["--handler", "sample.handle", "--handler", "hangs=sample.hang"]
    topic.write(b"1", b"2", b"3")
    other_topic.write(b"x")
    with emulator(tmp_path, mappings, *handlers, "--timeout", "0.3", "--first-wait", "0.01", "--metrics", "metrics.json"):
        eventually(lambda: sorted(calls(tmp_path)) == ["1", "2", "3", "begins", "begins"], what="all calls")
        other_topic.group += "-hangs"
        eventually(lambda: other_topic.committed() == {0: 1}, what="the commit of what was dropped")

    written = {entry["functionName"]: entry["metrics"] for entry in json.loads((tmp_path / "metrics.json").read_text())}
    assert written["works"]["CommittedEventCount"] == 3
    assert (written["hangs"]["InvokeErrorCount"], written["hangs"]["DroppedEventCount"]) == (2, 1)
    assert written["rests"]["PolledEventCount"] == 0


@pytest.mark.parametrize(
    ("options", "parameters", "message"),
    [
        (["--handler", "sample.nowhere"], {}, "handler 'sample.nowhere': module 'sample' has no 'nowhere'"),
        (["--handler", "nowhere.handle"], {}, "handler 'nowhere.handle': module 'nowhere' can't be imported"),
        (["--handler", "other=sample.handle"], {}, "--handler: none for function f"),
        (["--handler", "sample.handle"], {"BatchSize": 0}, "BatchSize is a whole number from 1 to 10000"),
        (["--handler", "sample.handle"], {"ParallelizationFactor": 2}, "ParallelizationFactor is not for Kafka"),
        (["--handler", "sample.handle", "--reading", "partial=all"], {}, "partial is one of checkpoint, items, not 'all'"),
        (["--handler", "sample.handle", "--metrics", "nowhere/metrics.json"], {}, "No such file or directory: 'nowhere/metrics.json"),
        (["--handler", "sample.handle", "--first-wait", "-1"], {}, "--first-wait: more than 0 seconds are needed, not -1"),
    ],
)
def test_a_wrong_handler_mapping_or_option_ends_it_with_a_message(
    tmp_path: Path, topic: Topic, options: list[str], parameters: dict[str, object], message: str
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    arguments = command(tmp_path, mapping(topic, **parameters), *options)

    ended = subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=20, check=False)

    assert ended.returncode != 0
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.rule("function-timeout-limit")
@pytest.mark.parametrize(("timeout", "is_taken"), [("840", True), ("841", False), ("0", False), ("nan", False)])
def test_a_function_may_take_fourteen_minutes_and_no_longer(
    timeout: str, is_taken: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["esm", "--mapping", "nowhere.json", "--handler", "sample.handle", "--timeout", timeout])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ("nowhere.json" in str(ended.value.code)) is is_taken
    assert ("argument --timeout" in capsys.readouterr().err) is not is_taken


@pytest.mark.rule("group-of-its-own")
def test_two_mappings_of_one_group_are_refused(tmp_path: Path, topic: Topic) -> None:
    group = {"SelfManagedKafkaEventSourceConfig": {"ConsumerGroupId": "shared"}}
    arguments = command(tmp_path, [mapping(topic, "f", **group), mapping(topic, "g", **group)], "--handler", "sample.handle")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    ended = subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=20, check=False)

    assert ended.returncode != 0
    assert ended.stderr.strip() == "ConsumerGroupId shared: each mapping needs a group of its own"


def test_metrics_are_written_also_while_a_topic_is_missing(monkeypatch: pytest.MonkeyPatch, topic: Topic) -> None:
    monkeypatch.setattr(service, "REPORT_SECONDS", 0.05)
    missing = from_aws(mapping(topic) | {"Topics": [f"{topic.name}-missing"]}, 0)
    poller = Poller(missing, Function("f", lambda event, context: None), Cluster(topic.bootstrap), Backoff())
    reports: list[bool] = []
    running = service.Service([poller], lambda: reports.append(poller.positioned.is_set()))
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        eventually(lambda: len(reports) >= 2, what="two reports")
    finally:
        running.stop()
        thread.join()

    assert not any(reports)


def test_a_mapping_without_brokers_needs_them_on_the_command_line(tmp_path: Path, topic: Topic) -> None:
    unplaced = mapping(topic)
    del unplaced["SelfManagedEventSource"]
    arguments = command(tmp_path, [unplaced], "--handler", "sample.handle")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    ended = subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=20, check=False)
    assert "--bootstrap, or SelfManagedEventSource in the mapping, is needed" in ended.stderr

    topic.write(b"1")
    with emulator(tmp_path, unplaced, "--handler", "sample.handle", "--bootstrap", topic.bootstrap):
        eventually(lambda: calls(tmp_path) == ["1"], what="the record")
