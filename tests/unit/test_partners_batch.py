"""How the simulated partners read a poll's records, work each command once and word the answers."""

import itertools
import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from chalicelib.messages import commands, envelope, replies
from chalicelib.messages.envelope import Incoming, MessageContext, Outgoing
from chalicelib.messages.trace import span_of
from infra.partners.batch import Known, work
from infra.partners.requests import Request, UnreadableCommand, read
from infra.partners.settings import BadSettings, Settings

NOW = datetime(2026, 11, 22, 8, 15, tzinfo=UTC)
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def counting() -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"id-{next(numbers)}"


def incoming(command: commands.Command, *, id: str = "command-1", order_id: str = "order-1") -> Incoming:
    record = envelope.encode(command, order_id, MessageContext("correlation-1", "cause-1", TRACEPARENT, "saga-1"), id=id, time=NOW)
    return Incoming(record.topic, 0, 0, record.key, record.value, record.headers)


def authorize(customer_id: str = "cust_1", amount: str = "12.99") -> commands.AuthorizePayment:
    return commands.AuthorizePayment(
        order_id="order-1", customer_id=customer_id, payment_method_id="pm_1", amount=Decimal(amount), currency="SGD"
    )


def raw(value: bytes | None, **headers: str) -> Incoming:
    attributes = {"ce_specversion": "1.0", "ce_id": "command-1", "ce_type": "payment.release", "ce_source": "/campusg/orders", **headers}
    return Incoming("payment-commands", 0, 0, b"order-1", value, tuple((name, text.encode()) for name, text in attributes.items()))


def headers_of(reply: Outgoing) -> dict[str, str]:
    return {name: value.decode() for name, value in reply.headers}


def test_an_answer_is_a_cloud_event_that_names_what_it_answers() -> None:
    (reply,) = work([read(incoming(authorize()))], Known(), NOW, counting()).replies
    assert (reply.topic, reply.key) == ("payment-events", b"order-1")
    assert json.loads(reply.value or b"") == {"orderId": "order-1", "paymentId": "pay_id-1", "amount": "12.99"}
    assert headers_of(reply) == {
        "ce_specversion": "1.0",
        "ce_id": "id-2",
        "ce_type": "payment.authorized",
        "ce_source": "/campusg/payments",
        "ce_time": "2026-11-22T08:15:00.000Z",
        "ce_subject": "order-1",
        "content-type": "application/json",
        "ce_sagaid": "saga-1",
        "ce_correlationid": "correlation-1",
        "ce_causationid": "command-1",
        "traceparent": span_of(TRACEPARENT, "id-2"),
    }


@pytest.mark.parametrize(
    ("command", "topic", "source"),
    [
        (commands.ValidateRunner(runner_id="run_1"), "user-events", "/campusg/users"),
        (commands.ReleasePayment(order_id="order-1"), "payment-events", "/campusg/payments"),
        (commands.RefundEscrow(order_id="order-1"), "escrow-events", "/campusg/escrow"),
    ],
)
def test_each_partner_answers_on_its_own_topic_under_its_own_name(command: commands.Command, topic: str, source: str) -> None:
    (reply,) = work([read(incoming(command))], Known(), NOW, counting()).replies
    assert (reply.topic, headers_of(reply)["ce_source"], reply.key) == (topic, source, b"order-1")
    answer = envelope.decode(Incoming(reply.topic, 0, 0, reply.key, reply.value, reply.headers))
    assert replies.REPLIES[answer.type].read(answer.data)


def test_a_command_of_no_saga_is_answered_with_none_and_begins_a_correlation() -> None:
    (reply,) = work([read(raw(b'{"orderId":"order-1"}'))], Known(), NOW, counting()).replies
    assert not headers_of(reply).keys() & {"ce_sagaid", "traceparent"}
    assert headers_of(reply)["ce_correlationid"] == "command-1"


def test_copies_in_one_batch_are_worked_once_and_answered_alike() -> None:
    request = read(incoming(authorize()))
    worked = work([request, request, request], Known(), NOW, counting())
    assert len(worked.accounts["order-1"].payments) == len(worked.answered) == 1
    assert worked.replies == (worked.replies[0],) * 3


def test_a_copy_in_a_later_batch_gets_the_bytes_of_the_first_and_changes_nothing() -> None:
    request = read(incoming(authorize()))
    first = work([request], Known(), NOW, counting())
    known = Known(first.accounts, {answer.command_id: answer for answer in first.answered})
    again = work([request], known, datetime(2026, 11, 29, tzinfo=UTC), lambda: "other")
    assert again.replies == first.replies
    assert again.accounts == first.accounts
    assert again.answered == ()


def test_a_copy_of_a_command_that_was_never_answered_is_not_answered_either() -> None:
    request = read(incoming(authorize("silent_1")))
    worked = work([request, request], Known(), NOW, counting())
    assert worked.replies == ()
    assert len(worked.answered) == 1
    assert len(worked.accounts["order-1"].payments) == 1


