"""What goes to a broker and what comes back: batches read again by kafka-python's own reader, partitions, sizes, answers."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import errors
from kafka.cluster import ClusterMetadata
from kafka.partitioner import DefaultPartitioner
from kafka.protocol.metadata import MetadataResponse
from kafka.protocol.producer import ProduceResponse
from kafka.record import MemoryRecords
from kafka.structs import TopicPartition

from chalicelib.messages.envelope import Outgoing
from chalicelib.messaging import brokers as sending
from chalicelib.messaging.brokers import Batch, Brokers, Sized, encoded, next_round

TOPIC, PARTITIONS, LEADERS = "order-events", 3, 2
Respond = Callable[[int, list[Outgoing]], int]


def message(number: int = 0, *, size: int = 10, topic: str = TOPIC, key: bytes | None = b"key") -> Outgoing:
    return Outgoing(topic, key, str(number).encode().rjust(size), (("number", str(number).encode()),))


def batch_of(messages: Sequence[Outgoing], partition: int = 0) -> Batch:
    batch = Batch(TopicPartition(TOPIC, partition))
    for number, each in enumerate(messages):
        batch.add(Sized(number, each, len(each.value or b"")))
    return batch


def read(records: bytes) -> list[Outgoing]:
    """The records as kafka-python's consumer reads them."""
    [batch] = list(iter(MemoryRecords(records).next_batch, None))
    assert batch.validate_crc()
    assert (batch.magic, batch.compression_type, batch.producer_id, batch.is_transactional) == (2, 0, -1, False)
    found = list(batch)
    assert [record.offset for record in found] == list(range(len(found)))
    return [Outgoing(TOPIC, record.key, record.value, tuple(record.headers)) for record in found]


def read_again(response: Any) -> Any:
    """The answer as it comes out of a connection."""
    return type(response).decode(response.encode(), version=response.API_VERSION)


class Cluster:
    """A cluster that answers each partition's batch as `respond` says: an error code for a leader and the records it was sent."""

    def __init__(self, respond: Respond = lambda _leader, _records: 0) -> None:
        self.respond = respond
        self.leaders = {partition: partition % LEADERS for partition in range(PARTITIONS)}
        self.requests: list[tuple[int, dict[int, list[Outgoing]]]] = []
        self.asked = 0

    def answer(self, node: int, request: Any) -> Any:
        if type(request).__name__ == "MetadataRequest":
            self.asked += 1
            return self._metadata([topic.name for topic in request.topics])
        assert request.acks == -1
        sent = {data.index: read(data.records) for topic in request.topic_data for data in topic.partition_data}
        self.requests.append((node, sent))
        topic = ProduceResponse.TopicProduceResponse
        answers = [
            topic.PartitionProduceResponse(index=index, error_code=self.respond(node, records), error_message=None)
            for index, records in sent.items()
        ]
        return read_again(ProduceResponse(responses=[topic(name=TOPIC, partition_responses=answers)], version=8))

    def _metadata(self, names: list[str]) -> Any:
        topic = MetadataResponse.MetadataResponseTopic
        partitions = [
            topic.MetadataResponsePartition(partition_index=number, leader_id=leader, leader_epoch=0)
            for number, leader in self.leaders.items()
        ]
        known = {TOPIC: topic(name=TOPIC, error_code=0, partitions=partitions)}
        unknown = errors.UnknownTopicOrPartitionError.errno
        response = MetadataResponse(
            brokers=[MetadataResponse.MetadataResponseBroker(node_id=node, host="127.0.0.1", port=1, rack=None) for node in range(LEADERS)],
            topics=[known.get(name) or topic(name=name, error_code=unknown, partitions=[]) for name in names],
            version=9,
        )
        return read_again(response)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def brokers(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Brokers]:
    monkeypatch.setattr(Brokers, "_request", lambda _self, node, request, _deadline: cluster.answer(node or 0, request))
    monkeypatch.setattr(Brokers, "_wait", lambda _self, answer, _deadline: answer)
    with closing(Brokers({"bootstrap_servers": ["127.0.0.1:1"]})) as made:
        yield made


def send(brokers: Brokers, messages: Sequence[Outgoing]) -> list[str]:
    outcomes = brokers.send(messages, time.monotonic() + 60)
    return ["acknowledged" if outcome is None else type(outcome).__name__ for outcome in outcomes]


optional = st.none() | st.binary(max_size=300)
headers = st.lists(st.tuples(st.text(max_size=200), st.binary(max_size=200)), max_size=5).map(tuple)


@given(st.lists(st.builds(Outgoing, st.just(TOPIC), optional, optional, headers), min_size=1, max_size=5))
def test_what_is_encoded_is_read_again_by_kafka_python(messages: list[Outgoing]) -> None:
    assert read(encoded(batch_of(messages))) == messages


@given(key=st.binary(max_size=100), partitions=st.integers(1, 50))
def test_a_key_has_the_partition_that_kafka_s_clients_give_it(key: bytes, partitions: int) -> None:
    cluster = ClusterMetadata()
    cluster._partitions = {TOPIC: dict.fromkeys(range(partitions), MetadataResponse.MetadataResponseTopic.MetadataResponsePartition())}
    unconnected = SimpleNamespace(_cluster=cluster)
    found = Brokers._partition(cast(Brokers, unconnected), Outgoing(TOPIC, key, b"", ()))
    assert found.partition == DefaultPartitioner().partition(TOPIC, key, key, None, None, cluster)


