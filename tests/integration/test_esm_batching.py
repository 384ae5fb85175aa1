"""How batches are gathered on a real broker: their size, their window, the limit of an event."""

import json
import time
from typing import Any

import pytest

from infra.esm.batch import MAXIMUM_PAYLOAD_BYTES
from infra.esm.mapping import ProvisionedPollers
from tests.support.esm import Recorder, Topic, polling
from tests.support.eventually import eventually


@pytest.mark.rule("batch-size")
def test_no_batch_is_larger_than_the_batch_size(topic: Topic) -> None:
    recorder = Recorder()
    for partition in range(3):
        topic.write(*[b"x"] * 25, partition=partition)
    with polling(topic.mapping(batch_size=10), recorder, topic.bootstrap):
        eventually(lambda: len(recorder.places) == 75, what="all records")

    assert max(map(len, recorder.batches)) == 10
    assert len(set(recorder.places)) == 75


@pytest.mark.rule("batch-six-megabytes")
def test_an_event_stays_within_six_megabytes(topic: Topic) -> None:
    recorder = Recorder()
    for partition in range(2):
        topic.write(*[b"x" * 900_000] * 4, partition=partition)
    with polling(topic.mapping(maximum_batching_window_in_seconds=3), recorder, topic.bootstrap):
        eventually(lambda: len(recorder.places) == 8, what="all records")

    assert all(len(json.dumps(event, separators=(",", ":"))) <= MAXIMUM_PAYLOAD_BYTES for event in recorder.events)
    assert len(recorder.batches[0]) == 5
    assert sorted(recorder.places) == [(partition, offset) for partition in range(2) for offset in range(4)]


@pytest.mark.rule("window-begins-with-first-record")
@pytest.mark.rule("batch-partitions-of-one-topic")
def test_a_window_gathers_what_comes_within_it(topic: Topic) -> None:
    recorder = Recorder()
    with polling(topic.mapping(maximum_batching_window_in_seconds=3), recorder, topic.bootstrap):
        start = time.monotonic()
        topic.write(b"first")
        topic.write(b"second", partition=1)
        eventually(lambda: recorder.events, what="the batch")
        took = time.monotonic() - start

    assert sorted(recorder.batches[0]) == [(0, 0), (1, 0)]
    assert took >= 3


@pytest.mark.rule("window-restart-on-demand")
@pytest.mark.rule("window-restart-provisioned")
def test_what_came_during_an_invocation_is_delivered_at_once_in_provisioned_mode_and_after_another_window_on_demand(topic: Topic) -> None:
    ends: dict[str, list[float]] = {"on demand": [], "provisioned": []}
    delivered: dict[str, list[float]] = {"on demand": [], "provisioned": []}

    def handler(mode: str) -> Recorder:
        def react(event: Any) -> None:
            delivered[mode].append(time.monotonic())
            if len(delivered[mode]) == 1:
                eventually(lambda: time.monotonic() > delivered[mode][0] + 2.1, what="an invocation longer than the window")
            ends[mode].append(time.monotonic())

        return Recorder(react)

    window = {"maximum_batching_window_in_seconds": 2}
    provisioned = topic.mapping(consumer_group_id=f"{topic.group}-p", provisioned=ProvisionedPollers(), **window)
    with (
        polling(topic.mapping(**window), handler("on demand"), topic.bootstrap),
        polling(provisioned, handler("provisioned"), topic.bootstrap),
    ):
        topic.write(b"first")
        eventually(lambda: all(delivered.values()), what="both invocations")
        topic.write(b"meanwhile")
        eventually(lambda: all(len(times) == 2 for times in delivered.values()), what="the second deliveries")

    waits = {mode: delivered[mode][1] - ends[mode][0] for mode in delivered}
    assert waits["provisioned"] < 1.8 < waits["on demand"]
