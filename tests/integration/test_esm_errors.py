"""What becomes of records that fail, are filtered or are given up, on a real broker."""

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from infra.esm.mapping import ProvisionedPollers
from infra.esm.readings import Readings
from tests.support.esm import Recorder, Topic, failed, polling, records_of
from tests.support.eventually import eventually
from tests.support.kafka_records import on_topic
from tests.support.servers import KafkaBroker

PROVISIONED = {"provisioned": ProvisionedPollers()}
PARTIAL = PROVISIONED | {"function_response_types": ("ReportBatchItemFailures",)}
EVENTS = ("EventCount", "ErrorCount", "KafkaMetrics")


@pytest.fixture
def dead(kafka_server: KafkaBroker) -> Iterator[Topic]:
    """A topic for what is given up."""
    made = Topic(kafka_server.bootstrap, 1)
    yield made
    made.close()


def poison(event: Any) -> None:
    """Fail on records with the value `poison`."""
    if any(record["value"] == "cG9pc29u" for record in records_of(event)):
        raise RuntimeError("poison")


def given_up(dead: Topic) -> list[tuple[str, int, list[tuple[int, int]]]]:
    """Condition, number of invocations and records of each message in the on-failure destination."""
    contents = [json.loads(sent.value or b"") for sent in on_topic(dead.bootstrap, dead.name)]
    return [
        (
            content["requestContext"]["condition"],
            content["requestContext"]["approximateInvokeCount"],
            [(record["partition"], record["offset"]) for record in records_of(content["payload"])],
        )
        for content in contents
    ]


def committed(topic: Topic, *ends: int | None) -> bool:
    return topic.committed() == dict(enumerate(ends))


@pytest.mark.rule("retry-limit")
@pytest.mark.rule("exhausted-to-destination")
@pytest.mark.rule("metrics-counted")
def test_a_batch_that_exhausts_its_retries_goes_to_the_destination_and_its_partition_goes_on(topic: Topic, dead: Topic) -> None:
    recorder = Recorder(poison)
    mapping = topic.mapping(maximum_retry_attempts=2, on_failure=f"kafka://{dead.name}", **PROVISIONED)
    topic.write(b"a", b"poison", b"b")
    with polling(mapping, recorder, topic.bootstrap) as poller:
        eventually(lambda: committed(topic, 3, None, None), what="the commit")
        topic.write(b"next")
        eventually(lambda: committed(topic, 4, None, None), what="the next record")

    assert recorder.batches == [[(0, 0), (0, 1), (0, 2)]] * 3 + [[(0, 3)]]
    assert given_up(dead) == [("RetriesExhausted", 3, [(0, offset)]) for offset in range(3)]
    counts = poller.metrics.snapshot(EVENTS)
    assert {name: count for name, count in counts.items() if count} == {
        "PolledEventCount": 4,
        "InvokedEventCount": 10,
        "FailedInvokeEventCount": 9,
        "InvokeErrorCount": 3,
        "OnFailureDestinationDeliveredEventCount": 3,
        "CommittedEventCount": 4,
    }


