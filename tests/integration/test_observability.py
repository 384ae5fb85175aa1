"""What is said of an order on its way: a line for everything that moves it, by which it can be followed, and numbers for the whole."""

import json
import logging
import re
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from chalice.test import Client

from chalicelib.db.connection import on_commit
from chalicelib.observability import MOST_VALUES, SERVICE, measure, tell
from tests.integration.conftest import Service
from tests.support.bugs import plant_bug
from tests.support.database import Placed
from tests.support.edge import ADMIN, NEW_ORDER, OWNER, InProcess
from tests.support.kafka_records import Record, Sent, answer, lambda_event, refusal
from tests.support.letters import of_a_newer_release, redrive
from tests.support.partner_script import Partners

Lines = Callable[[], list[dict[str, Any]]]
ALIKE = {"service": "campusg-orders", "stage": "local", "level": "INFO"}


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Lines:
    """What was printed since it was called last."""
    [handler] = [each for each in logging.getLogger(SERVICE).handlers if type(each) is logging.StreamHandler]
    # Which changes between a test's set-up and the test.
    monkeypatch.setattr(handler, "stream", SimpleNamespace(write=lambda text: sys.stdout.write(text), flush=lambda: None))
    return lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.fixture
def metrics(printed: Lines, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[Any]]:
    """The values of a metric that was written since it was called last, each with its own dimensions."""
    monkeypatch.delenv("POWERTOOLS_METRICS_DISABLED", raising=False)

    def of(name: str) -> list[Any]:
        found = []
        for line in printed():
            if name in line:
                [directive] = line["_aws"]["CloudWatchMetrics"]
                [dimensions] = directive["Dimensions"]
                assert (directive["Namespace"], dimensions[:2]) == ("CampusG/Orders", ["service", "stage"])
                assert (line["service"], line["stage"]) == ("campusg-orders", "local")
                found.append((*(line[dimension] for dimension in dimensions[2:]), line[name]))
        return found

    return of


class Called:
    """Lambda's context of one call."""

    def __init__(self, request_id: str) -> None:
        self.aws_request_id = request_id

    def get_remaining_time_in_millis(self) -> int:
        return 30_000


def take(service: Service, request_id: str, *records: Record) -> None:
    functions = {"user-events": "on_user_events", "payment-events": "on_payment_events", "escrow-events": "on_escrow_events"}
    response = getattr(service.app, functions[records[0].topic])(lambda_event(*records), Called(request_id))
    assert response == {"batchItemFailures": []}


def message_id(record: Record) -> str:
    return dict(record.headers)["ce_id"].decode()


def newest(service: Service) -> Sent:
    return [message for message in service.world.outbox() if message.topic.endswith("-commands")][-1]


def test_an_order_is_followed_from_its_request_to_the_end_of_its_saga(offline: InProcess, brokerless: Service, printed: Lines) -> None:
    body = offline.post("/api/orders", OWNER, NEW_ORDER, x_correlation_id="corr-1").json()
    ids = {"order_id": body["order"]["orderId"], "saga_id": body["saga"]["sagaId"], "correlation_id": "corr-1"}
    began, answered = printed()
    assert began.items() >= {**ALIKE, **ids, "message": "A saga began", "saga": "create_order", "outcome": "started"}.items()
    assert began["step"] == "validate_customer"
    assert answered.items() >= {**ALIKE, **ids, "message": "A request was answered", "status": 202}.items()
    assert answered["trace_id"] == began["trace_id"]
    assert answered["request_id"] == began["request_id"] != ""

    partners, said = Partners(), []
    for number in range(3):
        reply = partners.work(newest(brokerless))
        assert reply is not None
        take(brokerless, f"request-{number}", reply)
        [line] = printed()
        assert line.items() >= {**ALIKE, **ids, "request_id": f"request-{number}", "trace_id": began["trace_id"]}.items()
        assert line["message_id"] == message_id(reply)
        said.append((line["message"], line["outcome"], line.get("step"), line["status"]))
    assert said == [
        ("A saga moved on", "user.customer_validated", "authorize_payment", "RUNNING"),
        ("A saga moved on", "payment.authorized", "hold_escrow", "RUNNING"),
        ("A saga ended", "escrow.held", None, "COMPLETED"),
    ]