def test_commands_of_one_order_see_what_those_before_them_did() -> None:
    release = read(incoming(commands.ReleasePayment(order_id="order-1"), id="undo"))
    worked = work([release, read(incoming(authorize(), id="late"))], Known(), NOW, counting())
    assert [headers_of(reply)["ce_type"] for reply in worked.replies] == ["payment.released", "payment.declined"]


def test_orders_don_t_touch_each_other() -> None:
    other = Request(commands.ReleasePayment(order_id="order-2"), "undo", "order-2")
    worked = work([other, read(incoming(authorize()))], Known(), NOW, counting())
    assert worked.accounts["order-1"].payments[0].status == "AUTHORIZED"


def test_a_notification_is_kept_once_and_not_answered() -> None:
    command = commands.SendNotification(
        recipient_id="cust_1", recipient_type="CUSTOMER", notification_type="ORDER_OPENED", title="Open", message="", order_id="order-1"
    )
    request = read(incoming(command))
    worked = work([request, request], Known(), NOW, counting())
    assert worked.notifications == (("command-1", command),)
    assert worked.replies == ()


def test_a_command_about_a_person_belongs_to_the_order_that_its_key_names() -> None:
    record = incoming(commands.ValidateCustomer(customer_id="cust_1"))
    bare = Incoming(record.topic, 0, 0, record.key, record.value, tuple(pair for pair in record.headers if pair[0] != "ce_subject"))
    assert read(record).order_id == read(bare).order_id == "order-1"


@pytest.mark.parametrize(
    "header", ["ce_subject", "ce_correlationid", "traceparent", "ce_time", "ce_causationid", "ce_sagaid", "tracestate"]
)
@pytest.mark.parametrize("value", ["\x00", "x" * 300, "☃"])
def test_a_command_is_read_whatever_metadata_that_nobody_needs_says(header: str, value: str) -> None:
    request = read(raw(b'{"orderId":"order-1"}', **{header: value}))
    assert (request.command_id, request.order_id) == ("command-1", "order-1")


def test_a_command_about_a_person_belongs_to_its_key_whatever_the_subject_says() -> None:
    record = incoming(commands.ValidateCustomer(customer_id="cust_1"))
    other = tuple((name, b"nonsense" if name == "ce_subject" else value) for name, value in record.headers)
    assert read(Incoming(record.topic, 0, 0, record.key, record.value, other)).order_id == "order-1"


def test_a_structured_command_is_read_too() -> None:
    event = {"specversion": "1.0", "id": "c", "type": "payment.release", "source": "/x", "sagaid": "s", "data": {"orderId": "o"}}
    record = Incoming("payment-commands", 0, 0, None, json.dumps(event).encode(), (("content-type", b"application/cloudevents+json"),))
    assert read(record) == Request(commands.ReleasePayment(order_id="o"), "c", "o", "s")


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        (Incoming("payment-commands", 0, 0, None, b"junk", ()), "ce_id"),
        (raw(b"{"), "not JSON"),
        (raw(None), "must be an object"),
        (raw(b"{}"), "orderId"),
        (raw(b'{"orderId":"order-1"}', ce_type="payment.steal"), "no command"),
        (raw(b'{"customerId":"cust_1"}', ce_type="user.validate_customer"), "no command of payment-commands"),
        (raw(b'{"orderId":"order-1"}', ce_id="x" * 129), "command_id"),
        (raw(b'{"orderId":"a\\u0000b"}'), "orderId"),
        (raw(b'{"orderId":"o","paymentId":"p","amount":"1E+999999","currency":"SGD"}', ce_type="payment.refund"), "amount"),
    ],
)
def test_what_is_no_command_is_refused_with_the_reason(record: Incoming, sentence: str) -> None:
    with pytest.raises(UnreadableCommand, match=sentence):
        read(record)


def test_a_command_about_a_person_that_names_no_order_is_refused() -> None:
    record = incoming(commands.ValidateCustomer(customer_id="cust_1"))
    with pytest.raises(UnreadableCommand, match="order_id"):
        read(Incoming(record.topic, 0, 0, None, record.value, tuple(pair for pair in record.headers if pair[0] != "ce_subject")))


class TestSettings:
    GOOD = {"DATABASE_URL": "postgresql+pg8000://me:p%40ss@127.0.0.1:5433/orders", "KAFKA_BROKERS": "a:1, b:2"}

    def test_the_environment_is_read_and_the_password_is_not_shown(self) -> None:
        settings = Settings.from_environment(self.GOOD)
        assert settings.kafka_brokers == ("a:1", "b:2")
        assert "p%40ss" not in repr(settings)

    @pytest.mark.parametrize(
        ("name", "value"), [("DATABASE_URL", ""), ("DATABASE_URL", "mysql://a@b/c"), ("KAFKA_BROKERS", ""), ("KAFKA_BROKERS", "a,b:2")]
    )
    def test_a_wrong_setting_is_named(self, name: str, value: str) -> None:
        with pytest.raises(BadSettings, match=name):
            Settings.from_environment({**self.GOOD, name: value})
