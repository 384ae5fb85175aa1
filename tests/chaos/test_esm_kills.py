"""The emulator under a function that fails in every way, killed at random moments: nothing is lost, and the order holds.

Attempts are counted in memory, so the limit of retries is one of each life of the emulator.
"""

import itertools
import json
import logging
import math
import os
import random
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import esm_unruly
from tests.support.esm import Topic, records_of
from tests.support.eventually import eventually
from tests.support.kafka_records import on_topic
from tests.support.servers import KafkaBroker

ROOT = Path(__file__).resolve().parents[2]
PARTITIONS, KEYS, BATCH_SIZE = 3, 60, 100
RETRIES = 2
TIMEOUT_SECONDS = 1.0
WITHOUT_END = 1_000_000
# How a record fails, how many times, and how many such records there are among ten thousand.
FATES = [
    ("raise", 2, 6),
    ("partial", 2, 12),
    ("malformed", 1, 4),
    ("hang", 1, 4),
    ("exit", 1, 4),
    ("raise", WITHOUT_END, 3),
    ("partial", WITHOUT_END, 3),
]

Place = tuple[int, int]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Record:
    """One record as it was written."""

    key: str
    fate: str
    times: int

    @property
    def value(self) -> bytes:
        return json.dumps({"key": self.key, "fate": self.fate, "times": self.times}).encode()


