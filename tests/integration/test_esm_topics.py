"""Topics that come, go and grow while a mapping is at work."""

import json
import logging
from collections.abc import Iterator

import pytest
from kafka.admin import KafkaAdminClient

from infra.esm import consumer, session
from tests.support.esm import Recorder, Topic, polling
from tests.support.eventually import eventually
from tests.support.servers import KafkaBroker


@pytest.fixture
def topic(kafka_server: KafkaBroker) -> Iterator[Topic]:
    """A topic of one partition for one test."""
    made = Topic(kafka_server.bootstrap, 1)
    yield made
    made.close()


@pytest.fixture
def admin(kafka_server: KafkaBroker) -> Iterator[KafkaAdminClient]:
    client = KafkaAdminClient(bootstrap_servers=kafka_server.bootstrap)
    yield client
    client.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mappings that look for other partitions several times a second."""
    monkeypatch.setattr(session, "PARTITIONS_SECONDS", 0.1)
    monkeypatch.setattr(consumer, "METADATA_AGE_MS", 100)


def assigned(caplog: pytest.LogCaptureFixture) -> list[list[str]]:
    """The partitions that the mapping held, each time that it told so."""
    lines = [record.getMessage() for record in caplog.records if "POLLER_STATUS_EVENT" in record.getMessage()]
    return [json.loads(line)["kafkaEventSourceConnection"]["assignedPartitions"] for line in lines]


@pytest.mark.rule("partitions-added")
@pytest.mark.parametrize("position", ["TRIM_HORIZON", "LATEST"])
def test_partitions_added_meanwhile_are_polled_and_a_batch_of_another_goes_on_waiting(
    topic: Topic, admin: KafkaAdminClient, impatient: None, caplog: pytest.LogCaptureFixture, position: str
) -> None:
    caplog.set_level(logging.INFO)
    recorder = Recorder()
    recorder.react = lambda event: 1 / 0 if recorder.values[-1] == b"stuck" else None
    with polling(topic.mapping(starting_position=position, system_log_level="INFO"), recorder, topic.bootstrap):
        topic.write(b"stuck")
        eventually(lambda: recorder.values, what="the failing record")
        admin.create_partitions({topic.name: 2})
        eventually(lambda: len(assigned(caplog)) == 2, what="the new partition")
        grown = Topic(topic.bootstrap, 2, topic.name)
        grown.write(b"behind")
        grown.write(b"new", partition=1)
        eventually(lambda: b"new" in recorder.values, what="the record of the new partition")
        grown.close()

    assert b"behind" not in recorder.values
    assert recorder.values.count(b"stuck") >= 2
    assert assigned(caplog) == [[f"{topic.name}-0"], [f"{topic.name}-0", f"{topic.name}-1"]]


@pytest.mark.rule("topic-away")
def test_a_topic_that_is_deleted_and_made_again_is_polled_from_its_new_beginning(topic: Topic, admin: KafkaAdminClient) -> None:
    recorder = Recorder()
    with polling(topic.mapping(), recorder, topic.bootstrap) as poller:
        topic.write(b"a", b"b", b"c")
        eventually(lambda: topic.committed() == {0: 3}, what="the commit")
        admin.delete_topics([topic.name])
        eventually(lambda: poller.metrics.snapshot()["PollingErrorCount"], what="the loss of the topic")
        topic.make()
        anew = Topic(topic.bootstrap, 1, topic.name)
        anew.write(b"d")
        eventually(lambda: b"d" in recorder.values, what="the record of the new topic")
        anew.close()

    assert recorder.values == [b"a", b"b", b"c", b"d"]
