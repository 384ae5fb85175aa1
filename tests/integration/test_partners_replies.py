"""Replies on their way to a real broker: in order, acknowledged, or an error."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import LeaderNotAvailableError, MessageSizeTooLargeError
from kafka.partitioner import DefaultPartitioner

from chalicelib.messages.envelope import Outgoing
from infra.esm.connecting import connected
from infra.partners import replies
from infra.partners.replies import Replies
from tests.support.esm import Topic


@pytest.fixture
def consumer(topic: Topic) -> Iterator[Any]:
    opened = connected(
        KafkaConsumer, bootstrap_servers=[topic.bootstrap], auto_offset_reset="earliest", group_id=None, allow_auto_create_topics=False
    )
    opened.assign([TopicPartition(topic.name, number) for number in range(3)])
    yield opened
    opened.close()


@pytest.fixture
def way(topic: Topic, consumer: Any) -> Iterator[Replies]:
    opened = Replies(consumer, {topic.name: [0, 1, 2]})
    yield opened
    opened.close()


def reply(topic: Topic, key: str, value: bytes) -> Outgoing:
    return Outgoing(topic.name, key.encode(), value, (("ce_id", b"1"), ("ce_id", b"2")))


def stored(consumer: Any, number: int) -> Sequence[Any]:
    found: list[Any] = []
    while len(found) < number:
        found += [record for records in consumer.poll(timeout_ms=1000).values() for record in records]
    return found


def test_replies_arrive_to_the_byte_where_kafka_s_own_clients_would_have_put_them(topic: Topic, consumer: Any, way: Replies) -> None:
    sent = [reply(topic, f"order-{number}", b"%d" % number) for number in range(20)]
    way.send(sent)

    records = stored(consumer, 20)
    assert {(record.key, record.value, tuple(record.headers)) for record in records} == {
        (each.key, each.value, each.headers) for each in sent
    }
    assert {record.partition for record in records} == {0, 1, 2}
    partition = DefaultPartitioner().partition
    assert all(record.partition == partition(topic.name, record.key, record.key, None, None, consumer._cluster) for record in records)


def test_those_of_one_order_that_fit_in_no_batch_together_arrive_in_their_order(
    topic: Topic, consumer: Any, way: Replies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replies, "MOST_BATCH_BYTES", 1000)
    way.send([reply(topic, "order", b"%d" % number * 300) for number in range(10)])

    assert [record.value for record in stored(consumer, 10)] == [b"%d" % number * 300 for number in range(10)]


def test_what_the_broker_refuses_is_an_error(topic: Topic, way: Replies) -> None:
    with pytest.raises(MessageSizeTooLargeError):
        way.send([reply(topic, "order", b"x" * 2_000_000)])


def test_a_topic_that_is_not_there_is_an_error_and_is_not_made(topic: Topic, consumer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replies, "PATIENCE_SECONDS", 0.3)
    absent = f"{topic.name}-absent"
    consumer.assign([TopicPartition(absent, 0)])
    way = Replies(consumer, {absent: [0]})
    with pytest.raises(LeaderNotAvailableError):
        way.send([Outgoing(absent, b"order", b"{}", ())])

    # By somebody else, whom no metadata of the absent one fails.
    with closing(KafkaConsumer(bootstrap_servers=[topic.bootstrap])) as other:
        assert absent not in other.topics()


def test_leaders_that_were_forgotten_are_asked_for_again(topic: Topic, consumer: Any, way: Replies) -> None:
    # As by an answer to a request for metadata that was under way when the topics were set.
    consumer._cluster._partitions.clear()
    way.send([reply(topic, "order", b"{}")])

    assert len(stored(consumer, 1)) == 1
