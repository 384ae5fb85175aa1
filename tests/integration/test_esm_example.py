"""The example of the emulator's documentation, run as it is written, on a copy of the emulator's folder alone."""

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer

from tests.support.eventually import eventually
from tests.support.servers import KafkaBroker

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "infra" / "docs" / "event-source-mapping.md"
BLOCK = re.compile(r"^```(?P<language>\w+)(?: (?P<file>[\w.]+))?\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def project(tmp_path: Path, bare_kafka: KafkaBroker) -> Path:
    """Another project, with the example's files and a copy of the emulator."""
    shutil.copytree(ROOT / "infra" / "esm", tmp_path / "infra" / "esm")
    for block in BLOCK.finditer(DOCUMENT.read_text()):
        if block["file"]:
            (tmp_path / block["file"]).write_text(block["text"].replace("127.0.0.1:9092", bare_kafka.bootstrap))
    return tmp_path


def commands() -> Iterator[list[str]]:
    """The example's commands."""
    (script,) = [block["text"] for block in BLOCK.finditer(DOCUMENT.read_text()) if block["language"] == "sh"]
    for line in script.splitlines():
        program, *arguments = shlex.split(line)
        assert program == "python"
        yield [sys.executable, *arguments]


def test_the_documented_example_does_what_is_said_of_it(project: Path, bare_kafka: KafkaBroker) -> None:
    write, run = commands()
    log = project / "log"
    subprocess.run(write, cwd=project, check=True, timeout=30)

    with log.open("w") as output, subprocess.Popen(run, cwd=project, stderr=output) as emulator:
        try:
            (failed,) = read(bare_kafka.bootstrap, "payments-failed", 1)
            eventually(lambda: "taken: cust_1 pays 5" in log.read_text().splitlines(), what="the first payment")
        finally:
            emulator.send_signal(signal.SIGTERM)
        assert emulator.wait(10) == 0

    assert failed["requestContext"]["approximateInvokeCount"] == 3
    assert [record["offset"] for record in failed["payload"]["records"]["payments-0"]] == [2]
    assert "cust_2" not in log.read_text()


def test_the_documented_call_in_code_works(project: Path) -> None:
    (code,) = [block["text"] for block in BLOCK.finditer(DOCUMENT.read_text()) if block["language"] == "python" and not block["file"]]

    ended = subprocess.run([sys.executable, "-c", f"{code}print(answer)"], cwd=project, capture_output=True, text=True, timeout=30)

    assert (ended.stdout, ended.stderr) == ("{'batchItemFailures': []}\n", "")


def read(bootstrap: str, topic: str, number: int) -> list[Any]:
    """The first messages of a topic, read from JSON."""
    consumer = KafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=20_000)
    try:
        return [json.loads(message.value) for _, message in zip(range(number), consumer, strict=False)]
    finally:
        consumer.close()
