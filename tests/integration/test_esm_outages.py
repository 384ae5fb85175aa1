"""A mapping whose broker or topic goes away, and comes back."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka.errors import KafkaError

from infra.esm import consumer
from infra.esm.feed import Cluster
from infra.esm.invoke import Function
from infra.esm.mapping import EventSourceMapping
from infra.esm.poller import Poller
from infra.esm.retry import Backoff
from infra.stack.broker import start_broker
from infra.stack.ports import free_port
from tests.support.esm import Recorder, Topic, polling
from tests.support.eventually import eventually
from tests.support.servers import KafkaBroker


def test_a_try_to_reach_a_broker_that_is_away_leaves_no_thread_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "BROKER_PATIENCE_MS", 600)
    mapping = EventSourceMapping("f", ("orders",), "TRIM_HORIZON")
    before = set(threading.enumerate())

    with pytest.raises(KafkaError):
        consumer.open_consumer(mapping, f"127.0.0.1:{free_port()}")

    assert {thread for thread in threading.enumerate() if thread.name.startswith("kafka-io")} <= before


@pytest.mark.rule("topic-away")
def test_a_topic_made_later_is_waited_for(kafka_server: KafkaBroker, topic: Topic, caplog: pytest.LogCaptureFixture) -> None:
    absent = topic.mapping(topics=(f"{topic.name}-later",))
    recorder = Recorder()
    poller = Poller(absent, Function("recorder", recorder), Cluster(topic.bootstrap), Backoff())
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
        eventually(lambda: any("times=2 " in complaint for complaint in complaints(caplog)), what="the second complaint")
        fragile_broker.start()
        topic.make()
        topic.write(b"after")
        eventually(lambda: b"after" in recorder.values, what="the record after")
        eventually(lambda: topic.committed()[0] is not None, what="the commit")
    topic.close()

    assert len(complaints(caplog)) <= 4


def test_a_broker_that_lost_its_records_is_read_from_the_beginning(fragile_broker: FragileBroker) -> None:
    topic = Topic(fragile_broker.bootstrap, 1)
    recorder = Recorder()
    with polling(topic.mapping(), recorder, topic.bootstrap):
        topic.write(*[b"before"] * 20)
        eventually(lambda: len(recorder.values) == 20, what="the records before")
        fragile_broker.kill()
        fragile_broker.start()
        topic.make()
        topic.write(b"after")
        eventually(lambda: b"after" in recorder.values, what="the record after")
    topic.close()
