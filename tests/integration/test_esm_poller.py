"""One event source mapping on a real broker: what is delivered, again, and committed."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.local.broker import start_broker
from infra.local.esm import feed
from infra.local.esm.batch import MAXIMUM_PAYLOAD_BYTES
from infra.local.esm.invoke import Function
from infra.local.esm.poller import Poller
from infra.local.esm.retry import Backoff
from infra.local.ports import free_port
from tests.support.esm import Recorder, Topic, polling, records_of
from tests.support.eventually import eventually
from tests.support.servers import KafkaBroker

PARTIAL = {"function_response_types": ("ReportBatchItemFailures",)}


@pytest.fixture
def topic(kafka_server: KafkaBroker) -> Iterator[Topic]:
    """A topic of three partitions for one test."""
    made = Topic(kafka_server.bootstrap, 3)
    yield made
    made.close()


@pytest.fixture(params=["the feed waits", "the broker waits"])
def either_way_of_waiting(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once as with brokers that answer empty fetches at once, once as with those that hold them."""
    if request.param == "the broker waits":
        monkeypatch.setattr(feed, "_probe", lambda *_: None)


def failed(topic: Topic, *places: tuple[int, int]) -> dict[str, Any]:
    """A partial batch response."""
    return {
        "batchItemFailures": [{"itemIdentifier": {"partition": f"{topic.name}-{number}", "offset": offset}} for number, offset in places]
    }


@pytest.mark.usefixtures("either_way_of_waiting")
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


def test_the_event_on_the_way_from_a_real_broker_has_lambdas_form(topic: Topic) -> None:
    recorder = Recorder()
    headers = [("ce_type", b"order.created"), ("name", b"Zo\xc3\xab"), ("name", b"\x80\xff")]
    with polling(topic.mapping(), recorder, topic.bootstrap):
        topic.write(b'{"a":1}', partition=2, key=b"order-1", headers=headers, timestamp_ms=1545084650987)
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
                    "timestamp": 1545084650987,
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


@pytest.mark.usefixtures("either_way_of_waiting")
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


@pytest.mark.usefixtures("either_way_of_waiting")
def test_a_partial_failure_is_committed_up_to_the_lowest_failed_offset_and_delivered_again_from_there(topic: Topic) -> None:
    recorder = Recorder()
    committed: list[dict[int, int | None]] = []

    def react(event: Any) -> Any:
        if len(recorder.events) == 1:
            return failed(topic, (0, 3), (0, 2))
        if len(recorder.events) == 2:
            eventually(lambda: topic.committed()[0] == 2, what="the commit before the second try")
            committed.append(topic.committed())
            return failed(topic, (0, 2))
        return {"batchItemFailures": []}

    recorder.react = react
    topic.write(b"a", b"b", b"c", b"d", partition=0)
    with polling(topic.mapping(**PARTIAL), recorder, topic.bootstrap):
        eventually(lambda: topic.committed()[0] == 4, what="the last commit")

    assert recorder.batches == [[(0, 0), (0, 1), (0, 2), (0, 3)], [(0, 2), (0, 3)], [(0, 2), (0, 3)]]
    assert committed == [{0: 2, 1: None, 2: None}]


def test_a_partial_failure_frees_the_partitions_without_failure(topic: Topic) -> None:
    recorder = Recorder()
    recorder.react = lambda event: failed(topic, (0, 0)) if any(record["partition"] == 0 for record in records_of(event)) else None
    topic.write(b"a", partition=0)
    topic.write(b"b", partition=1)
    with polling(topic.mapping(maximum_batching_window_in_seconds=1, **PARTIAL), recorder, topic.bootstrap):
        eventually(lambda: topic.committed()[1] == 1, what="the commit of the other partition")
        topic.write(b"c", partition=1)
        eventually(lambda: (1, 1) in recorder.places, what="its next record")
        assert topic.committed()[0] in (None, 0)

    assert recorder.places.count((1, 0)) == 1


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


def test_without_report_batch_item_failures_an_answer_means_nothing(topic: Topic) -> None:
    recorder = Recorder(lambda event: failed(topic, (0, 0)))
    topic.write(b"a")
    with polling(topic.mapping(), recorder, topic.bootstrap):
        eventually(lambda: topic.committed()[0] == 1, what="the commit")

    assert recorder.batches == [[(0, 0)]]


def test_no_batch_is_larger_than_the_batch_size(topic: Topic) -> None:
    recorder = Recorder()
    for partition in range(3):
        topic.write(*[b"x"] * 25, partition=partition)
    with polling(topic.mapping(batch_size=10), recorder, topic.bootstrap):
        eventually(lambda: len(recorder.places) == 75, what="all records")

    assert max(map(len, recorder.batches)) == 10
    assert len(set(recorder.places)) == 75


