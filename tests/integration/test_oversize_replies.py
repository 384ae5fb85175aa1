"""Replies whose event is larger than the 6 MB that Lambda hands to a function."""

import json
from dataclasses import replace

import pytest
from sqlalchemy.exc import OperationalError

from chalicelib.messages.topics import PARTITIONS, SETTINGS, TRIGGERS
from infra.esm import metrics as names
from infra.esm.batch import OpenBatch
from infra.esm.event import EventFrame, encode_record
from infra.esm.failures import RETRIES_EXHAUSTED, TOO_LARGE, Failure
from infra.stack.broker import ensure_topics, unbounded_topics
from infra.stack.dropped import DeadLetters
from infra.stack.triggers import mapping_of
from tests.integration.conftest import Service
from tests.support.esm import FakeRecord, Recorder, Topic, polling
from tests.support.eventually import eventually
from tests.support.kafka_records import Record, answer
from tests.support.record_batches import CODECS, batch, produce
from tests.support.servers import KafkaBroker

ON_USER_EVENTS = TRIGGERS[0]


def a_huge_reply(service: Service) -> Record:
    """A sound reply but for its size: twenty megabytes of blanks, which a codec makes twenty kilobytes of."""
    reply = answer(service.world.pending(service.world.place()))
    service.world.forget_outbox()
    return replace(reply, value=(reply.value or b"") + b" " * 20_000_000)


def in_a_batch(record: Record) -> bytes:
    headers = [(name.encode(), value) for name, value in record.headers]
    return batch(record.value or b"", codec=CODECS["gzip"], key=record.key, headers=headers)


@pytest.mark.embedded("Apache Kafka refuses a record above its topic's limit")
def test_at_home_such_a_reply_is_a_dead_letter_and_its_neighbours_are_taken(service: Service) -> None:
    huge, small = a_huge_reply(service), answer(service.world.pending(service.world.place()))
    service.world.forget_outbox()
    for record in (huge, small):
        assert produce(service.broker, record.topic, in_a_batch(record)) == 0
    mapping = mapping_of(ON_USER_EVENTS, service.broker)
    with polling(mapping, service.app.on_user_events, service.broker, destination=DeadLetters()) as poller:
        eventually(lambda: poller.metrics.snapshot()[names.COMMITTED] == 2, what="the commit")
        assert poller.metrics.snapshot()[names.DROPPED] == 0

    (letter,) = service.world.dead_letters()
    assert (letter["error_class"], letter["delivery_count"]) == ("TooLarge", 0)
    assert (letter["topic"], letter["partition"], letter["offset"]) == (huge.topic, 0, 0)
    assert letter["value"] == huge.value
    assert str(letter["saga_id"]) == dict(huge.headers)["ce_sagaid"].decode()
    (copy,) = service.topic("orders-dlq")
    assert copy.header("__dlq.errors.value.omitted") == str(len(huge.value or b""))
    # Its neighbour led to the next command.
    assert [sent.type for sent in service.topic("payment-commands")] == ["payment.authorize"]


def test_an_event_that_nobody_reads_is_none_however_large(service: Service) -> None:
    text = json.dumps({"topic": "user-events", "partition": 0, "offset": 0, "value": "e30=", "headers": _headers("user.renamed")})
    DeadLetters().deliver(failure(text, TOO_LARGE))

    assert service.world.dead_letters() == []


def test_what_is_given_up_for_another_reason_is_kept_with_lambda_s_word_for_it(service: Service) -> None:
    text = json.dumps({"topic": "user-events", "partition": 0, "offset": 0, "value": "e30=", "headers": []})
    DeadLetters().deliver(failure(text, RETRIES_EXHAUSTED))

    (letter,) = service.world.dead_letters()
    assert (letter["error_class"], letter["error"]) == ("GivenUp", RETRIES_EXHAUSTED)


