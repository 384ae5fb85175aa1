"""On-failure destinations: where a mapping sends what it gave up.

Forms and limits are those of the AWS Lambda developer guide ("Capturing discarded batches for Amazon MSK and self-managed Apache Kafka
event sources", "Using a Kafka topic as an on-failure destination").
"""

import json
import re
from base64 import b64decode
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any, NamedTuple, Protocol
from uuid import uuid4

from kafka import KafkaProducer
from kafka.errors import KafkaError

from .connecting import connected
from .event import EncodedRecord
from .failures import RETRIES_EXHAUSTED, Failure, batch_record, compact_json, object_key, single_record

KAFKA_PREFIX = "kafka://"
PATIENCE_SECONDS = 10.0
"""How long one delivery may take before it counts as failed; nothing else of its mapping goes on meanwhile."""

# Beyond what an event may measure: whether a record is too large is for the broker to say.
_LARGEST_REQUEST_BYTES = 64 * 1024 * 1024

_TOPIC = re.compile(r"[a-zA-Z0-9\-_.]{1,249}")
_ARN = re.compile(r"arn:aws[a-zA-Z-]*:(?:(?P<service>sqs|sns):(?P<region>[a-z0-9-]+):(?P<account>\d{12}):|s3:::)(?P<name>[\w.-]+)")


class DeliveryFailed(Exception):
    """The destination did not take what it was given; `lost` is the number of records that it has not got. Lambda gives them up then."""

    def __init__(self, reason: str, lost: int) -> None:
        """The reason is the text of the error."""
        super().__init__(reason)
        self.lost = lost


class Destination(Protocol):
    """A place for failures, used by one thread."""

    def deliver(self, failure: Failure) -> None:
        """Hand the failure over and wait until it was taken; raises DeliveryFailed."""
        ...

    def close(self) -> None:
        """End connections."""
        ...


def check_destination(arn: str, source_topic: str) -> None:
    """Raise ValueError, with the reason, for what Lambda would not take as the destination of a mapping of this topic."""
    if not arn.startswith(KAFKA_PREFIX):
        _read_arn(arn)
        return
    topic = arn.removeprefix(KAFKA_PREFIX)
    if _TOPIC.fullmatch(topic) is None:
        raise ValueError(f"{arn} names no Kafka topic")
    if topic == source_topic:
        raise ValueError(f"{arn} is the mapping's own topic: what failed would come again for ever")


def open_destination(
    arn: str, bootstrap_servers: str, exhausted_condition: str = "RetriesExhausted", endpoint_url: str | None = None
) -> Destination:
    """The destination that `arn` names: SQS, SNS or S3 through boto3, or kafka://topic on the cluster of `bootstrap_servers`.

    Nothing is connected yet. `exhausted_condition` is how a Kafka topic is told of exhausted retries. AWS is found as boto3 finds it
    (AWS_ENDPOINT_URL and its kin, credentials), or at `endpoint_url`. Raises ValueError for an ARN of another kind, and without boto3.
    """
    if arn.startswith(KAFKA_PREFIX):
        return KafkaTopic(arn.removeprefix(KAFKA_PREFIX), bootstrap_servers, exhausted_condition)
    return AwsService(_read_arn(arn), endpoint_url)


class _Arn(NamedTuple):
    service: str
    region: str | None
    account: str | None
    name: str
    text: str


def _read_arn(arn: str) -> _Arn:
    found = _ARN.fullmatch(arn)
    if found is None:
        raise ValueError(f"{arn} is no SQS queue, SNS topic or S3 bucket, and no kafka://topic")
    if found["name"].endswith(".fifo"):
        raise ValueError(f"{arn}: a destination is a standard queue or topic, not a FIFO one")
    return _Arn(found["service"] or "s3", found["region"], found["account"], found["name"], arn)


class AwsService:
    """A queue, a topic or a bucket on AWS, which gets a batch that was given up as one message or object."""

    def __init__(self, arn: _Arn, endpoint_url: str | None) -> None:
        """Nothing is connected yet; raises ValueError where boto3 is not installed."""
        if find_spec("boto3") is None:
            raise ValueError(f"{arn.text}: a destination on AWS needs boto3")
        self._arn = arn
        self._endpoint_url = endpoint_url
        self._client: Any = None

    def deliver(self, failure: Failure) -> None:
        """Send the record of the batch; raises DeliveryFailed."""
        # Late: only mappings with such a destination need it, and it takes a third of a second.
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            if self._client is None:
                self._client = self._connect()
            _SEND[self._arn.service](self._client, self._arn, failure, datetime.now(UTC))
        except (BotoCoreError, ClientError, ValueError) as error:
            # A ValueError is how boto3 tells of an endpoint that is no URL.
            raise DeliveryFailed(f"{self._arn.text}: {error}", len(failure.records)) from error

    def close(self) -> None:
        """End the connections."""
        if self._client is not None:
            self._client.close()

    def _connect(self) -> Any:
        from boto3.session import Session
        from botocore.config import Config

        # Not the default session, which threads must not share.
        limits = Config(connect_timeout=2, read_timeout=PATIENCE_SECONDS / 2, retries={"total_max_attempts": 2, "mode": "standard"})
        return Session().client(self._arn.service, region_name=self._arn.region, endpoint_url=self._endpoint_url, config=limits)


