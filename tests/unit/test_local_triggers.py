"""The clock and the settings of the local triggers."""

import logging
import threading
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from chalicelib.errors import SettingsError
from infra.esm.invoke import Function
from infra.stack.clock import Clock, scheduled_event
from infra.stack.triggers import Settings
from tests.support.eventually import eventually


def test_a_scheduled_event_has_the_documented_form() -> None:
    event = scheduled_event("sweep", datetime(2026, 11, 22, 18, 30, 5, 999_999, tzinfo=timezone(timedelta(hours=8))))

    assert event.keys() == {"version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail"}
    assert (event["detail-type"], event["source"], event["detail"]) == ("Scheduled Event", "aws.events", {})
    assert event["time"] == "2026-11-22T10:30:05Z"
    assert event["resources"] == ["arn:aws:events:us-east-1:000000000000:rule/sweep"]
    assert event["id"] != scheduled_event("sweep", datetime.now(UTC))["id"]


def test_the_clock_calls_each_function_again_and_again_and_goes_on_after_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[str] = []

    def failing(event: Any, context: Any) -> None:
        calls.append(context.function_name)
        raise ValueError("no database")

    def working(event: Any, context: Any) -> None:
        calls.append(event["source"])

    clocks = [Clock(Function("failing", failing), 0.01, 0.0), Clock(Function("working", working), 0.01)]
    with caplog.at_level(logging.WARNING):
        for clock in clocks:
            clock.start()
        eventually(lambda: min(calls.count("failing"), calls.count("aws.events")) >= 3, what="three calls of each")
        for clock in clocks:
            clock.stop()
            clock.join(5)

    assert "no database" in caplog.text


def test_a_function_that_hangs_holds_up_no_other_one() -> None:
    calls: list[str] = []
    go_on = threading.Event()
    clocks = [
        Clock(Function("hanging", lambda event, context: go_on.wait(10) and None), 0.01),
        Clock(Function("working", lambda event, context: calls.append("called")), 0.01),
    ]
    for clock in clocks:
        clock.start()

    eventually(lambda: len(calls) >= 3, what="three calls of the other one")

    go_on.set()
    for clock in clocks:
        clock.stop()
        clock.join(5)


def test_a_function_that_takes_longer_than_the_period_never_overlaps_itself() -> None:
    running = threading.Lock()
    overlaps: list[bool] = []
    go_on = threading.Event()

    def slow(event: Any, context: Any) -> None:
        overlaps.append(not running.acquire(blocking=False))
        go_on.wait(0.05)
        running.release()

    clock = Clock(Function("slow", slow), 0.001)
    clock.start()
    eventually(lambda: len(overlaps) >= 5, what="five rounds")
    clock.stop()
    clock.join(5)

    assert not any(overlaps)


def test_a_clock_that_never_started_needs_no_wait() -> None:
    clock = Clock(Function("f", lambda event, context: None), 1)
    clock.stop()
    clock.join(0)


def test_settings_are_read_and_the_clock_ticks_each_second_unless_told_otherwise() -> None:
    plain = Settings.read({"KAFKA_BROKERS": " 127.0.0.1:9092 "})

    assert (plain.kafka_brokers, plain.sweep_seconds, plain.trigger_readings) == ("127.0.0.1:9092", 1, "")
    assert Settings.read({"KAFKA_BROKERS": "b:9092", "SWEEP_SECONDS": "0.25"}).sweep_seconds == 0.25


@pytest.mark.parametrize(
    ("environment", "name"),
    [
        ({}, "KAFKA_BROKERS"),
        ({"KAFKA_BROKERS": " "}, "KAFKA_BROKERS"),
        ({"KAFKA_BROKERS": "b:1", "SWEEP_SECONDS": "often"}, "SWEEP_SECONDS"),
        ({"KAFKA_BROKERS": "b:1", "SWEEP_SECONDS": "0"}, "SWEEP_SECONDS"),
        ({"KAFKA_BROKERS": "b:1", "SWEEP_SECONDS": "-1"}, "SWEEP_SECONDS"),
        ({"KAFKA_BROKERS": "b:1", "SWEEP_SECONDS": "nan"}, "SWEEP_SECONDS"),
        ({"KAFKA_BROKERS": "b:1", "SWEEP_SECONDS": "inf"}, "SWEEP_SECONDS"),
        (
            {"KAFKA_BROKERS": "b:1", "TRIGGER_READINGS": "unreadable=skip"},
            "TRIGGER_READINGS: must be .* unreadable is one of block, drop",
        ),
    ],
)
def test_a_wrong_setting_is_refused_by_name(environment: dict[str, str], name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.read(environment)
