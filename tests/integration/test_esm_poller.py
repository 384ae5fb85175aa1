"""One event source mapping on a real broker: what is delivered, again, and committed."""

import threading
import time
from typing import Any

import pytest

from tests.support.esm import Recorder, Topic, failed, polling, records_of
from tests.support.eventually import eventually

PARTIAL = {"function_response_types": ("ReportBatchItemFailures",)}


@pytest.mark.rule("order-per-partition")
@pytest.mark.rule("commit-after-success")
@pytest.mark.rule("long-polling")
def test_records_are_delivered_in_order_by_partition_and_committed_after_success(topic: Topic) -> None:
    recorder = Recorder()
    with polling(topic.mapping(), recorder, topic.bootstrap):
        for start in (0, 100):
            for partition in range(3):
                topic.write(*(b"%d" % number for number in range(start, start + 100)), partition=partition)
        eventually(lambda: len(recorder.places) >= 600, what="all records")
        eventually(lambda: topic.committed() == {0: 200, 1: 200, 2: 200}, what="the commit")

    for partition in range(3):
        assert [offset for number, offset in recorder.places if number == partition] == list(range(200))


@pytest.mark.rule("event-self-managed")
def test_the_event_on_the_way_from_a_real_broker_has_lambdas_form(topic: Topic) -> None:
    recorder = Recorder()
    now_ms = int(time.time() * 1000)
    headers = [("ce_type", b"order.created"), ("name", b"Zo\xc3\xab"), ("name", b"\x80\xff")]
    with polling(topic.mapping(), recorder, topic.bootstrap):
        topic.write(b'{"a":1}', partition=2, key=b"order-1", headers=headers, timestamp_ms=now_ms)
        eventually(lambda: recorder.events, what="the event")

    assert recorder.events[0] == {
        "eventSource": "SelfManagedKafka",
        "bootstrapServers": topic.bootstrap,
        "records": {
            f"{topic.name}-2": [
                {
                    "topic": topic.name,
                    "partition": 2,
                    "offset": 0,
                    "timestamp": now_ms,
                    "timestampType": "CREATE_TIME",
                    "key": "b3JkZXItMQ==",
                    "value": "eyJhIjoxfQ==",
                    "headers": [{"ce_type": list(b"order.created")}, {"name": [90, 111, -61, -85]}, {"name": [-128, -1]}],
                }
            ]
        },
    }


def test_a_record_without_key_and_one_without_value_lack_the_member(topic: Topic) -> None:
    recorder = Recorder()
    with polling(topic.mapping(), recorder, topic.bootstrap):
        topic.write(b"no key")
        topic.write(None, key=b"no value")
        eventually(lambda: len(recorder.places) == 2, what="both records")

    first, second = (record for event in recorder.events for record in records_of(event))
    assert ("key" in first, "value" in first) == (False, True)
    assert ("key" in second, "value" in second) == (True, False)


@pytest.mark.rule("retry-whole-batch")
@pytest.mark.rule("commit-after-success")
def test_a_batch_whose_function_raises_is_not_committed_and_comes_again_whole(topic: Topic) -> None:
    recorder = Recorder()
    committed: list[dict[int, int | None]] = []

    def react(event: Any) -> None:
        if len(recorder.events) == 3:
            committed.append(topic.committed())
        if len(recorder.events) <= 3:
            raise RuntimeError("no database")

    recorder.react = react
    topic.write(b"a", b"b", b"c", partition=1)
    with polling(topic.mapping(), recorder, topic.bootstrap):
        eventually(lambda: len(recorder.events) >= 4, what="the fourth delivery")
        eventually(lambda: topic.committed()[1] == 3, what="the commit")

    assert recorder.batches == [[(1, 0), (1, 1), (1, 2)]] * 4
    assert committed == [{0: None, 1: None, 2: None}]


@pytest.mark.rule("order-per-partition")
def test_while_a_batch_waits_its_partition_does_and_the_others_go_on(topic: Topic) -> None:
    heal = threading.Event()

    def react(event: Any) -> None:
        if not heal.is_set() and any(record["partition"] == 0 for record in records_of(event)):
            raise RuntimeError("poison")

    recorder = Recorder(react)
    with polling(topic.mapping(), recorder, topic.bootstrap):
        topic.write(b"poison", partition=0)
        eventually(lambda: len(recorder.batches) >= 2, what="the second try")
        topic.write(b"later", partition=0)
        topic.write(b"x", b"y", partition=1)
        eventually(lambda: {(1, 0), (1, 1)} <= set(recorder.places), what="the other partition")
        assert (0, 1) not in recorder.places
        assert topic.committed()[0] is None
        heal.set()
        eventually(lambda: (0, 1) in recorder.places, what="the record behind the poison")
        eventually(lambda: topic.committed() == {0: 2, 1: 2, 2: None}, what="the commit")


@pytest.mark.rule("partial-retry")
def test_a_partial_failure_is_committed_up_to_the_lowest_failed_offset_and_delivered_again_from_there(topic: Topic) -> None:
    recorder = Recorder()
    committed: list[dict[int, int | None]] = []

    def react(event: Any) -> Any:
        if len(recorder.events) == 1:
            return failed(topic.name, (0, 3), (0, 2))
        if len(recorder.events) == 2:
            eventually(lambda: topic.committed()[0] == 2, what="the commit before the second try")
            committed.append(topic.committed())
            return failed(topic.name, (0, 2))
        return {"batchItemFailures": []}

    recorder.react = react
    topic.write(b"a", b"b", b"c", b"d", partition=0)
    with polling(topic.mapping(**PARTIAL), recorder, topic.bootstrap):
        eventually(lambda: topic.committed()[0] == 4, what="the last commit")

    assert recorder.batches == [[(0, 0), (0, 1), (0, 2), (0, 3)], [(0, 2), (0, 3)], [(0, 2), (0, 3)]]
    assert committed == [{0: 2, 1: None, 2: None}]