def test_an_event_stays_within_six_megabytes(topic: Topic) -> None:
    recorder = Recorder()
    for partition in range(2):
        topic.write(*[b"x" * 900_000] * 4, partition=partition)
    with polling(topic.mapping(maximum_batching_window_in_seconds=3), recorder, topic.bootstrap):
        eventually(lambda: len(recorder.places) == 8, what="all records", within=20)

    assert all(len(json.dumps(event, separators=(",", ":"))) <= MAXIMUM_PAYLOAD_BYTES for event in recorder.events)
    assert len(recorder.batches[0]) == 5
    assert sorted(recorder.places) == [(partition, offset) for partition in range(2) for offset in range(4)]


def test_a_window_gathers_what_comes_within_it(topic: Topic) -> None:
    recorder = Recorder()
    with polling(topic.mapping(maximum_batching_window_in_seconds=1), recorder, topic.bootstrap):
        start = time.monotonic()
        topic.write(b"first")
        topic.write(b"second", partition=1)
        eventually(lambda: recorder.events, what="the batch")
        took = time.monotonic() - start

    assert sorted(recorder.batches[0]) == [(0, 0), (1, 0)]
    assert took >= 1


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


def test_a_batch_that_failed_until_the_end_is_delivered_to_the_next_poller(topic: Topic) -> None:
    failing = Recorder(lambda event: 1 / 0)
    topic.write(b"a", b"b")
    with polling(topic.mapping(), failing, topic.bootstrap):
        eventually(lambda: failing.events, what="a failure")
    working = Recorder()
    with polling(topic.mapping(), working, topic.bootstrap):
        eventually(lambda: working.values == [b"a", b"b"], what="the batch")


def test_a_topic_made_later_is_waited_for(kafka_server: KafkaBroker, topic: Topic, caplog: pytest.LogCaptureFixture) -> None:
    absent = topic.mapping(topics=(f"{topic.name}-later",))
    recorder = Recorder()
    poller = Poller(absent, Function("recorder", recorder), topic.bootstrap, Backoff())
    thread = threading.Thread(target=poller.run, daemon=True)
    thread.start()
    eventually(lambda: complaints(caplog), what="the complaint")
    assert not poller.positioned.is_set()
    topic.name = absent.topic
    topic.make()
    topic.write(b"a")
    eventually(lambda: recorder.values == [b"a"], what="the record")
    poller.stop()
    thread.join(10)
    assert not thread.is_alive()


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the pollers logged about the broker."""
    return [record.getMessage() for record in caplog.records if record.getMessage().startswith("broker or topic is away")]


class FragileBroker:
    """A broker that can be killed and started again; killed, it forgets what it has not saved."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self.start()

    def start(self) -> None:
        broker, self._process = start_broker(self._folder, self._port, self._folder / "kafka.log")
        self.bootstrap = broker.bootstrap

    def kill(self) -> None:
        self._process.kill()


@pytest.fixture
def fragile_broker(tmp_path: Path) -> Iterator[FragileBroker]:
    broker = FragileBroker(tmp_path)
    yield broker
    broker.kill()


def test_a_broker_killed_and_started_again_in_the_middle_is_served_again_and_complained_of_ever_more_rarely(
    fragile_broker: FragileBroker, caplog: pytest.LogCaptureFixture
) -> None:
    topic = Topic(fragile_broker.bootstrap, 3)
    recorder = Recorder()
    with polling(topic.mapping(), recorder, topic.bootstrap):
        topic.write(*[b"before"] * 20)
        eventually(lambda: len(recorder.values) == 20, what="the records before")
        fragile_broker.kill()
        eventually(lambda: any("times=2 " in complaint for complaint in complaints(caplog)), within=20, what="the second complaint")
        fragile_broker.start()
        topic.make()
        topic.write(b"after")
        eventually(lambda: b"after" in recorder.values, within=10, what="the record after")
        eventually(lambda: topic.committed()[0] is not None, what="the commit")
    topic.close()

    assert len(complaints(caplog)) <= 4


def test_a_broker_that_lost_its_records_is_read_from_the_beginning_where_it_holds_fetches(
    fragile_broker: FragileBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "_probe", lambda *_: None)
    topic = Topic(fragile_broker.bootstrap, 1)
    recorder = Recorder()
    with polling(topic.mapping(), recorder, topic.bootstrap):
        topic.write(*[b"before"] * 20)
        eventually(lambda: len(recorder.values) == 20, what="the records before")
        fragile_broker.kill()
        fragile_broker.start()
        topic.make()
        topic.write(b"after")
        eventually(lambda: b"after" in recorder.values, within=10, what="the record after")
    topic.close()
