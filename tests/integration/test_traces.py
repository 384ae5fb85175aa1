"""One trace from a request to every message and log line that follows from it, and no line with the trace of another."""

import json
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from chalicelib.entrypoints import orders
from chalicelib.messages import topics
from chalicelib.messages.envelope import Incoming, Outgoing
from chalicelib.messaging.producer import Producer
from chalicelib.observability import about, logger
from infra.documents.asyncapi.document import build
from infra.partners.batch import Known, work
from infra.partners.requests import read
from tests.integration.conftest import Service
from tests.support.bugs import plant_bug
from tests.support.edge import NEW_ORDER, OWNER, InProcess
from tests.support.kafka_records import Record, Sent, answer
from tests.unit.test_asyncapi_records import fits

ORDERS = "/api/orders"


def trace(number: int) -> str:
    """A trace id of one's own."""
    return f"{number:032x}"


def traceparent(trace_id: str, flags: str = "01") -> str:
    return f"00-{trace_id}-00000000000000aa-{flags}"


def parts(message: Sent) -> Sequence[str]:
    return message.header("traceparent").split("-")


def reply(command: Sent) -> Record:
    """What the simulated partners answer."""
    record = Incoming(command.topic, 0, 0, command.key, command.value, command.headers)
    [made] = work([read(record)], Known(), datetime.now(UTC), lambda: str(uuid4())).replies
    return Record(made.topic, made.key, made.value, made.headers)


def place(http: InProcess, trace_id: str, **headers: str) -> Mapping[str, Any]:
    """Place an order in that trace; the answer's body."""
    headers = {"traceparent": traceparent(trace_id), "x_correlation_id": f"corr-{trace_id[-4:]}", **headers}
    body: Mapping[str, Any] = http.post(ORDERS, OWNER, NEW_ORDER, **headers).json()
    return body


def newest(sent: Sequence[Sent], saga_id: str) -> Sent:
    return next(each for each in reversed(sent) if each.saga_id == saga_id and each.topic.endswith("-commands"))


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[list[logging.LogRecord]]:
    """The service's own log lines."""
    caplog.set_level(logging.INFO, logger="campusg-orders")
    found: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record)

    handler = Keep()
    logger.addHandler(handler)
    yield found
    logger.removeHandler(handler)


def fields(line: logging.LogRecord) -> tuple[str | None, str | None]:
    return getattr(line, "correlation_id", None), getattr(line, "trace_id", None)


@pytest.mark.parametrize("flags", ["01", "00"])
def test_every_command_reply_event_and_notification_is_in_the_callers_trace(service: Service, http: InProcess, flags: str) -> None:
    saga_id = place(http, trace(0xBEEF), traceparent=traceparent(trace(0xBEEF), flags))["saga"]["sagaId"]
    answers = []
    for topic in ("user-commands", "payment-commands", "escrow-commands"):
        [command] = service.topic(topic)
        answers.append(reply(command))
        assert service.on_events(answers[-1]) == {"batchItemFailures": []}

    ours = [message for topic in topics.PARTITIONS for message in service.topic(topic)]
    theirs = [Sent(each.topic, each.key, each.value, each.headers) for each in answers]
    assert len(ours) == 4 + 4
    assert {message.saga_id for message in ours} == {saga_id}
    assert {(parts(message)[1], parts(message)[3]) for message in (*ours, *theirs)} == {(trace(0xBEEF), flags)}
    # Each message is a span of its own, and none is the caller's.
    assert len({parts(message)[2] for message in (*ours, *theirs)} | {"00000000000000aa"}) == len(ours) + len(theirs) + 1
    document = build()
    for message in (*ours, *theirs):
        fits(document, Outgoing(message.topic, message.key, message.value, message.headers))


def test_a_resent_command_has_the_same_span(service: Service, http: InProcess) -> None:
    place(http, trace(1))
    service.world.make_due()
    service.app.entrypoints.schedules.sweep_timeouts()

    first, second = service.topic("user-commands")
    assert first == second


def test_a_trace_begins_where_the_caller_brings_none_or_none_that_can_be_read(offline: InProcess, brokerless: Service) -> None:
    for header in ({}, {"traceparent": "00-nonsense-01"}):
        offline.post(ORDERS, OWNER, NEW_ORDER, **header)

    by_saga: dict[str, set[str]] = {}
    for message in brokerless.world.outbox():
        by_saga.setdefault(message.saga_id, set()).add(parts(message)[1])
    assert [len(traces) for traces in by_saga.values()] == [1, 1]
    assert len(set.union(*by_saga.values())) == 2


def test_a_dead_letter_keeps_the_trace_that_came_with_it(service: Service, http: InProcess, lines: list[logging.LogRecord]) -> None:
    place(http, trace(2))
    [command] = service.topic("user-commands")
    broken = replace(reply(command), value=b"{")
    service.on_events(broken)

    [copy] = service.topic(topics.ORDERS_DLQ)
    assert copy.header("traceparent") == dict(broken.headers)["traceparent"].decode()
    [line] = [each for each in lines if each.msg == "A record became a dead letter"]
    assert fields(line) == ("corr-0002", trace(2))


