"""Looking at the ends of a topic, and waiting for records by it."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from kafka import TopicPartition

from infra.esm.consumer import open_consumer
from infra.esm.feed import Cluster, Feed
from infra.partners.watch import CommandWatch
from infra.stack.probe import LIST_OFFSETS, EndProbe, EndsUnknown
from infra.stack.watch import watch_ends
from tests.support.esm import Topic
from tests.support.servers import KafkaBroker


@pytest.fixture
def topic(kafka_server: KafkaBroker) -> Iterator[Topic]:
    """A topic of three partitions for one test."""
    made = Topic(kafka_server.bootstrap, 3)
    yield made
    made.close()


class CountingConsumer:
    """A consumer that counts how often it is asked for records."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self.polls = 0

    def poll(self, **options: Any) -> Any:
        self.polls += 1
        return self._consumer.poll(**options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)


@pytest.fixture
def consumer(topic: Topic) -> Iterator[CountingConsumer]:
    opened = CountingConsumer(open_consumer(topic.mapping(), topic.bootstrap))
    yield opened
    opened.close(autocommit=False)


class HoldingBroker:
    """Answers about one empty partition as Apache Kafka does: an empty fetch waits."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join(5)
        self._listener.close()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            while size := connection.recv(4, socket.MSG_WAITALL):
                request = connection.recv(struct.unpack(">i", size)[0], socket.MSG_WAITALL)
                if struct.unpack_from(">h", request)[0] == LIST_OFFSETS:
                    answer = struct.pack(">ii", 0, 1) + struct.pack(">h", 1) + b"t" + struct.pack(">iihqq", 1, 0, 0, -1, 0)
                else:
                    after_client = 8 + 2 + len("esm-probe")
                    self._ended.wait(struct.unpack_from(">i", request, after_client + 4)[0] / 1000)
                    answer = struct.pack(">i", 0)
                connection.sendall(struct.pack(">i", len(answer)) + answer)


def test_the_ends_are_those_behind_the_last_records(topic: Topic) -> None:
    with EndProbe(topic.bootstrap, topic.name, [0, 1, 2]) as probe:
        assert probe.ends() == {0: 0, 1: 0, 2: 0}
        topic.write(b"a", b"b", partition=1)
        assert probe.ends() == {0: 0, 1: 2, 2: 0}


def test_the_ends_of_a_topic_that_is_not_there_are_unknown(topic: Topic) -> None:
    with EndProbe(topic.bootstrap, f"{topic.name}-other", [0]) as probe, pytest.raises(EndsUnknown):
        probe.ends()


def test_a_broker_that_holds_fetches_is_told_from_one_that_does_not(topic: Topic) -> None:
    holding = HoldingBroker()
    with EndProbe(holding.address, "t", [0]) as probe:
        assert probe.broker_holds_fetches()
    holding.close()
    with EndProbe(topic.bootstrap, topic.name, [0]) as probe:
        assert not probe.broker_holds_fetches()


def test_partners_are_shown_commands_by_the_ends_of_their_topics(kafka_server: KafkaBroker) -> None:
    topics = [Topic(kafka_server.bootstrap, 2) for _ in range(2)]
    positions = {TopicPartition(topic.name, number): 0 for topic in topics for number in range(2)}
    watch = CommandWatch([kafka_server.bootstrap], list(positions))
    assert not watch.shows_more(positions)
    topics[1].write(b"a", partition=1)
    assert watch.shows_more(positions)
    assert not watch.shows_more({**positions, TopicPartition(topics[1].name, 1): 1})
    watch.close()
    for topic in topics:
        topic.close()


def test_partners_ask_a_broker_that_holds_fetches_or_a_cluster_each_time() -> None:
    holding, partition = HoldingBroker(), TopicPartition("t", 0)
    for brokers in ([holding.address], ["127.0.0.1:1", "127.0.0.1:2"]):
        watch = CommandWatch(brokers, [partition])
        assert watch.shows_more({partition: 0})
        watch.close()
    holding.close()


def test_a_broker_that_closes_the_connection_is_an_error_of_the_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        probe = EndProbe(f"127.0.0.1:{listener.getsockname()[1]}", "t", [0])
        listener.accept()[0].close()
        with probe, pytest.raises(OSError, match=r"closed|reset|Broken pipe"):
            probe.ends()


def test_while_nothing_comes_the_consumer_is_left_alone(topic: Topic, consumer: CountingConsumer) -> None:
    feed = Feed(consumer, topic.name, Cluster(topic.bootstrap, watch_ends))
    start = time.monotonic()

    assert feed.poll(0.1, 10) == {}

    assert time.monotonic() - start >= 0.1
    assert consumer.polls == 0
    feed.close()


def test_a_held_partition_gives_nothing_until_it_is_let_go(topic: Topic, consumer: CountingConsumer) -> None:
    feed = Feed(consumer, topic.name, Cluster(topic.bootstrap, watch_ends))
    feed.hold({0})
    topic.write(b"a", partition=0)
    assert feed.poll(0.05, 10) == {}

    topic.write(b"b", partition=1)
    assert [record.value for record in feed.poll(5, 10)[1]] == [b"b"]
    feed.hold(set())
    assert [record.value for record in feed.poll(5, 10)[0]] == [b"a"]
    feed.close()


def test_going_back_gives_the_same_records_again(topic: Topic, consumer: CountingConsumer) -> None:
    feed = Feed(consumer, topic.name, Cluster(topic.bootstrap, watch_ends))
    topic.write(b"a", b"b", b"c", partition=2)
    assert [record.offset for record in feed.poll(5, 10)[2]] == [0, 1, 2]

    feed.go_to(2, 1)

    assert [record.offset for record in feed.poll(5, 10)[2]] == [1, 2]
    feed.close()


def test_records_beyond_the_asked_number_come_with_the_next_poll(topic: Topic, consumer: CountingConsumer) -> None:
    feed = Feed(consumer, topic.name, Cluster(topic.bootstrap, watch_ends))
    topic.write(b"a", b"b", b"c")

    assert [record.offset for number in range(3) for record in feed.poll(5, 1)[0]] == [0, 1, 2]
    feed.close()
