"""The examples of infra/docs/http.md are run as they stand there, in their order, and answered as they say."""

import os
import re
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import requests
from kafka import KafkaProducer

from tests.support.api import Api
from tests.support.eventually import eventually
from tests.support.stack import ROOT, Stack, environment

PAGE = ROOT / "infra/docs/http.md"
BLOCK = re.compile(r"```sh\n(.*?)```\n(?:\nAnswers `(\d{3})`)?", re.DOTALL)
REQUEST = re.compile(r'curl -sS (?:-X ([A-Z]+) )?"\$URL([^"?]*)')
# The first blocks by the stand-in for curl, which must do as well, the others by curl itself where there is one.
STAND_IN = f'curl() {{ "{sys.executable}" -m tests.support.curl "$@"; }}'
CURL = "curl() { command curl -w '%{stderr}%{http_code}\\n' \"$@\"; }"
BLOCKS_BY_STAND_IN = 6


@pytest.fixture
def dead_letter(stack: Stack) -> str:
    """The id of a dead letter that waits; the examples' last one dismisses it."""
    with closing(KafkaProducer(bootstrap_servers=stack.run_json()["kafka"]["bootstrap"])) as producer:
        producer.send("user-events", value=b"no CloudEvent").get(30)
    admin = Api(stack.url, stack.data_dir, "ops_1", "admin")
    waiting = "/api/dead-letters?redriven=false"
    eventually(lambda: bool(admin.call("GET", waiting).json()["items"]), what="the dead letter")
    return str(admin.call("GET", waiting).json()["items"][0]["deadLetterId"])


def examples() -> list[tuple[str, list[str]]]:
    """The blocks of the page, and the status that is told of each of its requests."""
    blocks = BLOCK.findall(PAGE.read_text())
    assert len(blocks) == PAGE.read_text().count("```sh")
    return [(block, [status] * block.count("curl ")) for block, status in blocks]


def script() -> str:
    """All blocks for one shell; each says on stderr that it begins."""
    blocks = [f"echo '# {number}' >&2\n{block}" for number, (block, _) in enumerate(examples())]
    if shutil.which("curl"):
        blocks.insert(BLOCKS_BY_STAND_IN, CURL)
    return "\n".join([STAND_IN, *blocks])


@pytest.mark.usefixtures("dead_letter")
def test_the_examples_are_answered_as_the_page_says(stack: Stack) -> None:
    inherited = {name: value for name, value in environment(stack.data_dir).items() if not name.startswith("MAKE") and name != "MFLAGS"}
    ended = subprocess.run(
        ["sh", "-c", script()],
        cwd=ROOT,
        env={**inherited, "URL": stack.url, "PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    # `make` may have something to say as well.
    told = [re.findall(r"^\d{3}$", part, re.MULTILINE) for part in re.split(r"^# \d+$", ended.stderr, flags=re.MULTILINE)[1:]]
    assert told == [statuses for _, statuses in examples()], ended.stderr + ended.stdout
    assert ended.returncode == 0


def test_every_route_has_an_example(stack: Stack) -> None:
    document = requests.get(f"{stack.url}/openapi.json", timeout=10).json()
    declared = {(method.upper(), re.sub(r"\{\w+\}", "{}", path)) for path, methods in document["paths"].items() for method in methods}
    shown = {(method or "GET", re.sub(r"\$[A-Z]+", "{}", path)) for block, _ in examples() for method, path in REQUEST.findall(block)}
    assert shown == declared


def test_make_finds_the_stack_of_its_folder(stack: Stack, dead_letter: str) -> None:
    def make(*words: str) -> "subprocess.CompletedProcess[str]":
        inherited = {name: value for name, value in environment(stack.data_dir).items() if not name.startswith("MAKE") and name != "MFLAGS"}
        return subprocess.run(["make", "-s", *words], cwd=ROOT, env=inherited, capture_output=True, text=True, check=False, timeout=60)

    listed, redriven = make("dead-letters"), make("redrive", f"ID={dead_letter}", "DRY=1")

    assert (listed.returncode, dead_letter in listed.stdout) == (0, True), listed.stderr
    assert "make redrive: the record still can't be taken: Unintelligible: no CloudEvent" in redriven.stderr
    dismissed = make("dismiss", f"ID={dead_letter}", "REASON=none of ours")
    assert (dismissed.returncode, dismissed.stdout.endswith(": none of ours\n")) == (0, True), dismissed.stderr
    assert make("dead-letters").stdout == "no dead letters\n"


def test_what_a_block_answers_is_said_beside_it() -> None:
    assert [block for block, statuses in examples() if "" in statuses] == []
    assert Path(PAGE).read_text().count("Answers `") == sum(1 for _, statuses in examples() if statuses)