def plan(number: int, dice: random.Random) -> dict[Place, Record]:
    """As many records by their future places, with fates spread over them at random; all of a key are in one partition."""
    fates: list[Any] = [fate for *fate, share in FATES for _ in range(max(1, share * number // 10_000))]
    fates += [["fine", 0]] * (number - len(fates))
    dice.shuffle(fates)
    ends: Counter[int] = Counter()
    planned = {}
    for fate, times in fates:
        key = dice.randrange(KEYS)
        partition = key % PARTITIONS
        planned[partition, ends[partition]] = Record(f"key-{key}", str(fate), int(times))
        ends[partition] += 1
    return planned


class Lives:
    """The emulator as a process, again and again, and what its function wrote down."""

    def __init__(self, folder: Path, topic: Topic, dead: Topic, partial: str) -> None:
        self._folder = folder
        self._log = folder / "unruly.log"
        mapping = {
            "FunctionName": "unruly",
            "Topics": [topic.name],
            "StartingPosition": "TRIM_HORIZON",
            "BatchSize": BATCH_SIZE,
            "MaximumBatchingWindowInSeconds": 0,
            "SelfManagedEventSource": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": [topic.bootstrap]}},
            "SelfManagedKafkaEventSourceConfig": {"ConsumerGroupId": topic.group},
            "ProvisionedPollerConfig": {},
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "BisectBatchOnFunctionError": True,
            "MaximumRetryAttempts": RETRIES,
            "DestinationConfig": {"OnFailure": {"Destination": f"kafka://{dead.name}"}},
        }
        (folder / "mappings.json").write_text(json.dumps(mapping))
        (folder / "unruly.py").write_text(Path(esm_unruly.__file__).read_text())
        options = ["--mapping", "mappings.json", "--handler", "unruly.handle", "--timeout", str(TIMEOUT_SECONDS)]
        waits = ["--first-wait", "0.02", "--longest-wait", "0.1", "--reading", f"partial={partial}"]
        self._command = [sys.executable, "-m", "infra.esm", *options, *waits]

    @contextmanager
    def life(self) -> Iterator["subprocess.Popen[bytes]"]:
        """One emulator; it does not outlive the block."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "UNRULY_FOLDER": str(self._folder)}
        with (self._folder / "emulator.log").open("ab") as errors:
            process = subprocess.Popen(self._command, cwd=self._folder, env=environment, stderr=errors)
        try:
            yield process
        finally:
            process.kill()
            process.wait(10)

    def done_count(self) -> int:
        """How often a record was done so far."""
        return self._log.read_bytes().count(b'"done"') if self._log.exists() else 0

    def notes(self) -> list[dict[str, Any]]:
        """What the function wrote down, in its order."""
        return [json.loads(line) for line in self._log.read_text().splitlines()]


def given_up(dead: Topic) -> set[Place]:
    """The records that came to the on-failure destination so far."""
    events = [json.loads(sent.value or b"")["payload"] for sent in on_topic(dead.bootstrap, dead.name)]
    return {(record["partition"], record["offset"]) for event in events for record in records_of(event)}


@pytest.mark.rule("at-least-once")
@pytest.mark.rule("order-per-partition")
@pytest.mark.rule("commit-after-success")
@pytest.mark.parametrize(("partial", "number", "kills"), [("checkpoint", 5_000, 8), ("items", 1_000, 3)])
def test_killed_again_and_again_it_loses_no_record_keeps_the_order_of_each_key_and_commits_nothing_undone(
    tmp_path: Path, kafka_server: KafkaBroker, partial: str, number: int, kills: int
) -> None:
    seed = random.randrange(2**32)
    log.warning("seed=%d", seed)
    dice = random.Random(seed)
    planned = plan(number, dice)
    topic, dead = Topic(kafka_server.bootstrap, PARTITIONS), Topic(kafka_server.bootstrap, 1)
    try:
        topic.fill((partition, record.key.encode(), record.value) for (partition, _), record in planned.items())
        assert sum(topic.ends().values()) == number
        lives = Lives(tmp_path, topic, dead, partial)
        for progress in sorted(dice.sample(range(number * 9 // 10), kills)):
            live_and_be_killed(lives, progress, dice.uniform(0, 0.1))
            check_commits(topic, lives, given_up(dead))
        with lives.life() as last:
            eventually(lambda: topic.committed() == topic.ends(), within=60, every=0.2, what="the end")
            last.send_signal(signal.SIGTERM)
            assert last.wait(10) == 0
        check_records(planned, lives.notes(), given_up(dead))
        eventually(lambda: not running({note["pid"] for note in lives.notes()}), what="the end of the functions")
    finally:
        topic.close()
        dead.close()


def live_and_be_killed(lives: Lives, progress: int, delay: float) -> None:
    """Run the emulator until so many records, and at least one by itself, were done; kill it a moment later."""
    before = lives.done_count()
    with lives.life() as process:
        eventually(lambda: lives.done_count() > max(before, progress), within=30, every=0.005, what="some progress")
        with suppress(subprocess.TimeoutExpired):
            process.wait(delay)


def check_commits(topic: Topic, lives: Lives, given_up: Set[Place]) -> None:
    """Everything before a committed offset was done, or given up."""
    settled = {tuple(note["detail"]) for note in lives.notes() if note["what"] == "done"} | given_up
    committed = topic.committed()
    assert [(number, offset) for number, end in committed.items() for offset in range(end or 0) if (number, offset) not in settled] == []


def check_records(planned: Mapping[Place, Record], notes: Sequence[Mapping[str, Any]], given_up: Set[Place]) -> None:
    """Every record was done or given up, in the order of its key, and given up only after all its attempts."""
    done = first_times(notes)
    attempts, last_chances = counted_attempts(notes)
    assert planned.keys() - done.keys() - given_up == set()
    assert {place for place, record in planned.items() if record.times == WITHOUT_END} <= given_up - done.keys()
    assert given_up - last_chances.keys() == set()
    assert {place: number for (place, _), number in attempts.items() if number > RETRIES + 1} == {}
    settled = {place: min(done.get(place, math.inf), last_chances[place] if place in given_up else math.inf) for place in planned}
    keys: defaultdict[str, list[Place]] = defaultdict(list)
    for place in sorted(planned):
        keys[planned[place].key].append(place)
    for places in keys.values():
        all_before = list(itertools.accumulate((settled[place] for place in places), max))
        assert [later for before, later in zip(all_before, places[1:], strict=False) if done.get(later, math.inf) < before] == []


def first_times(notes: Sequence[Mapping[str, Any]]) -> dict[Place, int]:
    """When each record was done first, by the place of the note."""
    done: dict[Place, int] = {}
    for moment, note in enumerate(notes):
        if note["what"] == "done":
            done.setdefault(tuple(note["detail"]), moment)
    return done


def counted_attempts(notes: Sequence[Mapping[str, Any]]) -> tuple[Counter[tuple[Place, int]], dict[Place, int]]:
    """How often each record was delivered in each life, and when it had its last chance in one.

    What counts is a record by itself and a batch with a partial response: a batch that fails as a whole is halved without counting.
    """
    attempts: Counter[tuple[Place, int]] = Counter()
    last_chances: dict[Place, int] = {}
    for moment, note in enumerate(notes):
        is_single = note["what"] == "given" and len(note["detail"]) == 1
        if is_single or (note["what"] == "reported" and len(note["detail"]) > 1):
            for place in map(tuple, note["detail"]):
                attempts[place, note["life"]] += 1
                if attempts[place, note["life"]] == RETRIES + 1:
                    last_chances.setdefault(place, moment)
    return attempts, last_chances


def running(pids: Set[int]) -> set[int]:
    """Those of the processes that are still there."""
    return {pid for pid in pids if Path(f"/proc/{pid}").exists()}
