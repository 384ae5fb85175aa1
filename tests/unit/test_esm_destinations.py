"""What on-failure destinations are told, held against samples of AWS, and which destinations there are."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from infra.esm import destinations
from infra.esm.destinations import AwsService, KafkaTopic, check_destination, open_destination
from infra.esm.event import EncodedRecord, EventFrame, encode_record
from infra.esm.failures import RETRIES_EXHAUSTED, TOO_LARGE, Failure, batch_record, object_key, single_record
from infra.esm.mapping import EventSourceMapping
from infra.esm.readings import Readings
from tests.support.esm import FakeRecord

SAMPLES = Path(__file__).parents[1] / "data" / "lambda_events"
AT = datetime(2019, 11, 14, 0, 38, 6, 21_000, tzinfo=UTC)


def sample(name: str) -> Any:
    return json.loads((SAMPLES / name).read_text())


def milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def encoded(**fields: Any) -> EncodedRecord:
    return encode_record(FakeRecord(**fields), Readings())


def failed(*records: EncodedRecord, topic: str = "orders", arn: str | None = None, servers: str = "b:9092", **changes: Any) -> Failure:
    frame = EventFrame.of(EventSourceMapping("f", (topic,), "TRIM_HORIZON", event_source_arn=arn), servers)
    values = {"condition": RETRIES_EXHAUSTED, "invoke_count": 3, "function": "f", "error": "Unhandled"}
    return Failure(frame=frame, records=records, source_arn=arn, bootstrap_servers=servers, **(values | changes))


def as_in_the_sample(told: dict[str, Any]) -> Failure:
    """The failure of which the guide's sample of a batch tells: two partitions, of which it names the first and the last record."""
    batch, context = told["KafkaBatchInfo"], told["requestContext"]
    records = []
    for place, info in batch["recordsInfo"].items():
        topic, _, partition = place.rpartition("-")
        first, last = int(info["firstRecordOffset"]), int(info["lastRecordOffset"])
        offsets = [*range(first, first + batch["batchSize"] // 2 - 1), last]
        times = [milliseconds(info["firstRecordTimestamp"])] * (len(offsets) - 1) + [milliseconds(info["lastRecordTimestamp"])]
        for offset, timestamp in zip(offsets, times, strict=True):
            records.append(encoded(topic=topic, partition=int(partition), offset=offset, timestamp=timestamp))
    return failed(
        *records,
        topic=topic,
        arn=batch["eventSourceArn"],
        servers=batch["bootstrapServers"],
        condition=context["condition"],
        invoke_count=context["approximateInvokeCount"],
        function=context["functionArn"],
        error=told["responseContext"]["functionError"],
    )


@pytest.mark.rule("on-failure-batch-record")
def test_the_record_of_a_batch_is_that_of_the_aws_sample() -> None:
    told = sample("on_failure_batch.json")
    failure = as_in_the_sample(told)
    told["KafkaBatchInfo"]["payloadSize"] = len(failure.event_text.encode())

    assert batch_record(failure, datetime.fromisoformat(told["timestamp"]), told["requestContext"]["requestId"]) == told


@pytest.mark.rule("on-failure-kafka-record")
def test_the_record_of_a_single_record_is_that_of_the_aws_sample() -> None:
    told = sample("on_failure_kafka.json")
    batch, (record,) = told["KafkaBatchInfo"], told["payload"]["records"]["my-topic-0"]
    given_up = encoded(topic="my-topic", offset=record["offset"], timestamp=record["timestamp"], key=b"test-key", value=b"test-value")
    function = told["requestContext"]["functionArn"].removesuffix(":$LATEST")
    failure = failed(
        *(encoded(offset=7), given_up), topic="my-topic", arn=batch["eventSourceArn"], servers=batch["bootstrapServers"], function=function
    )

    at, request_id = datetime.fromisoformat(told["timestamp"]), told["requestContext"]["requestId"]
    written = single_record(failure, given_up, "RetriesExhausted", at, request_id)

    # The sample's offset and time are not those of its own payload, nor is its size.
    batch["recordInfo"] = {"offset": "100", "timestamp": "2025-06-05T09:44:52.330Z"}
    batch["payloadSize"] = len(json.dumps(told["payload"], separators=(",", ":")))
    assert written == told


@pytest.mark.rule("on-failure-batch-record")
@pytest.mark.parametrize(
    ("timestamp", "told"),
    [
        (-1, "1969-12-31T23:59:59.999Z"),
        (0, "1970-01-01T00:00:00.000Z"),
        (2**63 - 1, "9999-12-31T23:59:59.999Z"),
        (-(2**63), "0001-01-01T00:00:00.000Z"),
    ],
)
def test_whatever_time_a_producer_wrote_is_told(timestamp: int, told: str) -> None:
    info = batch_record(failed(encoded(timestamp=timestamp)), AT, "id")["KafkaBatchInfo"]["recordsInfo"]["orders-0"]

    assert info["firstRecordTimestamp"] == told


@pytest.mark.rule("on-failure-not-invoked")
def test_of_records_that_the_function_was_never_given_there_is_no_response() -> None:
    failure = failed(encoded(), condition=TOO_LARGE, invoke_count=0, error=None)

    for record in (batch_record(failure, AT, "id"), single_record(failure, encoded(), TOO_LARGE, AT, "id")):
        assert record["responseContext"] is None
        assert (record["requestContext"]["condition"], record["requestContext"]["approximateInvokeCount"]) == (TOO_LARGE, 0)


@pytest.mark.rule("on-failure-self-managed")
def test_of_a_self_managed_cluster_there_is_no_arn() -> None:
    record = batch_record(failed(encoded(), arn=None), AT, "id")

    assert "eventSourceArn" not in record["KafkaBatchInfo"]
    assert record["KafkaBatchInfo"]["bootstrapServers"] == "b:9092"


@pytest.mark.rule("on-failure-s3-key")
def test_an_object_is_named_after_mapping_partition_and_time() -> None:
    failure = failed(encoded(partition=2), encoded(partition=1), mapping_id="7b1c", topic="orders")

    key = object_key(failure, AT, UUID(int=1))

    assert key == "aws/lambda/7b1c/orders-2/2019/11/14/2019-11-14T00.38.06-00000000-0000-0000-0000-000000000001"


@pytest.mark.rule("on-failure-destinations")
@pytest.mark.parametrize(
    ("arn", "kind"),
    [
        ("arn:aws:sqs:eu-west-1:123456789012:orders-dlq", AwsService),
        ("arn:aws-cn:sns:cn-north-1:123456789012:orders_dlq", AwsService),
        ("arn:aws:s3:::orders.dlq", AwsService),
        ("kafka://orders-dlq", KafkaTopic),
    ],
)
def test_a_destination_is_a_queue_a_topic_a_bucket_or_a_kafka_topic(arn: str, kind: type) -> None:
    check_destination(arn, "orders")

    destination = open_destination(arn, "b:9092")

    assert type(destination) is kind
    destination.close()


@pytest.mark.rule("on-failure-destinations")
@pytest.mark.parametrize(
    "arn", ["", "orders-dlq", "arn:aws:lambda:eu-west-1:123456789012:function:f", "arn:aws:sqs:eu-west-1:12:q", "arn:aws:s3:::", "kafka:q"]
)
def test_what_is_no_destination_is_refused(arn: str) -> None:
    for attempt in (lambda: check_destination(arn, "orders"), lambda: open_destination(arn, "b:9092")):
        with pytest.raises(ValueError, match="no SQS queue, SNS topic or S3 bucket, and no kafka://topic"):
            attempt()


@pytest.mark.rule("on-failure-standard-queues")
@pytest.mark.parametrize("service", ["sqs", "sns"])
def test_a_fifo_queue_or_topic_is_refused(service: str) -> None:
    with pytest.raises(ValueError, match="not a FIFO one"):
        check_destination(f"arn:aws:{service}:eu-west-1:123456789012:orders-dlq.fifo", "orders")


def test_without_boto3_a_destination_on_aws_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(destinations, "find_spec", lambda _: None)

    with pytest.raises(ValueError, match="orders-dlq: a destination on AWS needs boto3"):
        open_destination("arn:aws:sqs:eu-west-1:123456789012:orders-dlq", "b:9092")
    open_destination("kafka://dead", "b:9092").close()


@pytest.mark.rule("on-failure-own-topic")
def test_the_mapping_s_own_topic_is_refused_as_its_destination() -> None:
    check_destination("kafka://orders", "payments")
    with pytest.raises(ValueError, match="the mapping's own topic"):
        check_destination("kafka://orders", "orders")
    with pytest.raises(ValueError, match="names no Kafka topic"):
        check_destination("kafka://or ders", "payments")
