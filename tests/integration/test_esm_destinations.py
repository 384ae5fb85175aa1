"""On-failure destinations as services that are really written to: AWS's, played by moto over HTTP, and a Kafka topic."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from kafka import KafkaConsumer
from moto.server import ThreadedMotoServer

from infra.esm import destinations
from infra.esm.destinations import DeliveryFailed, Destination, open_destination
from infra.esm.event import EventFrame, encode_record
from infra.esm.failures import RETRIES_EXHAUSTED, Failure
from infra.esm.readings import Readings
from infra.stack.ports import free_port
from tests.support.esm import FakeRecord, Topic
from tests.support.servers import KafkaBroker

REGION = "eu-west-1"
ACCOUNT = "123456789012"


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    """The URL of a server that plays AWS."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@pytest.fixture
def source(kafka_server: KafkaBroker) -> Iterator[Topic]:
    """A topic that stands for a destination."""
    made = Topic(kafka_server.bootstrap, 3)
    yield made
    made.close()


def client(service: str, url: str) -> Any:
    return boto3.client(service, region_name=REGION, endpoint_url=url)


def queue(url: str, name: str) -> tuple[Any, str, str]:
    """A queue on the server: a client, its URL and its ARN."""
    sqs = client("sqs", url)
    return sqs, sqs.create_queue(QueueName=name)["QueueUrl"], f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"


def failure(*records: FakeRecord) -> Failure:
    readings = Readings()
    return Failure(
        frame=EventFrame("orders", '{"eventSource":"SelfManagedKafka","bootstrapServers":"b:9092","records":{'),
        records=[encode_record(record, readings) for record in records],
        condition=RETRIES_EXHAUSTED,
        invoke_count=3,
        function="on_orders",
        error="Unhandled",
        source_arn=None,
        bootstrap_servers="b:9092",
        mapping_id="7b1c",
    )


RECORDS = (FakeRecord(offset=7, key=b"a", value=b"\xff\x00"), FakeRecord(offset=8), FakeRecord(partition=2, offset=1, key=b""))
PLACES = {"orders-0": ("7", "8"), "orders-2": ("1", "1")}


def places(record: Any) -> dict[str, tuple[str, str]]:
    """The first and last offset of each partition that an invocation record tells of."""
    infos = record["KafkaBatchInfo"]["recordsInfo"]
    return {place: (info["firstRecordOffset"], info["lastRecordOffset"]) for place, info in infos.items()}


@pytest.mark.rule("on-failure-destinations")
@pytest.mark.rule("on-failure-batch-record")
def test_a_queue_gets_the_metadata_of_a_batch_as_one_message(aws: str) -> None:
    sqs, url, arn = queue(aws, "failed-orders")

    open_destination(arn, "b:9092", endpoint_url=aws).deliver(failure(*RECORDS))

    (message,) = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    record = json.loads(message["Body"])
    assert places(record) == PLACES
    assert record["requestContext"]["condition"] == RETRIES_EXHAUSTED
    assert record["requestContext"]["functionArn"].endswith(":function:on_orders")
    assert "payload" not in record


@pytest.mark.rule("on-failure-destinations")
@pytest.mark.rule("on-failure-batch-record")
def test_a_topic_gets_the_metadata_of_a_batch_as_one_message(aws: str) -> None:
    sqs, url, queue_arn = queue(aws, "subscriber")
    sns = client("sns", aws)
    arn = sns.create_topic(Name="failed-orders")["TopicArn"]
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue_arn, Attributes={"RawMessageDelivery": "true"})

    open_destination(arn, "b:9092", endpoint_url=aws).deliver(failure(*RECORDS))

    (message,) = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert places(json.loads(message["Body"])) == PLACES


@pytest.mark.rule("on-failure-s3-payload")
@pytest.mark.rule("on-failure-s3-key")
def test_a_bucket_gets_the_whole_event_besides_as_one_object(aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws)
    s3 = boto3.client("s3", region_name="us-east-1")
    s3.create_bucket(Bucket="failed-orders")
    given_up = failure(*RECORDS)

    open_destination("arn:aws:s3:::failed-orders", "b:9092").deliver(given_up)

    (found,) = s3.list_objects_v2(Bucket="failed-orders")["Contents"]
    record = json.loads(s3.get_object(Bucket="failed-orders", Key=found["Key"])["Body"].read())
    assert found["Key"].startswith("aws/lambda/7b1c/orders-0/20")
    assert places(record) == PLACES
    assert record["payload"] == given_up.event_text


