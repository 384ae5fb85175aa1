"""Compressed and unreadable batches on a real broker, as an event source mapping meets them."""

import json
import logging
from collections.abc import Iterator

import pytest
from kafka import codec

from infra.esm import metrics as names
from infra.esm.readings import Readings
from infra.esm.service import Service
from tests.support.esm import Recorder, Topic, polling
from tests.support.eventually import eventually
from tests.support.proxy import standing_before
from tests.support.record_batches import CODECS, IS_CONTROL, IS_TRANSACTIONAL, batch, produce, with_payload
from tests.support.servers import KafkaBroker

NO_CODEC = batch(b"x", b"y", attributes=7)
CUT_OFF = with_payload(batch(b"x", b"y", codec=CODECS["gzip"]), lambda data: data[:-12])


@pytest.fixture
def topic(kafka_server: KafkaBroker) -> Iterator[Topic]:
    """A topic of two partitions for one test."""
    made = Topic(kafka_server.bootstrap, 2)
    yield made
    made.close()


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged about batches that can't be read."""
    return [record.getMessage() for record in caplog.records if record.getMessage().startswith("batch can't be read")]


@pytest.mark.embedded("Apache Kafka refuses to take such a batch")
@pytest.mark.rule("codecs")
def test_batches_of_every_codec_are_delivered(topic: Topic) -> None:
    recorder = Recorder()
    for name, each in CODECS.items():
        assert produce(topic.bootstrap, topic.name, batch(name.encode(), b"z" * 100_000, codec=each)) == 0
    with polling(topic.mapping(), recorder, topic.bootstrap):
        eventually(lambda: topic.committed()[0] == 2 * len(CODECS), what="the commit")

    assert recorder.values == [value for name in CODECS for value in (name.encode(), b"z" * 100_000)]


@pytest.mark.embedded("Apache Kafka refuses to take such a batch")
@pytest.mark.rule("control-batches")
def test_markers_of_transactions_and_empty_batches_are_passed_over(topic: Topic) -> None:
    recorder = Recorder()
    control = batch(b"\0" * 6, key=b"\0\0\0\1", attributes=IS_TRANSACTIONAL | IS_CONTROL)
    for written in (batch(b"a", attributes=IS_TRANSACTIONAL), control, batch(), batch(b"d")):
        assert produce(topic.bootstrap, topic.name, written) == 0
    with polling(topic.mapping(), recorder, topic.bootstrap):
        eventually(lambda: recorder.values == [b"a", b"d"], what="the records")


@pytest.mark.embedded("Apache Kafka refuses to take such a batch")
@pytest.mark.rule("unreadable-batch-told")
@pytest.mark.rule("unreadable-batch")
def test_a_batch_that_can_not_be_read_blocks_its_partition_and_no_other(topic: Topic, caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder()
    topic.write(b"a")
    assert produce(topic.bootstrap, topic.name, NO_CODEC) == 0
    topic.write(b"d")
    with polling(topic.mapping(system_log_level="WARN"), recorder, topic.bootstrap, Readings(unreadable="block")) as poller:
        eventually(lambda: topic.committed() == {0: 1, 1: None}, what="the record before")
        # Read again and again, and each time without success.
        eventually(lambda: poller.metrics.snapshot()[names.POLLING_ERROR] >= 3, what="several tries")
        topic.write(b"b", b"c", partition=1)
        eventually(lambda: topic.committed() == {0: 1, 1: 2}, what="the other partition")
        assert poller.metrics.snapshot()[names.DROPPED] == 0

    assert recorder.values == [b"a", b"b", b"c"]
    told = complaints(caplog)
    assert 2 <= len(told) <= 4
    assert all(f"topic={topic.name} partition=0 offset=1 reason=unknown compression codec 7" in each for each in told)
    assert "broker or topic is away" not in caplog.text
    system = [json.loads(record.getMessage()) for record in caplog.records if record.getMessage().startswith('{"eventType"')]
    assert {line["error"]["errorCode"] for line in system} == {"UnreadableBatch"}


@pytest.mark.embedded("Apache Kafka refuses to take such a batch")
@pytest.mark.rule("unreadable-batch")
def test_or_it_is_left_out_and_counted_as_dropped(topic: Topic, caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder()
    topic.write(b"a")
    assert produce(topic.bootstrap, topic.name, NO_CODEC) == 0
    topic.write(b"d")
    assert produce(topic.bootstrap, topic.name, CUT_OFF) == 0
    with polling(topic.mapping(), recorder, topic.bootstrap, Readings(unreadable="drop")) as poller:
        end = topic.ends()[0]
        eventually(lambda: topic.committed()[0] == end, what="the commit behind all")
        assert poller.metrics.snapshot()[names.DROPPED] == end - 2

    assert recorder.values == [b"a", b"d"]
    assert len(complaints(caplog)) == 2
    assert f"it is dropped up to offset 2: topic={topic.name} partition=0 offset=1 reason=unknown compression codec 7" in caplog.text


@pytest.mark.rule("unreadable-batch-told")
def test_a_batch_that_was_damaged_on_the_way_is_read_once_it_is_sound(
    kafka_server: KafkaBroker, topic: Topic, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    recorder = Recorder()
    with standing_before(kafka_server.server.port) as proxy:
        proxy.falsify = (b"a sound value", b"a wrong value")
        with polling(topic.mapping(), recorder, proxy.bootstrap):
            topic.write(b"a sound value")
            topic.write(b"b", partition=1)
            eventually(lambda: recorder.values == [b"b"] and complaints(caplog), what="the neighbour")
            assert "partition=0 offset=0 reason=its checksum is wrong" in complaints(caplog)[0]
            proxy.falsify = None
            eventually(lambda: recorder.values == [b"b", b"a sound value"], what="the record")

    assert f"partition is read again: topic={topic.name} partition=0 offset=0" in caplog.text


@pytest.mark.rule("codec-missing")
def test_without_the_package_of_a_codec_its_batches_wait_whatever_becomes_of_unreadable_ones(
    topic: Topic, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder()
    assert produce(topic.bootstrap, topic.name, batch(b"a", codec=CODECS["zstd"])) == 0
    with monkeypatch.context() as patch:
        patch.setattr(codec, "zstd", None)
        service = Service([])
        service.stop()
        service.run()
        assert "records compressed with zstd can't be read: install the package zstandard" in caplog.text
        with polling(topic.mapping(), recorder, topic.bootstrap, Readings(unreadable="drop")):
            eventually(lambda: complaints(caplog), what="the complaint")
            topic.write(b"b", partition=1)
            eventually(lambda: recorder.values == [b"b"], what="the neighbour")
    assert "the package zstandard is not installed" in complaints(caplog)[0]
    with polling(topic.mapping(), recorder, topic.bootstrap):
        eventually(lambda: recorder.values == [b"b", b"a"], what="the record")