def _to_queue(sqs: Any, arn: _Arn, failure: Failure, at: datetime) -> None:
    url = sqs.get_queue_url(QueueName=arn.name, QueueOwnerAWSAccountId=arn.account)["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody=compact_json(batch_record(failure, at, str(uuid4()))))


def _to_topic(sns: Any, arn: _Arn, failure: Failure, at: datetime) -> None:
    sns.publish(TopicArn=arn.text, Message=compact_json(batch_record(failure, at, str(uuid4()))))


def _to_bucket(s3: Any, arn: _Arn, failure: Failure, at: datetime) -> None:
    record = batch_record(failure, at, str(uuid4())) | {"payload": failure.event_text}
    s3.put_object(Bucket=arn.name, Key=object_key(failure, at, uuid4()), Body=compact_json(record).encode())


_SEND = {"sqs": _to_queue, "sns": _to_topic, "s3": _to_bucket}


class KafkaTopic:
    """A topic of the mapping's own cluster, which gets each failed record as a message with the same key."""

    def __init__(self, topic: str, bootstrap_servers: str, exhausted_condition: str) -> None:
        """Nothing is connected yet; `exhausted_condition` stands for RETRIES_EXHAUSTED in what is written."""
        self._topic = topic
        self._bootstrap_servers = bootstrap_servers
        self._exhausted = exhausted_condition
        self._producer: Any = None

    def deliver(self, failure: Failure) -> None:
        """Write one message a record, in order, and wait for the broker to have them; raises DeliveryFailed."""
        condition = self._exhausted if failure.condition == RETRIES_EXHAUSTED else failure.condition
        at, request_id = datetime.now(UTC), str(uuid4())
        contents = [single_record(failure, record, condition, at, request_id) for record in failure.records]
        try:
            if self._producer is None:
                self._producer = self._connect()
        except KafkaError as error:
            raise DeliveryFailed(f"{KAFKA_PREFIX}{self._topic}: {error!r}", len(contents)) from error
        sent = [self._send(_key(record), content) for record, content in zip(failure.records, contents, strict=True)]
        errors = [error for error in map(_error, sent) if error is not None]
        if errors:
            # It may still hold what counts as lost from here on.
            self.close()
            raise DeliveryFailed(f"{KAFKA_PREFIX}{self._topic}: {errors[0]!r}", len(errors))

    def close(self) -> None:
        """End the connection, and forget what was not sent."""
        if self._producer is not None:
            self._producer.close(timeout=0)
            self._producer = None

    def _send(self, key: bytes | None, content: dict[str, Any]) -> Any:
        """What becomes of the message: a future, or an error."""
        try:
            return self._producer.send(self._topic, compact_json(content).encode(), key=key)
        except KafkaError as error:
            return error

    def _connect(self) -> Any:
        milliseconds = int(PATIENCE_SECONDS * 1000)
        return connected(
            KafkaProducer,
            bootstrap_servers=[server.strip() for server in self._bootstrap_servers.split(",")],
            client_id="esm-on-failure",
            acks="all",
            # A broker that was restarted may not know an idempotent producer any more; twice is better than not at all.
            enable_idempotence=False,
            max_in_flight_requests_per_connection=1,
            max_request_size=_LARGEST_REQUEST_BYTES,
            allow_auto_create_topics=False,
            bootstrap_timeout_ms=milliseconds // 4,
            max_block_ms=milliseconds // 4,
            request_timeout_ms=milliseconds // 4,
            delivery_timeout_ms=milliseconds // 2,
            metrics_enabled=False,
        )


def _key(record: EncodedRecord) -> bytes | None:
    key = json.loads(record.text).get("key")
    return None if key is None else b64decode(key)


def _error(sent: Any) -> KafkaError | None:
    if isinstance(sent, KafkaError):
        return sent
    try:
        sent.get(PATIENCE_SECONDS)
    except KafkaError as error:
        return error
    return None