@pytest.mark.rule("partial-retry")
def test_a_partial_failure_frees_the_partitions_without_failure(topic: Topic) -> None:
    recorder = Recorder()
    recorder.react = lambda event: failed(topic.name, (0, 0)) if any(record["partition"] == 0 for record in records_of(event)) else None
    topic.write(b"a", partition=0)
    topic.write(b"b", partition=1)
    with polling(topic.mapping(maximum_batching_window_in_seconds=1, **PARTIAL), recorder, topic.bootstrap):
        eventually(lambda: topic.committed()[1] == 1, what="the commit of the other partition")
        topic.write(b"c", partition=1)
        eventually(lambda: (1, 1) in recorder.places, what="its next record")
        assert topic.committed()[0] in (None, 0)

    assert recorder.places.count((1, 0)) == 1


@pytest.mark.rule("partial-whole-batch-failed")
@pytest.mark.parametrize(
    "response",
    [
        {"batchItemFailures": [{"itemIdentifier": {"partition": "other-0", "offset": 1}}]},
        {"batchItemFailures": [{"itemIdentifier": {"topic-partition": "orders-0", "offset": 1}}]},
        "not an object",
        object(),
    ],
)
def test_a_malformed_partial_response_fails_the_whole_batch(topic: Topic, response: Any) -> None:
    recorder = Recorder()
    recorder.react = lambda event: response if len(recorder.events) == 1 else None
    topic.write(b"a", b"b")
    with polling(topic.mapping(**PARTIAL), recorder, topic.bootstrap):
        eventually(lambda: topic.committed()[0] == 2, what="the commit")

    assert recorder.batches == [[(0, 0), (0, 1)]] * 2


@pytest.mark.rule("partial-opt-in")
def test_without_report_batch_item_failures_an_answer_means_nothing(topic: Topic) -> None:
    recorder = Recorder(lambda event: failed(topic.name, (0, 0)))
    topic.write(b"a")
    with polling(topic.mapping(), recorder, topic.bootstrap):
        eventually(lambda: topic.committed()[0] == 1, what="the commit")

    assert recorder.batches == [[(0, 0)]]


@pytest.mark.rule("starting-position")
@pytest.mark.parametrize("position", ["TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"])
def test_a_new_group_begins_at_the_starting_position(topic: Topic, position: str) -> None:
    now = int(time.time() * 1000)
    for partition in range(3):
        topic.write(b"old", partition=partition, timestamp_ms=now - 60_000)
    topic.write(b"recent", timestamp_ms=now - 10_000)
    timestamp = {"starting_position_timestamp": (now - 30_000) / 1000} if position == "AT_TIMESTAMP" else {}
    recorder = Recorder()
    with polling(topic.mapping(starting_position=position, **timestamp), recorder, topic.bootstrap):
        topic.write(b"new", timestamp_ms=now)
        eventually(lambda: b"new" in recorder.values, what="the new record")

    expected = {"TRIM_HORIZON": [b"new", b"old", b"old", b"old", b"recent"], "LATEST": [b"new"], "AT_TIMESTAMP": [b"new", b"recent"]}
    assert sorted(recorder.values) == expected[position]


@pytest.mark.rule("committed-offsets-win")
@pytest.mark.parametrize("position", ["TRIM_HORIZON", "LATEST"])
def test_committed_offsets_win_over_the_starting_position(topic: Topic, position: str) -> None:
    first, second = Recorder(), Recorder()
    with polling(topic.mapping(starting_position=position), first, topic.bootstrap):
        topic.write(b"a", b"b")
        eventually(lambda: len(first.places) == 2, what="the first two")
    topic.write(b"c", b"d")
    topic.write(b"e", partition=2)
    with polling(topic.mapping(starting_position=position), second, topic.bootstrap):
        eventually(lambda: len(second.places) == 3, what="the other three")

    assert sorted(second.values) == [b"c", b"d", b"e"]


@pytest.mark.rule("commit-interval")
def test_with_an_interval_only_the_end_commits_what_was_delivered_within_it(topic: Topic) -> None:
    recorder = Recorder()
    with polling(topic.mapping(), recorder, topic.bootstrap, commit_seconds=60):
        topic.write(b"a")
        eventually(lambda: topic.committed()[0] == 1, what="the first commit")
        topic.write(b"b", b"c")
        eventually(lambda: len(recorder.places) == 3, what="all records")
        assert topic.committed()[0] == 1

    assert topic.committed()[0] == 3


@pytest.mark.rule("at-least-once")
def test_a_batch_that_failed_until_the_end_is_delivered_to_the_next_poller(topic: Topic) -> None:
    failing = Recorder(lambda event: 1 / 0)
    topic.write(b"a", b"b")
    with polling(topic.mapping(), failing, topic.bootstrap):
        eventually(lambda: failing.events, what="a failure")
    working = Recorder()
    with polling(topic.mapping(), working, topic.bootstrap):
        eventually(lambda: working.values == [b"a", b"b"], what="the batch")