def test_a_question_about_an_order_says_which(offline: InProcess, placed: list[Placed], printed: Lines) -> None:
    printed()
    offline.get(f"/api/orders/{placed[0].order_id}", ADMIN)
    [line] = printed()
    assert (line["order_id"], line["status"]) == (str(placed[0].order_id), 200)


def test_a_record_that_fails_and_a_dead_letter_say_whose_they_are(
    brokerless: Service, placed: list[Placed], records: list[Record], printed: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = {"order_id": str(placed[0].order_id), "saga_id": str(placed[0].saga_id), "message_id": message_id(records[0])}
    with monkeypatch.context() as patched:
        plant_bug(patched)
        printed()
        brokerless.app.on_user_events(lambda_event(records[0]), Called("request-1"))
    [failed] = printed()
    assert failed.items() >= {**ids, "message": "A record failed", "request_id": "request-1"}.items()
    brokerless.app.on_user_events(lambda_event(records[0].again().having(ce_type="user.runner_validated")), Called("request-2"))
    [letter] = printed()
    assert letter.items() >= {**ids, "message": "A record became a dead letter", "request_id": "request-2"}.items()


def test_no_line_has_what_people_wrote_or_any_token(
    offline: InProcess, brokerless: Service, printed: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [{"name": "Words of a customer", "price": "4.50", "quantity": 2}]
    details = {"foodItems": items, "storeLocation": "Words of a shop", "deliveryLocation": "Words of a home"}
    order = offline.post("/api/orders", OWNER, {"orderDetails": details}).json()["order"]
    command = newest(brokerless)
    wrong = refusal(command, reason="Words of a partner").having(ce_type="user.runner_rejected")
    take(brokerless, "request-1", wrong)
    with monkeypatch.context() as patched:
        plant_bug(patched)
        brokerless.app.on_user_events(lambda_event(answer(command)), Called("request-2"))
    path = f"/api/orders/{order['orderId']}"
    statuses = [
        offline.post("/api/orders", OWNER, {"orderDetails": {**details, "deliveryFee": "Words for money"}}).status,
        offline.post(f"{path}/cancel", OWNER, {"reason": "Words of regret"}).status,
        offline.get(path, OWNER, {"customerId": "Words of a query"}).status,
        offline.call("GET", path, Authorization=f"Bearer {offline.token(OWNER)[:-9]}").status,
    ]
    lines = printed()

    assert statuses == [422, 200, 200, 403]
    said = {"A record became a dead letter", "A record failed", "A request was answered", "A token was refused"}
    assert said <= {line["message"] for line in lines}
    assert not re.search(r"Words|eyJ", json.dumps(lines))


def test_the_clock_says_what_it_sends_again_and_gives_up_on(
    brokerless: Service, placed: list[Placed], metrics: Callable[[str], list[Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    world = brokerless.world
    world.forget_outbox()
    with Client(brokerless.app.app) as client:
        world.make_due()
        metrics("")
        client.lambda_.invoke("sweep_timeouts", client.events.generate_cw_event("aws.events", "Scheduled Event", {}, [], "eu-west-1"))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    moved = [line for line in lines if line.get("message") == "A saga moved on"]
    assert {line["order_id"] for line in moved} == {str(each.order_id) for each in placed}
    assert {(line["outcome"], line["step"], bool(line["request_id"])) for line in moved} == {("timed out", "validate_customer", True)}
    assert [line["CommandsSentAgain"] for line in lines if "CommandsSentAgain" in line] == [4]
    for _ in range(world.rules.policy.attempts - 1):
        world.forget_outbox()
        world.make_due()
        brokerless.app.entrypoints.schedules.sweep_timeouts()
    assert metrics("StepsTimedOut") == [("validate_customer", 4)]


def test_ends_are_counted_by_saga_and_how_long_each_step_took(
    brokerless: Service,
    placed: list[Placed],
    records: list[Record],
    metrics: Callable[[str], list[Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    rejected = answer_rejecting(brokerless, placed[0])
    capsys.readouterr()
    brokerless.on_events(rejected, *records[1:])
    out = capsys.readouterr().out
    lines = [json.loads(line) for line in out.splitlines()]
    assert [(line["saga"], line["end"], line["SagasEnded"]) for line in lines if "SagasEnded" in line] == [
        ("create_order", "COMPENSATED", 1)
    ]
    [waits] = [line for line in lines if "StepMilliseconds" in line]
    assert (waits["step"], len(waits["StepMilliseconds"])) == ("validate_customer", 4)
    assert all(0 <= wait < 60_000 for wait in waits["StepMilliseconds"])
    assert [line["RepliesTaken"] for line in lines if "RepliesTaken" in line] == [4]


def answer_rejecting(service: Service, placed: Placed) -> Record:
    [command] = service.world.pending_of([placed])
    record = Partners().work(command, refuse=True)
    assert record is not None
    return record


def test_the_age_of_the_outbox_is_measured_each_minute(
    brokerless: Service, placed: list[Placed], metrics: Callable[[str], list[Any]]
) -> None:
    brokerless.world.rows("UPDATE campusg.outbox SET created_at = clock_timestamp() - interval '90 seconds'")
    metrics("")
    brokerless.app.entrypoints.schedules.audit_invariants()
    [(ages,)] = metrics("OutboxAgeSeconds")
    assert 90 <= ages[0] < 150
    brokerless.world.forget_outbox()
    brokerless.app.entrypoints.schedules.audit_invariants()
    assert metrics("OutboxAgeSeconds") == [([0.0],)]


def test_a_rehearsal_is_told_of_as_little_as_what_was_taken_back(
    brokerless: Service, offline: InProcess, printed: Lines, released: Callable[[], None]
) -> None:
    _, letter = of_a_newer_release(brokerless)
    released()
    printed()
    redrive(offline, letter, {"dryRun": True})
    assert [line["message"] for line in printed()] == ["A request was answered"]
    redrive(offline, letter)
    assert [line["message"] for line in printed()] == ["A saga moved on", "A dead letter was redriven", "A request was answered"]


def test_what_waits_for_a_commit_is_called_after_it_and_not_without(brokerless: Service) -> None:
    database, called = brokerless.world.database, []
    with pytest.raises(ValueError, match="taken back"), database.transaction() as session:
        on_commit(session, lambda: called.append("taken back"))
        raise ValueError("taken back")
    with database.transaction() as session:
        on_commit(session, lambda: called.append("committed"))
        assert called == []
    assert called == ["committed"]


def test_many_values_of_a_metric_come_in_documents_of_the_size_that_cloudwatch_reads(metrics: Callable[[str], list[Any]]) -> None:
    measure("StepMilliseconds", "Milliseconds", [1.0] * (MOST_VALUES + 1), step="a")
    assert metrics("StepMilliseconds") == [("a", [1.0] * MOST_VALUES), ("a", [1.0])]


def test_lines_of_a_batch_are_ascii_and_each_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    ids = [uuid4() for _ in range(100)]
    tell({"message": "A saga moved on", "saga_id": each, "message_id": "é\u202e\x1b" if each == ids[50] else "plain"} for each in ids)
    out = capsys.readouterr().out
    assert out.isascii()
    assert "\x1b" not in out
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["saga_id"] for line in lines] == [str(each) for each in ids]
    assert lines[50].items() >= {**ALIKE, "message_id": "é\u202e\x1b"}.items()