@pytest.mark.rule("on-failure-delivery-fails")
@pytest.mark.parametrize("place", [f"sqs:{REGION}:{ACCOUNT}:nowhere", f"sns:{REGION}:{ACCOUNT}:nowhere", "s3:::nowhere"])
def test_a_service_that_does_not_know_the_destination_has_got_none_of_the_records(aws: str, place: str) -> None:
    with pytest.raises(DeliveryFailed, match="nowhere") as failed:
        open_destination(f"arn:aws:{place}", "b:9092", endpoint_url=aws).deliver(failure(*RECORDS))

    assert failed.value.lost == 3


@pytest.mark.rule("on-failure-delivery-fails")
@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:{port}", "no URL"])
def test_a_service_that_is_away_has_got_none_of_the_records(endpoint: str) -> None:
    destination = open_destination(f"arn:aws:sqs:{REGION}:{ACCOUNT}:q", "b:9092", endpoint_url=endpoint.format(port=free_port()))

    with pytest.raises(DeliveryFailed) as failed:
        destination.deliver(failure(*RECORDS))

    assert failed.value.lost == 3


def test_destinations_may_be_opened_by_several_threads_at_once(aws: str) -> None:
    sqs, url, arn = queue(aws, "threads")
    threads = [threading.Thread(target=open_destination(arn, "b", endpoint_url=aws).deliver, args=[failure(*RECORDS)]) for _ in range(3)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]["ApproximateNumberOfMessages"] == "3"


@pytest.mark.rule("on-failure-kafka-record")
@pytest.mark.rule("on-failure-kafka-key")
@pytest.mark.rule("on-failure-kafka-condition")
@pytest.mark.parametrize("condition", ["RetriesExhausted", "RetryAttemptsExhausted"])
def test_a_kafka_topic_gets_each_record_as_a_message_with_its_key(source: Topic, condition: str) -> None:
    deliver(open_destination(f"kafka://{source.name}", source.bootstrap, condition), failure(*RECORDS))

    messages = sorted(read(source, 3), key=lambda message: json.loads(message.value)["KafkaBatchInfo"]["recordInfo"]["offset"])
    records = [json.loads(message.value) for message in messages]
    assert [message.key for message in messages] == [b"", b"a", None]
    assert {record["requestContext"]["condition"] for record in records} == {condition}
    assert {record["KafkaBatchInfo"]["batchSize"] for record in records} == {1}
    assert [list(record["payload"]["records"]) for record in records] == [["orders-2"], ["orders-0"], ["orders-0"]]
    assert records[1]["payload"]["records"]["orders-0"] == [json.loads(failure(RECORDS[0]).records[0].text)]


@pytest.mark.rule("on-failure-kafka-record")
def test_a_kafka_topic_gets_the_records_of_one_key_in_their_order(source: Topic) -> None:
    deliver(open_destination(f"kafka://{source.name}", source.bootstrap), failure(*(FakeRecord(offset=n, key=b"k") for n in range(50))))

    offsets = [json.loads(message.value)["KafkaBatchInfo"]["recordInfo"]["offset"] for message in read(source, 50)]
    assert offsets == [str(number) for number in range(50)]


@pytest.mark.rule("on-failure-delivery-fails")
def test_of_what_a_kafka_topic_does_not_take_it_is_told_how_much(source: Topic) -> None:
    too_large = FakeRecord(offset=8, value=b"x" * 2_000_000)
    with pytest.raises(DeliveryFailed, match=source.name) as failed:
        deliver(open_destination(f"kafka://{source.name}", source.bootstrap), failure(RECORDS[0], too_large))

    assert failed.value.lost == 1


@pytest.mark.rule("on-failure-delivery-fails")
def test_a_cluster_that_is_away_has_got_none_of_the_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(destinations, "PATIENCE_SECONDS", 1.0)
    with pytest.raises(DeliveryFailed) as failed:
        deliver(open_destination("kafka://dlq", f"127.0.0.1:{free_port()}"), failure(*RECORDS))

    assert failed.value.lost == 3


def deliver(destination: Destination, given_up: Failure) -> None:
    try:
        destination.deliver(given_up)
    finally:
        destination.close()


def read(topic: Topic, number: int) -> list[Any]:
    """The first messages of a topic."""
    consumer = KafkaConsumer(topic.name, bootstrap_servers=topic.bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=10_000)
    try:
        return [message for _, message in zip(range(number), consumer, strict=False)]
    finally:
        consumer.close()
