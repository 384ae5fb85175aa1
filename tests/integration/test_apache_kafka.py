"""The producer with Apache Kafka itself, as `make kafka` starts it."""

from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from chalicelib.errors import Unavailable
from chalicelib.ids import new_id
from chalicelib.messages.envelope import Outgoing
from chalicelib.messaging.producer import Producer
from infra.stack.apache_kafka import kafka_service, start_kafka
from infra.stack.broker import ensure_topics
from infra.stack.ports import free_port
from tests.integration.test_publisher import event, sequences
from tests.support.eventually import eventually
from tests.support.kafka_records import on_topic

TOPIC, SMALL, FIRST = "order-events", "small-records", "first-records"

pytestmark = [pytest.mark.tool("kafka"), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("apache-kafka")
    kafka, process = start_kafka(folder, free_port(), folder / "kafka.log", kafka_service())
    try:
        ensure_topics(kafka.bootstrap, {TOPIC: 3, SMALL: 1, FIRST: 1}, own={SMALL: {"max.message.bytes": "20000"}})
        # A broker that has just started leaves requests unanswered for longer than the producer waits.
        eventually(lambda: takes_records(kafka.bootstrap), within=60, what="a record in a new topic")
        yield kafka.bootstrap
    finally:
        process.stop()


def takes_records(bootstrap: str) -> bool:
    with closing(Producer(bootstrap)) as made, suppress(Unavailable):
        return made.send([event(new_id(), 1, FIRST)], 5) == [None]
    return False


@pytest.fixture
def producer(bootstrap: str) -> Iterator[Producer]:
    with closing(Producer(bootstrap)) as made:
        yield made


def test_what_is_sent_is_read_to_the_byte_and_in_order(producer: Producer, bootstrap: str) -> None:
    producer.check(5)
    orders = [new_id() for _ in range(50)]
    waves = [[event(order_id, number, size=2_000) for order_id in orders] for number in (1, 2, 3)]
    assert [producer.send(wave, 10) for wave in waves] == [[None] * 50] * 3
    odd = [Outgoing(TOPIC, b"gone", None, ()), Outgoing(TOPIC, None, b"value", (("h\u00e9", b""),))]
    assert producer.send(odd, 10) == [None, None]

    found = on_topic(bootstrap, TOPIC)

    assert {(each.key, each.value, each.headers) for each in found} == {
        (each.key, each.value, each.headers) for each in (*(each for wave in waves for each in wave), *odd)
    }
    assert len(found) == 152
    assert sequences([each for each in found if each.value and each.key]) == {order_id: [1, 2, 3] for order_id in orders}


def test_of_a_batch_that_is_too_large_only_the_record_that_is_too_large_is_refused(producer: Producer, bootstrap: str) -> None:
    order_id = new_id()
    records = [event(order_id, number, SMALL, size=30_000 if number == 7 else 5_000) for number in range(12)]
    outcomes = producer.send(records, 10)
    assert [type(outcome).__name__ for outcome in outcomes] == [
        "MessageSizeTooLargeError" if each == 7 else "NoneType" for each in range(12)
    ]
    assert sequences(on_topic(bootstrap, SMALL)) == {order_id: [number for number in range(12) if number != 7]}
    assert not producer.resting


def test_a_topic_that_nobody_made_is_not_made(producer: Producer) -> None:
    [outcome] = producer.send([event(new_id(), 1, "mispelt-events")], 5)
    assert type(outcome).__name__ == "UnknownTopicOrPartitionError"
