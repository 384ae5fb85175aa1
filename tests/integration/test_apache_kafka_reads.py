"""The emulator of the event source mapping on Apache Kafka itself: what the embedded broker doesn't do, or does otherwise."""

from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from kafka import KafkaProducer
from kafka.errors import KafkaError

from infra.stack.apache_kafka import kafka_service, start_kafka
from infra.stack.broker import ensure_topics
from infra.stack.ports import free_port
from tests.support.esm import Recorder, Topic, polling
from tests.support.eventually import eventually

pytestmark = [pytest.mark.tool("kafka"), pytest.mark.timeout(300)]


class RestartedKafka:
    """Apache Kafka in a folder; it keeps its records when it is killed and started again, on the same port."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, free_port()
        self.start()

    def start(self) -> None:
        kafka, self._process = start_kafka(self._folder, self._port, self._folder / "kafka.log", kafka_service())
        self.bootstrap = kafka.bootstrap

    def kill(self) -> None:
        self._process.kill()
        eventually(lambda: self._process.exit_code is not None, what="the end of Apache Kafka")

    def stop(self) -> None:
        self._process.stop()


@pytest.fixture(scope="module")
def kafka_itself(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RestartedKafka]:
    running = RestartedKafka(tmp_path_factory.mktemp("apache-kafka"))
    yield running
    running.stop()


@pytest.fixture
def topic(kafka_itself: RestartedKafka) -> Iterator[Topic]:
    made = Topic(kafka_itself.bootstrap, 1)
    yield made
    made.close()


def has_leader(topic: Topic) -> bool:
    """Whether the partition answers: a node that was killed leads again once its old session is over, after nine seconds."""
    with suppress(KafkaError):
        return topic.ends() == {0: 20}
    return False


@pytest.mark.rule("control-batches")
def test_the_markers_of_real_transactions_are_passed_over_and_what_was_aborted_is_delivered(topic: Topic) -> None:
    recorder = Recorder()
    with closing(KafkaProducer(bootstrap_servers=topic.bootstrap, transactional_id="partner")) as producer:
        producer.init_transactions()
        producer.begin_transaction()
        producer.send(topic.name, b"committed", partition=0)
        producer.commit_transaction()
        producer.begin_transaction()
        producer.send(topic.name, b"aborted", partition=0).get(60)
        producer.abort_transaction()
    topic.write(b"after")
    with polling(topic.mapping(), recorder, topic.bootstrap):
        eventually(lambda: b"after" in recorder.values, what="the last record")
        eventually(lambda: topic.committed()[0] == topic.ends()[0], what="the commit behind the last record")

    assert recorder.values == [b"committed", b"aborted", b"after"]
    assert recorder.places == [(0, 0), (0, 2), (0, 4)]


@pytest.mark.rule("codecs")
@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_records_that_the_broker_compresses_anew_are_delivered(kafka_itself: RestartedKafka, codec: str) -> None:
    recorder, name = Recorder(), f"compressed-by-{codec}"
    ensure_topics(kafka_itself.bootstrap, {name: 1}, own={name: {"compression.type": codec}})
    with closing(Topic(kafka_itself.bootstrap, 1, name)) as topic:
        topic.write(b"a", b"z" * 100_000)
        with polling(topic.mapping(), recorder, topic.bootstrap):
            eventually(lambda: recorder.values == [b"a", b"z" * 100_000], what="the records")


def test_a_broker_that_was_killed_and_started_again_goes_on_where_it_was_and_gives_each_record_once(
    kafka_itself: RestartedKafka, topic: Topic
) -> None:
    recorder = Recorder()
    with polling(topic.mapping(), recorder, topic.bootstrap):
        topic.write(*[b"before"] * 20)
        eventually(lambda: topic.committed()[0] == 20, what="the commit of the records before")
        kafka_itself.kill()
        kafka_itself.start()
        eventually(lambda: has_leader(topic), within=60, what="a leader of the partition")
        topic.write(b"after")
        eventually(lambda: b"after" in recorder.values, within=60, what="the record after")

    assert recorder.values == [b"before"] * 20 + [b"after"]