def test_lines_about_the_records_of_one_batch_have_each_their_own_trace(
    offline: InProcess, brokerless: Service, lines: list[logging.LogRecord]
) -> None:
    sagas = [place(offline, trace(number))["saga"]["sagaId"] for number in (1, 2, 3)]
    sent = brokerless.world.outbox()
    misfits = [answer(newest(sent, saga_id), customerId="somebody else") for saga_id in sagas]
    stranger = misfits[0].again().having(ce_sagaid=str(uuid4()), ce_correlationid="theirs", traceparent=traceparent(trace(9)))
    nameless = Record("user-events", None, b"hello", ())
    lines.clear()
    brokerless.on_events(*misfits, stranger, nameless)
    logger.info("The batch is over")

    # The partner wrote no correlation and no trace into its replies: the saga knows them.
    assert [fields(line) for line in lines if line.msg == "A record became a dead letter"] == [
        ("corr-0001", trace(1)),
        ("corr-0002", trace(2)),
        ("corr-0003", trace(3)),
        ("theirs", trace(9)),
        (None, None),
    ]
    assert fields(lines[-1]) == (None, None)


def test_a_record_that_fails_is_logged_with_its_own_trace(
    offline: InProcess, brokerless: Service, lines: list[logging.LogRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    saga_id = place(offline, trace(4))["saga"]["sagaId"]
    record = answer(newest(brokerless.world.outbox(), saga_id))

    plant_bug(monkeypatch)
    brokerless.on_events(record)

    [line] = [each for each in lines if each.msg == "A record failed"]
    assert fields(line) == ("corr-0004", trace(4))


def test_lines_about_a_request_have_its_trace_and_leave_none_behind(
    offline: InProcess, lines: list[logging.LogRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    meeting = threading.Barrier(2)

    def noisy(_request: Any) -> Any:
        meeting.wait(10)
        logger.info("While the request is handled")
        raise RuntimeError("a bug")

    monkeypatch.setattr(orders, "create", noisy)
    callers = [threading.Thread(target=place, args=(offline, trace(number))) for number in (5, 6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(20)
    logger.info("Later")

    for text in ("While the request is handled", "A request failed"):
        assert {fields(line) for line in lines if line.msg == text} == {("corr-0005", trace(5)), ("corr-0006", trace(6))}
    assert fields(lines[-1]) == (None, None)


def open_order(service: Service, http: InProcess, trace_id: str) -> Mapping[str, Any]:
    """Place an order in that trace and have every partner do its part; the answer to the request."""
    placed = place(http, trace_id)
    for topic in (topics.USER_COMMANDS, topics.PAYMENT_COMMANDS, topics.ESCROW_COMMANDS):
        service.on_events(reply(newest(service.topic(topic), placed["saga"]["sagaId"])))
    return placed


def test_a_request_and_the_end_of_its_saga_are_found_by_the_trace(
    service: Service, http: InProcess, lines: list[logging.LogRecord], capsys: pytest.CaptureFixture[str]
) -> None:
    placed = open_order(service, http, trace(7))

    [answered] = [line for line in lines if line.msg == "A request was answered"]
    [ended] = [line for line in map(json.loads, capsys.readouterr().out.splitlines()) if line["message"] == "A saga ended"]
    assert fields(answered) == (ended["correlation_id"], ended["trace_id"]) == ("corr-0007", trace(7))
    assert (answered.__dict__["path"], answered.__dict__["status"]) == (ORDERS, 202)
    assert (ended["saga_id"], ended["status"]) == (placed["saga"]["sagaId"], "COMPLETED")


def test_what_a_partner_says_unasked_begins_a_trace_where_it_brings_none(service: Service, http: InProcess) -> None:
    order = open_order(service, http, trace(8))["order"]
    payment = next(json.loads(each.value or b"") for each in service.topic(topics.ORDER_EVENTS) if b"pay_" in (each.value or b""))
    data = {"orderId": order["orderId"], "paymentId": payment["order"]["paymentId"]}
    headers = {"ce_specversion": "1.0", "ce_id": "e1", "ce_type": "payment.authorization_expired", "ce_source": "/bank"}
    said = tuple((name, text.encode()) for name, text in headers.items())
    service.on_events(Record(topics.PAYMENT_EVENTS, order["orderId"].encode(), json.dumps(data).encode(), said))

    [undo] = [each for each in service.topic(topics.ESCROW_COMMANDS) if each.type == "escrow.refund"]
    assert parts(undo)[1] not in (trace(8), trace(0))


def test_a_message_that_can_not_be_published_is_logged_with_its_own_trace(
    service: Service, http: InProcess, lines: list[logging.LogRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = ValueError("too odd to be sent")
    monkeypatch.setattr(Producer, "send", lambda _self, messages, _timeout: [refused for _ in messages])
    place(http, trace(7))

    found = {fields(line) for line in lines if line.msg == "A message was not acknowledged"}
    assert found == {("corr-0007", trace(7))}


def test_what_a_line_says_itself_comes_first(lines: list[logging.LogRecord]) -> None:
    with about({"correlation_id": "outer", "trace_id": trace(1)}):
        with about({"correlation_id": "inner"}):
            logger.info("inner")
            logger.info("own", extra={"correlation_id": "own"})
        with about({}):
            logger.info("nothing of its own")
        logger.info("outer")

    assert [fields(line) for line in lines] == [("inner", None), ("own", None), ("outer", trace(1)), ("outer", trace(1))]


def test_lines_are_json_with_these_fields() -> None:
    line = logging.LogRecord("campusg-orders", logging.INFO, __file__, 1, "A line", None, None)
    with about({"correlation_id": "c", "trace_id": trace(8)}):
        assert logger._logger.filter(line)

    written = json.loads(logger.registered_formatter.format(line))
    assert (written["message"], written["correlation_id"], written["trace_id"]) == ("A line", "c", trace(8))
