"""Records whose header names are no UTF-8, as clients in other languages may write them."""

import time

import pytest
from kafka import KafkaProducer

from tests.support.esm import Recorder, Topic, polling, records_of
from tests.support.eventually import eventually
from tests.support.servers import KafkaBroker

# A record that is much older may be gone before it is read: the broker keeps none beyond its retention.
NOW_MS = int(time.time() * 1000)


class NoText(str):
    """A header name that is written as bytes that are no UTF-8."""

    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        return b"\xff" + super().encode()


@pytest.mark.rule("header-name-not-utf8")
@pytest.mark.parametrize("compression", [None, "gzip"])
def test_such_a_name_is_told_with_a_replacement_character_and_holds_up_no_neighbour(
    kafka_server: KafkaBroker, compression: str | None
) -> None:
    topic = Topic(kafka_server.bootstrap, 1)
    producer = KafkaProducer(bootstrap_servers=topic.bootstrap, linger_ms=200, compression_type=compression)
    for value, name in ((b"a", "name"), (None, NoText("name")), (b"c", "name")):
        producer.send(topic.name, value, key=b"k", headers=[("first", b"1"), (name, b"2")], partition=0, timestamp_ms=NOW_MS)
    producer.close()
    recorder = Recorder()
    with polling(topic.mapping(), recorder, topic.bootstrap):
        eventually(lambda: topic.committed() == {0: 3}, what="the commit")
    topic.close()

    records = [record for event in recorder.events for record in records_of(event)]
    assert [record["headers"] for record in records] == [[{"first": [49]}, {name: [50]}] for name in ("name", "\ufffdname", "name")]
    assert [record["offset"] for record in records] == [0, 1, 2]
    assert {(record["key"], record["timestamp"], record["timestampType"]) for record in records} == {("aw==", NOW_MS, "CREATE_TIME")}
    assert ["value" in record for record in records] == [True, False, True]
