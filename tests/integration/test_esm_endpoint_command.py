"""The emulator's command with functions at an endpoint, and with mappings that the endpoint lists."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.esm.__main__ import main
from tests.support.esm import Topic, records_of
from tests.support.eventually import eventually
from tests.support.lambda_api import Answer, lambda_api
from tests.support.servers import KafkaBroker

ROOT = Path(__file__).resolve().parents[2]
CLUSTER = "arn:aws:kafka:us-east-1:123456789012:cluster/campus/751d2973-a626-431c-9d4e-d7975eb44dd7-2"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:on-payments:live"


@pytest.fixture
def topic(kafka_server: KafkaBroker) -> Iterator[Topic]:
    """A topic for one test."""
    made = Topic(kafka_server.bootstrap, 1)
    yield made
    made.close()


def listed(topic: str, **members: Any) -> dict[str, Any]:
    """A mapping of an MSK cluster as ListEventSourceMappings answers it."""
    return {
        "UUID": "14e0db71-5d35-4eb5-b481-8945cf9d10c2",
        "StartingPosition": "TRIM_HORIZON",
        "EventSourceArn": CLUSTER,
        "FunctionArn": FUNCTION,
        "State": "Enabled",
        "Topics": [topic],
        "MaximumBatchingWindowInSeconds": 1,
    } | members


@pytest.mark.rule("endpoint-listing")
@pytest.mark.rule("endpoint-brokers")
def test_the_mappings_that_an_endpoint_lists_are_run_on_the_brokers_that_an_option_names(tmp_path: Path, topic: Topic) -> None:
    topic.write(b"1")
    topic.group = listed(topic.name)["UUID"]
    with lambda_api(lambda event: Answer(), mappings=[listed(topic.name)]) as api:
        options = ["--lambda-endpoint", api.url, "--dummy-credentials", "--brokers", f"{CLUSTER}={topic.bootstrap}"]
        command = [sys.executable, "-m", "infra.esm", *options]
        with subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}) as emulator:
            try:
                eventually(lambda: topic.committed() == {0: 1}, what="the commit")
                emulator.send_signal(signal.SIGTERM)
                assert emulator.wait(10) == 0
            finally:
                emulator.kill()

    [(name, qualifier, event)] = api.invoked
    assert (name, qualifier, len(records_of(event))) == ("on-payments", "live", 1)
    assert (event["eventSource"], event["eventSourceArn"], event["bootstrapServers"]) == ("aws:kafka", CLUSTER, topic.bootstrap)


@pytest.mark.parametrize(
    ("mappings", "options", "message"),
    [
        ([listed("topic")], [], f"function {FUNCTION}: --bootstrap, or --brokers {CLUSTER}=…, is needed"),
        (
            [listed("topic"), listed("other")],
            ["--bootstrap", "b:1"],
            "each mapping needs a group of its own",
        ),
        ([], [], "--lambda-endpoint: no mapping of a Kafka topic is listed there, --mapping is needed"),
        ([listed("topic", Topics=None)], [], "Topics: the endpoint does not tell them, --mapping is needed"),
    ],
)
def test_what_an_endpoint_lists_and_can_not_be_run_ends_it_with_a_message(
    mappings: list[dict[str, Any]], options: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lambda_api(lambda event: Answer(), mappings=mappings) as api, pytest.raises(SystemExit) as ended:
        monkeypatch.setattr(sys, "argv", ["esm", "--lambda-endpoint", api.url, "--dummy-credentials", *options])
        main()

    assert message in str(ended.value.code)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--mapping", "m.json"], "one of the arguments --handler --lambda-endpoint is required"),
        (["--handler", "a.b"], "--handler needs --mapping"),
        (["--handler", "a.b", "--mapping", "m.json", "--dummy-credentials"], "--dummy-credentials goes with --lambda-endpoint"),
        (["--handler", "a.b", "--lambda-endpoint", "http://127.0.0.1:1"], "not allowed with argument --handler"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    options: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["esm", *options])
    with pytest.raises(SystemExit):
        main()

    assert message in capsys.readouterr().err


def test_an_endpoint_that_is_away_or_lists_nothing_needs_a_mapping(monkeypatch: pytest.MonkeyPatch) -> None:
    with lambda_api(lambda event: Answer()) as api:
        pass
    monkeypatch.setattr(sys, "argv", ["esm", "--lambda-endpoint", api.url, "--dummy-credentials"])
    with pytest.raises(SystemExit, match="lists no event source mappings, --mapping is needed"):
        main()


@pytest.mark.rule("function-names")
def test_a_handler_is_found_by_the_bare_name_of_its_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = {"FunctionName": FUNCTION, "Topics": ["t2"], "StartingPosition": "LATEST", "EventSourceArn": CLUSTER}
    mapping = tmp_path / "m.json"
    mapping.write_text(json.dumps(request))
    for named, message in (
        ("on-payments=nowhere.f", "handler 'nowhere.f'"),
        ("other=nowhere.f", f"--handler: none for function {FUNCTION}"),
    ):
        monkeypatch.setattr(sys, "argv", ["esm", "--mapping", str(mapping), "--bootstrap", "b:1", "--handler", named])
        with pytest.raises(SystemExit) as ended:
            main()
        assert message in str(ended.value.code)