def test_a_wave_is_one_request_a_broker(brokers: Brokers, cluster: Cluster) -> None:
    messages = [message(number, key=str(number).encode()) for number in range(30)]
    assert send(brokers, messages) == ["acknowledged"] * 30
    assert sorted(node for node, _ in cluster.requests) == [0, 1]
    assert sorted(index for _, sent in cluster.requests for index in sent) == [0, 1, 2]
    sent_values = {each.value for _, sent in cluster.requests for records in sent.values() for each in records}
    assert sent_values == {each.value for each in messages}
    assert cluster.asked == 1


def test_what_exceeds_a_request_goes_in_several_in_order(brokers: Brokers, cluster: Cluster) -> None:
    messages = [message(number, size=200_000) for number in range(10)]
    assert send(brokers, messages) == ["acknowledged"] * 10
    sent = [records for _, partitions in cluster.requests for records in partitions.values()]
    assert [len(records) for records in sent] == [4, 4, 2]
    assert [each.value for records in sent for each in records] == [each.value for each in messages]


def test_a_round_keeps_the_order_of_a_partition_and_the_size_of_a_request() -> None:
    sizes = [(0, 500_000), (1, 500_000), (1, 1), (0, 1), (2, 1)]
    waiting = [Batch(TopicPartition(TOPIC, partition), size=size) for partition, size in sizes]
    rounds = []
    while waiting:
        going, waiting = next_round(waiting)
        rounds.append([(batch.partition.partition, batch.size) for batch in going])
    assert rounds == [[(0, 500_000), (2, 1)], [(1, 500_000), (0, 1)], [(1, 1)]]


@pytest.mark.parametrize(
    ("refused", "why"),
    [
        (message(1, size=1_100_000), "MessageSizeTooLargeError"),
        (message(1, topic="no topic"), "ValueError"),
        (Outgoing(TOPIC, None, None, ()), "ValueError"),
        (message(1, topic="unknown"), "UnknownTopicOrPartitionError"),
    ],
    ids=["too large", "impossible topic", "neither key nor value", "unknown topic"],
)
def test_what_can_t_be_sent_keeps_nothing_else_back(brokers: Brokers, cluster: Cluster, refused: Outgoing, why: str) -> None:
    assert send(brokers, [message(0), refused, message(2)]) == ["acknowledged", why, "acknowledged"]
    assert len(cluster.requests) == 1


@pytest.mark.parametrize("error", sending.REFUSALS)
def test_of_a_batch_refused_for_one_record_only_that_one_is_refused(brokers: Brokers, cluster: Cluster, error: Any) -> None:
    taken: list[Outgoing] = []

    def refuse_the_fifth(_: int, records: list[Outgoing]) -> int:
        if any(each.headers == (("number", b"5"),) for each in records):
            return int(error.errno)
        taken.extend(records)
        return 0

    cluster.respond = refuse_the_fifth
    messages = [message(number) for number in range(20)]
    assert send(brokers, messages) == [error.__name__ if number == 5 else "acknowledged" for number in range(20)]
    assert taken == [each for number, each in enumerate(messages) if number != 5]
    assert len(cluster.requests) < 12


def test_the_other_partitions_of_an_answer_with_an_error_count(brokers: Brokers, cluster: Cluster) -> None:
    cluster.respond = lambda leader, _records: errors.NotEnoughReplicasError.errno if leader == 1 else 0
    messages = [message(number, key=str(number).encode()) for number in range(30)]
    leaders = [cluster.leaders[brokers_partition(brokers, each)] for each in messages]
    assert {0, 1} == set(leaders)
    assert send(brokers, messages) == ["NotEnoughReplicasError" if leader else "acknowledged" for leader in leaders]


def brokers_partition(brokers: Brokers, each: Outgoing) -> int:
    brokers._learn({each.topic}, time.monotonic() + 60)
    return brokers._partition(each).partition


def test_records_follow_a_leader_that_has_moved(brokers: Brokers, cluster: Cluster) -> None:
    cluster.leaders = dict.fromkeys(range(PARTITIONS), 0)
    assert send(brokers, [message(0)]) == ["acknowledged"]
    cluster.leaders = dict.fromkeys(range(PARTITIONS), 1)
    cluster.respond = lambda leader, _records: 0 if leader == 1 else errors.NotLeaderForPartitionError.errno
    assert send(brokers, [message(1), message(2)]) == ["acknowledged"] * 2
    assert [node for node, _ in cluster.requests] == [0, 0, 1]


def test_a_leader_that_goes_on_moving_is_asked_for_once(brokers: Brokers, cluster: Cluster) -> None:
    cluster.respond = lambda _leader, _records: errors.NotLeaderForPartitionError.errno
    assert send(brokers, [message(0)]) == ["NotLeaderForPartitionError"]
    assert (len(cluster.requests), cluster.asked) == (2, 2)


def test_trouble_ends_the_sending(brokers: Brokers, cluster: Cluster) -> None:
    cluster.respond = lambda _leader, _records: errors.RequestTimedOutError.errno
    outcomes = send(brokers, [message(number, size=600_000) for number in range(3)])
    assert outcomes == ["RequestTimedOutError", "KafkaTimeoutError", "KafkaTimeoutError"]
    assert len(cluster.requests) == 1


def test_metadata_is_asked_for_anew_after_a_while(brokers: Brokers, cluster: Cluster) -> None:
    send(brokers, [message(0)])
    send(brokers, [message(0)])
    assert cluster.asked == 1
    brokers._asked_at -= sending.METADATA_SECONDS
    send(brokers, [message(0)])
    assert cluster.asked == 2
