"""Reading partitions by fetches: from brokers that hold an empty one and from brokers that do not, and where a leader is in trouble."""

import struct
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from kafka import TopicPartition
from kafka.errors import NotLeaderForPartitionError
from kafka.protocol.consumer import FetchResponse

from infra.esm import fetch_request, leaders
from infra.esm.consumer import open_consumer
from infra.esm.feed import Feed
from infra.esm.fetch_request import FETCH, VERSION
from infra.esm.fetching import Fetching
from tests.support.esm import Topic
from tests.support.proxy import HOST, Proxy, standing_before


@pytest.fixture
def consumer(topic: Topic) -> Iterator[Any]:
    opened = open_consumer(topic.mapping(), topic.bootstrap)
    yield opened
    opened.close(autocommit=False)


@pytest.fixture
def feed(topic: Topic, consumer: Any) -> Iterator[Feed]:
    opened = Feed(consumer, topic.name)
    yield opened
    opened.close()


class Holding:
    """Has a proxy hold fetches as Apache Kafka does: until a record comes, which the test says, or their time is over."""

    def __init__(self) -> None:
        self.fetches = 0
        self.record_came = threading.Event()

    def __call__(self, frame: bytes) -> None:
        if is_fetch(frame):
            self.fetches += 1
            self.record_came.wait(wait_seconds(frame))


@pytest.fixture
def long_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetches may be held for twenty seconds: a wait for their end is not taken for a machine that stood still."""
    for module in ("fetching", "fetch_request"):
        monkeypatch.setattr(f"infra.esm.{module}.LONGEST_WAIT_SECONDS", 20.0)


class Broker(NamedTuple):
    node_id: int
    host: str
    port: int


class Metadata:
    """A cluster's metadata as the test has it: who leads each partition, now and after the next look."""

    def __init__(self, leaders: dict[int, Proxy], later: dict[int, Proxy] | None = None) -> None:
        self._leaders = leaders
        self._later = later or leaders
        self.updates = 0

    def leader_for_partition(self, partition: TopicPartition) -> int:
        return self._leaders[partition.partition].port

    def broker_metadata(self, node: int) -> Broker:
        return Broker(node, HOST, node)

    def request_update(self) -> None:
        self.updates += 1
        self._leaders = self._later


def is_fetch(frame: bytes) -> bool:
    return int.from_bytes(frame[:2], "big") == FETCH


def wait_seconds(frame: bytes) -> float:
    client_id_size = int.from_bytes(frame[8:10], "big")
    (wait_ms,) = struct.unpack_from(">i", frame, 10 + client_id_size + 4)
    return float(wait_ms / 1000)


def fetching(consumer: Any, metadata: Metadata, topic: Topic) -> Fetching:
    """Reads all partitions of the topic, from the leaders that the test names."""
    made = Fetching(consumer)
    made._leaders._cluster = metadata
    made.begin([TopicPartition(topic.name, number) for number in range(topic.partitions)])
    return made


def values(polled: dict[Any, list[Any]]) -> list[bytes]:
    return [record.value for records in polled.values() for record in records]


def test_a_held_partition_gives_nothing_until_it_is_let_go(topic: Topic, feed: Feed) -> None:
    feed.hold({0})
    topic.write(b"a", partition=0)
    assert feed.poll(0.05, 10) == {}

    topic.write(b"b", partition=1)
    assert values(feed.poll(5, 10)) == [b"b"]
    feed.hold(set())
    assert values(feed.poll(5, 10)) == [b"a"]


def test_what_was_fetched_of_a_partition_that_is_held_then_is_given_once_it_is_let_go(topic: Topic, feed: Feed) -> None:
    topic.write(b"a", b"b", b"c")
    assert values(feed.poll(5, 1)) == [b"a"]
    feed.hold({0})
    assert feed.poll(0.05, 10) == {}
    feed.hold(set())

    assert values(feed.poll(5, 10)) == [b"b", b"c"]


def test_going_back_gives_the_same_records_again(topic: Topic, feed: Feed) -> None:
    topic.write(b"a", b"b", b"c", partition=2)
    assert [record.offset for record in feed.poll(5, 2)[2]] == [0, 1]
    feed.go_to(2, 1)

    assert [record.offset for record in feed.poll(5, 10)[2]] == [1, 2]


def test_records_beyond_the_asked_number_come_with_the_next_poll_and_those_of_other_partitions_first(topic: Topic, feed: Feed) -> None:
    for number in range(3):
        topic.write(b"a", b"b", partition=number)

    polls = [feed.poll(5, 1) for _ in range(6)]
    assert sorted(number for polled in polls[:3] for number in polled) == [0, 1, 2]
    assert [record.offset for polled in polls for records in polled.values() for record in records] == [0, 0, 0, 1, 1, 1]


def test_behind_the_end_of_the_log_it_is_read_from_its_beginning(topic: Topic, feed: Feed, caplog: pytest.LogCaptureFixture) -> None:
    topic.write(b"a", b"b", partition=1)
    feed.go_to(1, 100)

    assert values(feed.poll(5, 10)) == [b"a", b"b"]
    assert f"position is out of range: topic={topic.name} partition=1 offset=100, going on at offset=0" in caplog.text