@pytest.mark.rule("exhausted-dropped")
@pytest.mark.rule("metrics-counted")
def test_without_a_destination_it_is_dropped_and_counted(topic: Topic, caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder(poison)
    mapping = topic.mapping(maximum_retry_attempts=0, system_log_level="WARN", **PROVISIONED)
    topic.write(b"poison")
    with polling(mapping, recorder, topic.bootstrap) as poller:
        eventually(lambda: committed(topic, 1, None, None), what="the commit")

    assert recorder.batches == [[(0, 0)]]
    assert poller.metrics.snapshot(EVENTS)["DroppedEventCount"] == 1
    (line,) = [record.getMessage() for record in caplog.records if "dropped" in record.getMessage() and record.name.endswith("system_log")]
    assert json.loads(line)["eventType"] == "ESM_PROCESSING_EVENT"


@pytest.mark.rule("destination-fails")
def test_where_the_destination_fails_too_the_records_are_dropped_and_committed(topic: Topic, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}.items():
        monkeypatch.setenv(name, value)
    mapping = topic.mapping(maximum_retry_attempts=0, on_failure="arn:aws:s3:::nowhere", **PROVISIONED)
    topic.write(b"poison", b"poison")
    with polling(mapping, Recorder(poison), topic.bootstrap) as poller:
        eventually(lambda: committed(topic, 2, None, None), what="the commit", within=30)

    counts = poller.metrics.snapshot(EVENTS)
    assert (counts["DroppedEventCount"], counts["DestinationDeliveryFailures"]) == (2, 1)
    assert (counts["OnFailureDestinationDeliveryErrorCount"], counts["OnFailureDestinationDeliveredEventCount"]) == (1, 0)


@pytest.mark.rule("bisect")
def test_a_failing_batch_is_halved_until_only_the_failing_record_is_given_up(topic: Topic, dead: Topic) -> None:
    recorder = Recorder(poison)
    mapping = topic.mapping(maximum_retry_attempts=1, bisect_batch_on_function_error=True, on_failure=f"kafka://{dead.name}", **PROVISIONED)
    topic.write(b"a", b"b", b"poison", b"c", b"d", b"e")
    with polling(mapping, recorder, topic.bootstrap):
        eventually(lambda: committed(topic, 6, None, None), what="the commit")

    offsets = [[offset for _, offset in batch] for batch in recorder.batches]
    assert offsets == [[0, 1, 2, 3, 4, 5], [0, 1, 2], [0, 1], [2], [2], [3, 4, 5]]
    assert [places for _, _, places in given_up(dead)] == [[(0, 2)]]


@pytest.mark.rule("partial-retry")
@pytest.mark.parametrize(("partial", "again"), [("checkpoint", [1, 2, 3]), ("items", [1, 3])])
def test_what_comes_again_after_a_partial_failure_depends_on_the_reading_and_is_committed_at_the_same_places(
    topic: Topic, partial: Any, again: Sequence[int]
) -> None:
    recorder = Recorder()
    places: list[dict[int, int | None]] = []

    def react(event: Any) -> Any:
        if len(recorder.events) == 1:
            return failed(topic.name, (0, 1), (0, 3))
        eventually(lambda: topic.committed()[0] == 1, what="the commit up to the first failed record")
        places.append(topic.committed())
        return None

    recorder.react = react
    topic.write(b"a", b"b", b"c", b"d")
    with polling(topic.mapping(**PARTIAL), recorder, topic.bootstrap, Readings(partial=partial)) as poller:
        eventually(lambda: committed(topic, 4, None, None), what="the last commit")

    assert [[offset for _, offset in batch] for batch in recorder.batches] == [[0, 1, 2, 3], [*again]]
    counts = poller.metrics.snapshot(EVENTS)
    assert (counts["FailedInvokeEventCount"], counts["InvokeErrorCount"]) == (2, 0)


@pytest.mark.rule("filter-before-batching")
@pytest.mark.rule("commit-filtered")
@pytest.mark.rule("metrics-counted")
def test_records_that_no_filter_passes_are_counted_and_committed_with_the_others_after_success(topic: Topic) -> None:
    recorder, seen = Recorder(), []

    def react(event: Any) -> None:
        if len(recorder.events) == 1:
            seen.append(topic.committed())
            raise RuntimeError("not yet")

    recorder.react = react
    mapping = topic.mapping(filter_patterns=('{"value":{"status":["placed"]}}',), batch_size=2)
    placed, paid = b'{"status":"placed"}', b'{"status":"paid"}'
    topic.write(paid, placed, paid, paid, placed, paid, partition=1)
    with polling(mapping, recorder, topic.bootstrap) as poller:
        eventually(lambda: committed(topic, None, 6, None), what="the commit")

    assert set(recorder.places) == {(1, 1), (1, 4)}
    assert seen == [{0: None, 1: None, 2: None}]
    counts = poller.metrics.snapshot(EVENTS)
    assert (counts["PolledEventCount"], counts["FilteredOutEventCount"], counts["CommittedEventCount"]) == (6, 4, 6)


@pytest.mark.rule("commit-filtered")
def test_where_no_record_passes_the_filter_offsets_are_committed_without_an_invocation_and_before_the_window_ends(topic: Topic) -> None:
    recorder = Recorder()
    mapping = topic.mapping(filter_patterns=('{"value":{"status":["placed"]}}',), maximum_batching_window_in_seconds=300)
    topic.write(b'{"status":"paid"}', partition=2)
    with polling(mapping, recorder, topic.bootstrap):
        eventually(lambda: committed(topic, None, None, 1), what="the commit")

    assert recorder.events == []


@pytest.mark.rule("record-age")
@pytest.mark.rule("exhausted-to-destination")
def test_a_record_that_is_too_old_goes_to_the_destination_without_an_invocation(topic: Topic, dead: Topic) -> None:
    recorder = Recorder()
    mapping = topic.mapping(maximum_record_age_in_seconds=60, on_failure=f"kafka://{dead.name}", **PROVISIONED)
    topic.write(b"old", timestamp_ms=int(time.time() * 1000) - 120_000)
    topic.write(b"new")
    with polling(mapping, recorder, topic.bootstrap):
        eventually(lambda: committed(topic, 2, None, None), what="the commit")

    assert recorder.values == [b"new"]
    assert given_up(dead) == [("RecordAgeExceeded", 0, [(0, 0)])]
