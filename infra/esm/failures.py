"""What a mapping tells of records that it gave up: the invocation records of on-failure destinations.

Their form is that of the samples in the AWS Lambda developer guide ("Capturing discarded batches for Amazon MSK and self-managed Apache
Kafka event sources", "Using a Kafka topic as an on-failure destination"): offsets are texts, times have milliseconds.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from .event import EncodedRecord, EventFrame
from .function_names import FunctionName

RETRIES_EXHAUSTED = "RetryAttemptsExhausted"
TOO_LARGE = "MaximumPayloadSizeExceeded"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = (datetime.min.replace(tzinfo=UTC) - _EPOCH) / timedelta(milliseconds=1)
_LATEST = (datetime.max.replace(microsecond=999_000, tzinfo=UTC) - _EPOCH) / timedelta(milliseconds=1)

NO_MAPPING_ID = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class Failure:
    """Records that were given up, and why.

    `condition` is one of Lambda's, `invoke_count` how often the function was called with them, `function` its name or ARN, `error` what
    Lambda calls the function error (FunctionError.kind), or None where the last call didn't fail as a whole. `mapping_id` is the
    mapping's UUID.
    """

    frame: EventFrame
    records: Sequence[EncodedRecord]
    condition: str
    invoke_count: int
    function: str
    error: str | None
    source_arn: str | None
    bootstrap_servers: str
    mapping_id: str = NO_MAPPING_ID

    @property
    def event_text(self) -> str:
        """The event that was given up."""
        return self.frame.event_text(self.records)


def batch_record(failure: Failure, at: datetime, request_id: str) -> dict[str, Any]:
    """The record of a batch, for SQS, SNS and S3; `at` is the time of the last failure, `request_id` that of its invocation."""
    partitions: dict[str, list[EncodedRecord]] = {}
    for record in failure.records:
        partitions.setdefault(f"{failure.frame.topic}-{record.partition}", []).append(record)
    return _metadata(failure, failure.condition, FunctionName.read(failure.function).arn, at, request_id) | {
        "KafkaBatchInfo": {
            **_batch(failure, failure.records),
            "recordsInfo": {
                name: {
                    "firstRecordOffset": str(records[0].offset),
                    "lastRecordOffset": str(records[-1].offset),
                    "firstRecordTimestamp": _iso(records[0].timestamp),
                    "lastRecordTimestamp": _iso(records[-1].timestamp),
                }
                for name, records in partitions.items()
            },
        }
    }


def single_record(failure: Failure, record: EncodedRecord, condition: str, at: datetime, request_id: str) -> dict[str, Any]:
    """The record of one Kafka record, for a Kafka topic: with the event of this record alone, and the function's version in its ARN."""
    return _metadata(failure, condition, FunctionName.read(failure.function).versioned_arn, at, request_id) | {
        "KafkaBatchInfo": {
            **_batch(failure, [record]),
            "recordInfo": {"offset": str(record.offset), "timestamp": _iso(record.timestamp)},
        },
        "payload": json.loads(failure.frame.event_text([record])),
    }


def object_key(failure: Failure, at: datetime, unique: UUID) -> str:
    """The key of an S3 object. Documented for Kinesis, with the shard where the first record's topic and partition stand here."""
    place = f"{failure.frame.topic}-{failure.records[0].partition}"
    return f"aws/lambda/{failure.mapping_id}/{place}/{at:%Y/%m/%d}/{at:%Y-%m-%dT%H.%M.%S}-{unique}"


def compact_json(value: Any) -> str:
    """JSON without spaces."""
    return json.dumps(value, separators=(",", ":"))


def _metadata(failure: Failure, condition: str, function: str, at: datetime, request_id: str) -> dict[str, Any]:
    called = {"statusCode": 200, "executedVersion": "$LATEST", "functionError": failure.error}
    return {
        "requestContext": {
            "requestId": request_id,
            "functionArn": function,
            "condition": condition,
            "approximateInvokeCount": failure.invoke_count,
        },
        "responseContext": called if failure.invoke_count else None,
        "version": "1.0",
        "timestamp": _iso(at.timestamp() * 1000),
    }


def _batch(failure: Failure, records: Sequence[EncodedRecord]) -> dict[str, Any]:
    source = {} if failure.source_arn is None else {"eventSourceArn": failure.source_arn}
    size = len(failure.frame.event_text(records))
    return {"batchSize": len(records), **source, "bootstrapServers": failure.bootstrap_servers, "payloadSize": size}


def _iso(milliseconds: float) -> str:
    # A producer may write any time; one that no calendar has must not keep a record from being given up.
    moment = _EPOCH + timedelta(milliseconds=max(_EARLIEST, min(milliseconds, _LATEST)))
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