@pytest.mark.usefixtures("long_holds")
@pytest.mark.rule("long-polling")
def test_a_broker_that_holds_an_empty_fetch_is_asked_once_and_its_record_is_there_as_soon_as_it_comes(topic: Topic) -> None:
    holding = Holding()
    with standing_before(int(topic.bootstrap.rpartition(":")[2]), answer=holding) as proxy:
        consumer = open_consumer(topic.mapping(), proxy.bootstrap)
        feed = Feed(consumer, topic.name)
        assert feed.poll(0.2, 10) == {}
        assert holding.fetches == 1

        topic.write(b"a")
        threading.Timer(0.05, holding.record_came.set).start()
        begun = time.monotonic()
        assert values(feed.poll(20, 10)) == [b"a"]
        assert time.monotonic() - begun < 10
        feed.close()
        consumer.close(autocommit=False)


@pytest.mark.embedded("Apache Kafka holds an empty fetch")
def test_a_broker_that_answers_an_empty_fetch_at_once_is_left_alone_between_two(topic: Topic) -> None:
    fetches: list[float] = []
    with standing_before(
        int(topic.bootstrap.rpartition(":")[2]), answer=lambda frame: fetches.append(time.monotonic()) if is_fetch(frame) else None
    ) as proxy:
        consumer = open_consumer(topic.mapping(), proxy.bootstrap)
        feed = Feed(consumer, topic.name)
        begun = time.monotonic()
        assert feed.poll(2.0, 10) == {}
        assert time.monotonic() - begun >= 2.0
        # Ever more rarely, the longer nothing comes: some eighty, of which a machine that stands still takes away.
        assert 10 <= len(fetches) <= 300
        assert len([moment for moment in fetches if moment > begun + 1.8]) <= 14
        feed.close()
        consumer.close(autocommit=False)


@pytest.mark.usefixtures("long_holds")
def test_one_leader_s_records_do_not_wait_for_another_that_holds_its_fetch(topic: Topic, consumer: Any) -> None:
    holding = Holding()
    port = int(topic.bootstrap.rpartition(":")[2])
    with standing_before(port, answer=holding) as first, standing_before(port) as second:
        reader = fetching(consumer, Metadata({0: first, 1: second, 2: first}), topic)
        topic.write(b"a", b"b", partition=1)
        begun = time.monotonic()
        assert values(reader.poll(5, 1)) == [b"a"]
        assert values(reader.poll(5, 1)) == [b"b"]
        assert time.monotonic() - begun < 10

        topic.write(b"c", partition=2)
        holding.record_came.set()
        assert values(reader.poll(5, 10)) == [b"c"]
        reader.close()


def test_where_a_leader_has_moved_the_new_one_is_asked_and_the_other_partitions_go_on(topic: Topic, consumer: Any) -> None:
    def refuse(frame: bytes) -> bytes | None:
        if not is_fetch(frame):
            return None
        part = FetchResponse.FetchableTopicResponse.PartitionData
        gone = part(partition_index=0, error_code=NotLeaderForPartitionError.errno, high_watermark=-1, records=b"", aborted_transactions=[])
        topics = [FetchResponse.FetchableTopicResponse(topic=topic.name, partitions=[gone])]
        return b"\0\0\0\0" + bytes(FetchResponse(throttle_time_ms=0, error_code=0, session_id=0, responses=topics).encode(version=VERSION))

    port = int(topic.bootstrap.rpartition(":")[2])
    with standing_before(port, answer=refuse) as old, standing_before(port) as new:
        metadata = Metadata({0: old, 1: new, 2: new}, later={0: new, 1: new, 2: new})
        reader = fetching(consumer, metadata, topic)
        topic.write(b"a")
        topic.write(b"b", partition=1)
        found = values(reader.poll(5, 10))
        while len(found) < 2:
            found += values(reader.poll(5, 10))
        reader.close()

    assert sorted(found) == [b"a", b"b"]
    assert metadata.updates == 1


def test_a_broker_that_closes_the_connection_is_an_error_of_the_connection(topic: Topic, consumer: Any) -> None:
    with standing_before(int(topic.bootstrap.rpartition(":")[2])) as proxy:
        reader = fetching(consumer, Metadata(dict.fromkeys(range(3), proxy)), topic)
        reader.poll(0, 1)
        proxy.cut()
        with pytest.raises(OSError, match=r"closed|reset|Broken pipe"):
            reader.poll(1, 1)
        reader.close()


def test_a_connection_that_nothing_came_by_for_long_is_opened_anew(topic: Topic, consumer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with standing_before(int(topic.bootstrap.rpartition(":")[2])) as proxy:
        reader = fetching(consumer, Metadata(dict.fromkeys(range(3), proxy)), topic)
        topic.write(b"a")
        proxy.cut()
        monkeypatch.setattr(leaders, "IDLE_SECONDS", 0.0)
        assert values(reader.poll(1, 1)) == [b"a"]
        reader.close()


@pytest.mark.parametrize("number", [1, 2])
def test_a_broker_that_says_nothing_more_is_given_up(topic: Topic, consumer: Any, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(fetch_request, "PATIENCE_SECONDS", -0.3)
    port = int(topic.bootstrap.rpartition(":")[2])
    with standing_before(port) as first, standing_before(port) as second:
        reader = fetching(consumer, Metadata({0: first, 1: [first, second][number - 1], 2: first}), topic)
        first.forget()
        with pytest.raises(TimeoutError):
            reader.poll(1, 1)
        reader.close()
