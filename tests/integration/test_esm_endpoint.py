"""Functions called through `Invoke` at an endpoint of the Lambda API, and what becomes of a batch when that fails."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from infra.esm import endpoint as endpoints
from infra.esm.endpoint import EndpointFunction, LambdaEndpoint
from infra.esm.function_names import FunctionName
from infra.esm.invoke import EventTooLarge, FunctionError, FunctionTimedOut, NotInvoked
from infra.esm.mapping import ProvisionedPollers
from infra.esm.metrics import DROPPED, INVOKE_ERROR, INVOKED
from infra.esm.poller import Poller
from infra.stack.ports import free_port
from tests.support.esm import Topic, polling, records_of
from tests.support.eventually import eventually
from tests.support.kafka_records import on_topic
from tests.support.lambda_api import Answer, LambdaApi, lambda_api
from tests.support.servers import KafkaBroker

NO_RETRIES: dict[str, Any] = {"provisioned": ProvisionedPollers(), "maximum_retry_attempts": 0}
ARN = "arn:aws:lambda:eu-west-1:123456789012:function:f:live"


@pytest.fixture
def topic(kafka_server: KafkaBroker) -> Iterator[Topic]:
    """A topic of one partition for one test."""
    made = Topic(kafka_server.bootstrap, 1)
    yield made
    made.close()


def function(url: str, name: str = "f", timeout_seconds: float | None = None) -> EndpointFunction:
    return EndpointFunction(name, LambdaEndpoint(url, dummy_credentials=True), timeout_seconds)


def offsets(api: LambdaApi) -> list[list[int]]:
    """Of each call, the offsets of the records."""
    return [[record["offset"] for record in records_of(event)] for _, _, event in api.invoked]


def in_turn(*answers: Answer) -> Callable[[Any], Answer]:
    """One answer after the other, then success."""
    left = iter(answers)
    return lambda event: next(left, Answer())


@contextmanager
def polled(topic: Topic, api: LambdaApi, *, timeout_seconds: float | None = None, **parameters: Any) -> Iterator[Poller]:
    """A mapping without retries at work, whose function is at the endpoint."""
    called = function(api.url, timeout_seconds=timeout_seconds)
    with polling(topic.mapping(function_name="f", **(NO_RETRIES | parameters)), called, topic.bootstrap) as poller:
        yield poller


@pytest.mark.rule("endpoint-invoke")
def test_a_function_is_called_through_invoke_and_its_batch_committed_after_success(topic: Topic) -> None:
    reported = {"batchItemFailures": [{"itemIdentifier": {"partition": f"{topic.name}-0", "offset": 1}}]}
    topic.write(b"a", b"b", b"c")
    with lambda_api(in_turn(Answer(reported))) as api:
        parameters = {"function_response_types": ("ReportBatchItemFailures",), "maximum_retry_attempts": 1}
        with polled(topic, api, **parameters):
            eventually(lambda: topic.committed() == {0: 3}, what="the commit")

    assert offsets(api) == [[0, 1, 2], [1, 2]]
    assert [called[:2] for called in api.invoked] == [("f", None)] * 2
    assert api.invoked[0][2]["eventSource"] == "SelfManagedKafka"


@pytest.mark.rule("endpoint-function-error")
@pytest.mark.parametrize("kind", ["Unhandled", "Handled"])
def test_what_invoke_calls_a_function_error_counts_as_an_attempt_and_is_named_to_the_destination(topic: Topic, kind: str) -> None:
    dead = Topic(topic.bootstrap, 1)
    topic.write(b"a")
    with lambda_api(lambda event: Answer({"errorType": "ValueError", "errorMessage": "no"}, error=kind)) as api:
        with polled(topic, api, maximum_retry_attempts=1, on_failure=f"kafka://{dead.name}"):
            eventually(lambda: topic.committed() == {0: 1}, what="the commit")
        with pytest.raises(FunctionError, match=r"^ValueError: no$"):
            function(api.url).invoke("{}")

    [told] = [json.loads(sent.value or b"") for sent in on_topic(dead.bootstrap, dead.name)]
    assert told["requestContext"]["approximateInvokeCount"] == 2
    assert told["responseContext"]["functionError"] == kind
    dead.close()


@pytest.mark.rule("endpoint-throttled")
def test_throttling_and_errors_of_the_service_have_the_batch_wait_and_count_as_no_attempt(
    topic: Topic, caplog: pytest.LogCaptureFixture
) -> None:
    errors = [
        (429, "TooManyRequestsException"),
        (500, "ServiceException"),
        (404, "ResourceNotFoundException"),
        (403, "AccessDeniedException"),
    ]
    topic.write(b"a", b"b")
    with lambda_api(in_turn(*(Answer(status=status, error=error) for status, error in errors))) as api, polled(topic, api) as poller:
        eventually(lambda: topic.committed() == {0: 2}, what="the commit")
        counted = poller.metrics.snapshot()

    assert offsets(api) == [[0, 1]] * 5
    assert (counted[INVOKE_ERROR], counted[INVOKED], counted[DROPPED]) == (4, 2, 0)
    assert caplog.text.count("batch is delivered again") == 4
    assert all(error in caplog.text for _, error in errors)


@pytest.mark.rule("endpoint-away")
def test_while_the_endpoint_is_away_nothing_is_lost_and_nothing_counts(topic: Topic) -> None:
    port = free_port()
    topic.write(b"a", b"b")
    with polling(topic.mapping(function_name="f", **NO_RETRIES), function(f"http://127.0.0.1:{port}"), topic.bootstrap) as poller:
        eventually(lambda: poller.metrics.snapshot()[INVOKE_ERROR] >= 2, what="two failures")
        assert topic.committed() == {0: None}
        with lambda_api(in_turn(), port=port) as back:
            eventually(lambda: topic.committed() == {0: 2}, what="the commit")

    assert offsets(back) == [[0, 1]]
    assert poller.metrics.snapshot()[DROPPED] == 0


@pytest.mark.rule("endpoint-timeout")
def test_a_function_that_does_not_answer_in_time_has_failed_and_that_counts(topic: Topic) -> None:
    def slow(event: Any) -> Answer:
        time.sleep(0.4)
        return Answer()

    topic.write(b"a")
    with lambda_api(slow) as api, polled(topic, api, timeout_seconds=0.1) as poller:
        eventually(lambda: topic.committed() == {0: 1}, what="the commit")
        assert poller.metrics.snapshot()[DROPPED] == 1


@pytest.mark.rule("endpoint-timeout")
def test_it_is_waited_for_as_long_as_its_configuration_says_and_its_start_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "START_SECONDS", -0.9)

    def slow(event: Any) -> Answer:
        time.sleep(0.4)
        return Answer()

    with lambda_api(slow, timeout=1) as api, pytest.raises(FunctionTimedOut, match=r"0\.10 seconds"):
        function(api.url).invoke("{}")
    with lambda_api(slow, timeout=None) as api:
        assert function(api.url).invoke("{}") is None
        assert LambdaEndpoint(api.url, dummy_credentials=True).timeout_of(FunctionName.read("f")) is None


@pytest.mark.rule("endpoint-too-large")
def test_an_event_that_the_endpoint_finds_too_large_is_split_and_a_single_record_given_up(topic: Topic) -> None:
    dead = Topic(topic.bootstrap, 1)

    def limited(event: Any) -> Answer:
        too_large = len(json.dumps(event)) > 1000
        return Answer(status=413, error="RequestTooLargeException") if too_large else Answer()

    topic.write(b"a", b"b" * 1000, b"c")
    with lambda_api(limited) as api, polled(topic, api, on_failure=f"kafka://{dead.name}") as poller:
        eventually(lambda: topic.committed() == {0: 3}, what="the commit")
        assert poller.metrics.snapshot()[INVOKED] == 2

    assert offsets(api) == [[0, 1, 2], [0, 1], [0], [1], [2]]
    [told] = [json.loads(sent.value or b"") for sent in on_topic(dead.bootstrap, dead.name)]
    assert told["requestContext"]["condition"] == "MaximumPayloadSizeExceeded"
    assert told["responseContext"] is None
    dead.close()


@pytest.mark.rule("endpoint-too-large")
def test_an_event_of_six_megabytes_passes() -> None:
    event = json.dumps({"records": "x" * (6 * 1024 * 1024 - len('{"records": ""}'))})
    with lambda_api(lambda event: Answer(len(event["records"]))) as api:
        assert function(api.url).invoke(event) == len(event) - len('{"records": ""}')


@pytest.mark.rule("function-names")
def test_a_function_is_invoked_by_its_name_and_the_qualifier_that_is_asked_for() -> None:
    with lambda_api(in_turn()) as api:
        for name in ("f", ARN, "123456789012:function:f:7"):
            function(api.url, name).invoke("{}")

    assert [called[:2] for called in api.invoked] == [("f", None), ("f", "live"), ("f", "7")]


@pytest.mark.rule("endpoint-function-error")
def test_an_answer_that_is_no_json_is_an_error_of_the_function_and_an_empty_one_is_null() -> None:
    with lambda_api(in_turn(Answer(b"<html>"), Answer(b""))) as api:
        called = function(api.url)
        with pytest.raises(FunctionError, match="the answer can't be read"):
            called.invoke("{}")
        assert called.invoke("{}") is None
        called.close()


def test_errors_of_the_service_are_told_apart() -> None:
    refusals = (Answer(status=413, error="RequestTooLargeException"), Answer(status=429, error="TooManyRequestsException"))
    with lambda_api(in_turn(*refusals)) as api:
        called = function(api.url)
        with pytest.raises(EventTooLarge):
            called.invoke("{}")
        with pytest.raises(NotInvoked, match="TooManyRequestsException") as refused:
            called.invoke("{}")
    assert not isinstance(refused.value, EventTooLarge)


@pytest.mark.rule("endpoint-credentials")
def test_made_up_credentials_are_for_this_machine_and_none_at_all_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    for url in ("http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1"):
        LambdaEndpoint(url, dummy_credentials=True)
    with pytest.raises(ValueError, match="--dummy-credentials: only for an endpoint on this machine"):
        LambdaEndpoint("https://lambda.us-east-1.amazonaws.com", dummy_credentials=True)
    with pytest.raises(ValueError, match="no AWS credentials found"):
        LambdaEndpoint("http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    with pytest.raises(ValueError, match="nowhere"):
        LambdaEndpoint("nowhere")
