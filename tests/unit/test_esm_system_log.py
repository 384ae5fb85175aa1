"""What a mapping tells about itself: the system log under AWS's types, metrics and lags."""

import json
import logging
from typing import Any

import pytest

from infra.esm.logs import Lines
from infra.esm.mapping import EventSourceMapping
from infra.esm.metrics import POLLED, Metrics
from infra.esm.monitor import Monitor
from infra.esm.system_log import PartitionOffsets, SystemLog

OFFSETS = {1: PartitionOffsets(end=10, consumed=8, processed=6, committed=7), 0: PartitionOffsets(5, 4, 4, None)}


def mapping(**parameters: Any) -> EventSourceMapping:
    return EventSourceMapping("f", ("orders",), "TRIM_HORIZON", **parameters)


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [json.loads(record.getMessage()) for record in caplog.records if record.name.startswith("infra.esm")]


def tell_everything(log: SystemLog) -> None:
    log.processing("Timeout expired", "TimeoutException")
    log.poller_status([1, 0])
    log.kafka_status(OFFSETS)


@pytest.mark.rule("log-types")
def test_lines_have_the_documented_types_and_members(caplog: pytest.LogCaptureFixture) -> None:
    logged = mapping(system_log_level="DEBUG", event_source_arn="arn:aws:kafka:us-east-1:123456789012:cluster/c/1", consumer_group_id="g")
    with caplog.at_level(logging.INFO):
        tell_everything(SystemLog(logged, "b:9092"))

    head = {
        "resourceArn": f"arn:aws:lambda:us-east-1:000000000000:event-source-mapping:{logged.uuid}",
        "eventSourceArn": logged.event_source_arn,
        "eventProcessorId": f"{logged.uuid}/0",
    }
    error, poller, *offsets = lines(caplog)
    assert all(line.items() >= head.items() and line["timestamp"] > 1_700_000_000_000 for line in lines(caplog))
    assert (error["eventType"], error["logLevel"]) == ("ESM_PROCESSING_EVENT", "WARN")
    assert error["error"] == {"errorMessage": "Timeout expired", "errorCode": "TimeoutException"}
    assert (poller["eventType"], poller["logLevel"]) == ("POLLER_STATUS_EVENT", "INFO")
    assert poller["kafkaEventSourceConnection"] == {
        "brokerEndpoints": "b:9092",
        "consumerId": f"{logged.uuid}-0",
        "topics": ["orders"],
        "consumerGroupId": "g",
        "securityProtocol": "PLAINTEXT",
        "totalPartitionCount": 2,
        "assignedPartitionCount": 2,
        "assignedPartitions": ["orders-0", "orders-1"],
    }
    assert [(line["eventType"], line["logLevel"]) for line in offsets] == [("KAFKA_STATUS_EVENT", "DEBUG")] * 2
    assert offsets[1]["kafkaPartitionOffsets"] == {
        "partition": "orders-1",
        "endOffset": 10,
        "consumedOffset": 8,
        "processedOffset": 6,
        "committedOffset": 7,
    }


@pytest.mark.rule("log-level")
@pytest.mark.parametrize(
    ("level", "types"),
    [
        (None, set()),
        ("WARN", {"ESM_PROCESSING_EVENT"}),
        ("INFO", {"ESM_PROCESSING_EVENT", "POLLER_STATUS_EVENT"}),
        ("DEBUG", {"ESM_PROCESSING_EVENT", "POLLER_STATUS_EVENT", "KAFKA_STATUS_EVENT"}),
    ],
)
def test_lines_below_the_level_of_the_mapping_are_not_written(caplog: pytest.LogCaptureFixture, level: str | None, types: set[str]) -> None:
    with caplog.at_level(logging.INFO):
        tell_everything(SystemLog(mapping(system_log_level=level), "b:9092"))

    assert {line["eventType"] for line in lines(caplog)} == types


def test_a_line_of_json_stands_alone_and_others_begin_with_time_and_level() -> None:
    def line(name: str) -> str:
        return Lines().format(logging.LogRecord(name, logging.INFO, "f", 1, "%s", ('{"a":1}',), None))

    assert line("infra.esm.system_log") == '{"a":1}'
    assert line("infra.esm.poller").endswith('INFO infra.esm.poller {"a":1}')


@pytest.mark.rule("metrics-lag")
def test_lags_are_what_is_not_done_yet() -> None:
    metrics = Metrics()
    Monitor(mapping(), metrics, "b:9092").tell(OFFSETS)

    values = metrics.snapshot()
    assert (values["MaxOffsetLag"], values["SumOffsetLag"], values["OffsetLag"]) == (3, 3, 3)


@pytest.mark.rule("metrics-written")
def test_the_groups_of_metrics_that_a_mapping_asks_for_are_written_as_a_line(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    metrics.add(POLLED, 4)
    with caplog.at_level(logging.INFO):
        Monitor(mapping(metrics=("EventCount",)), metrics, "b:9092").tell({})
        Monitor(mapping(), metrics, "b:9092").tell({})

    (line,) = lines(caplog)
    assert line["metrics"]["PolledEventCount"] == 4
    assert "PollingErrorCount" not in line["metrics"]


@pytest.mark.rule("metrics-written")
def test_a_mapping_tells_how_things_stand_each_minute() -> None:
    now, told = [1000.0], []
    monitor = Monitor(mapping(), Metrics(), "b:9092", clock=lambda: now[0])

    def offsets() -> dict[int, PartitionOffsets]:
        told.append(now[0])
        return {}

    for now[0] in (1000.0, 1059.0, 1060.0, 1061.0, 1119.0, 1120.0):
        monitor.tick(offsets)

    assert told == [1060.0, 1120.0]