def failure(text: str, condition: str) -> Failure:
    frame = EventFrame.of(mapping_of(ON_USER_EVENTS, "b:1"), "b:1")
    records = [encode_record(FakeRecord())._replace(text=text)]
    return Failure(frame, records, condition, 0, "f", None, None, "b:1")


def _headers(kind: str) -> list[dict[str, list[int]]]:
    fields = {"ce_specversion": "1.0", "ce_id": "1", "ce_type": kind, "ce_source": "/x"}
    return [{name: list(text.encode())} for name, text in fields.items()]


def test_while_what_keeps_it_is_away_such_a_record_is_not_committed_and_comes_again(kafka_server: KafkaBroker) -> None:
    topic = Topic(kafka_server.bootstrap, 1)
    kept: list[tuple[int, str]] = []

    class Away:
        tries = 0

        def deliver(self, failure: Failure) -> None:
            self.tries += 1
            if self.tries < 3:
                raise OperationalError("the database is away", None, Exception())
            kept.extend((record.offset, failure.condition) for record in failure.records)

        def close(self) -> None:
            pass

    assert produce(topic.bootstrap, topic.name, batch(b" " * 5_000_000, codec=CODECS["gzip"])) == 0
    with polling(topic.mapping(), Recorder(), topic.bootstrap, destination=Away()):
        eventually(lambda: topic.committed() == {0: 1}, what="the commit")
    topic.close()
    assert kept == [(0, TOO_LARGE)]


@pytest.mark.rule("oversize")
def test_without_anybody_to_keep_it_it_is_dropped_counted_and_committed(kafka_server: KafkaBroker) -> None:
    topic = Topic(kafka_server.bootstrap, 1)
    recorder = Recorder()
    assert produce(topic.bootstrap, topic.name, batch(b" " * 5_000_000, b"small", codec=CODECS["gzip"])) == 0
    with polling(topic.mapping(), recorder, topic.bootstrap) as poller:
        eventually(lambda: topic.committed() == {0: 2}, what="the commit")
        assert poller.metrics.snapshot()[names.DROPPED] == 1
    topic.close()
    assert recorder.values == [b"small"]


LARGEST = int(SETTINGS["user-events"]["max.message.bytes"])


@pytest.mark.parametrize(
    ("name", "value", "number"),
    [(b"\x01" * LARGEST, b"", 1), (b"\xff" * LARGEST, b"", 1), (b"n", b"\x80" * LARGEST, 1), (b"\x01", b"\x80", LARGEST // 4)],
    ids=["control characters", "no UTF-8", "negative numbers", "small headers"],
)
def test_no_record_within_the_topics_limit_is_too_large_for_an_event(name: bytes, value: bytes, number: int) -> None:
    headers = tuple((name.decode("utf-8", "replace"), value) for _ in range(number))
    gathered = OpenBatch(EventFrame.of(mapping_of(ON_USER_EVENTS, "b:1"), "b-1.example.org:9098," * 30), 1)

    assert gathered.add(encode_record(FakeRecord(key=b"k" * 36, value=b"", headers=headers)))
    assert not gathered.close().oversize


def test_the_topics_of_replies_are_made_so_that_their_limit_bounds_a_record_and_others_are_named(bare_kafka: KafkaBroker) -> None:
    loose = {"user-events": {"compression.type": "uncompressed"}, "payment-events": {"max.message.bytes": "5000"}}
    ensure_topics(bare_kafka.bootstrap, {"user-events": 3, "payment-events": 3}, None, loose)
    ensure_topics(bare_kafka.bootstrap, PARTITIONS, {"retention.ms": "3600000"}, SETTINGS)

    sentences = unbounded_topics(bare_kafka.bootstrap, SETTINGS)
    assert [sentence.split()[2] for sentence in sentences] == ["user-events", "payment-events"]
    assert all(sentence.endswith("set compression.type=uncompressed,max.message.bytes=1000000") for sentence in sentences)
    assert set(SETTINGS) == {trigger.topic for trigger in TRIGGERS}
