"""What really goes over Kafka, against what the AsyncAPI document says of it."""

import json
from typing import Any
from uuid import UUID

import pytest
from jsonschema import Draft7Validator, FormatChecker

from chalicelib.messages import envelope
from chalicelib.messages.envelope import Incoming, Outgoing, to_json
from chalicelib.messages.replies import AuthorizationExpired
from chalicelib.messaging.dead_letters import DeadLetter, copy_of
from chalicelib.messaging.decode import ExpiryReceived, ReplyReceived, receive
from chalicelib.orders.changes import Cause, change
from chalicelib.orders.order import OrderStatus, PaymentStatus
from infra.documents.asyncapi import catalogue, document
from infra.documents.asyncapi.headers import DEAD_LETTER, OMITTED
from tests.support.examples import CONTEXT, NOW, SAGA_ID, a_record, an_order, an_order_in

Json = dict[str, Any]


@pytest.fixture(scope="module")
def built() -> Json:
    return document.build()


def check(built: Json, schema: Json) -> Draft7Validator:
    """A validator of one of the document's schemas."""
    return Draft7Validator({**schema, "components": built["components"]}, format_checker=FormatChecker())


def fits(built: Json, record: Outgoing | Incoming) -> None:
    """Hold a record against headers and payload of the message that its ce_type names."""
    headers = {name: value.decode() for name, value in record.headers}
    message = built["components"]["messages"][headers["ce_type"]]
    check(built, message["headers"]).validate(headers)
    check(built, message["payload"]).validate(json.loads(record.value or b"null"))
    check(built, message["bindings"]["kafka"]["key"]).validate((record.key or b"").decode())
    assert record.topic in built["channels"]
    assert headers["ce_type"] in built["channels"][record.topic]["messages"]


@pytest.mark.parametrize("message", catalogue.messages(), ids=lambda message: message.type)
def test_every_example_fits_its_schema_and_is_read_back(built: Json, message: catalogue.Message) -> None:
    (example,) = built["components"]["messages"][message.type]["examples"]
    headers = tuple((name, value.encode()) for name, value in example["headers"].items())
    record = Incoming(message.topic, 0, 0, example["headers"]["ce_subject"].encode(), to_json(example["payload"]), headers)

    fits(built, record)
    assert envelope.decode(record).type == message.type
    data = envelope.decode(record).data
    assert message.kind.read(data).data() == data
    if not message.ours:
        assert isinstance(receive(record), ExpiryReceived if message.kind is AuthorizationExpired else ReplyReceived)


@pytest.mark.parametrize("message", [each for each in catalogue.messages() if not each.ours], ids=lambda message: message.type)
def test_a_reply_needs_the_headers_that_are_required_and_no_others(built: Json, message: catalogue.Message) -> None:
    example = built["components"]["messages"][message.type]
    required = example["headers"]["required"]
    headers = {name: value for name, value in example["examples"][0]["headers"].items() if name in required}
    record = a_record(to_json(example["examples"][0]["payload"]), headers, topic=message.topic)

    assert isinstance(receive(record), (ReplyReceived, ExpiryReceived))
    for name in required:
        without = a_record(record.value, {other: value for other, value in headers.items() if other != name}, topic=message.topic)
        assert not isinstance(receive(without), (ReplyReceived, ExpiryReceived))
        assert not check(built, example["headers"]).is_valid({k: v for k, v in headers.items() if k != name})


@pytest.mark.parametrize("status", OrderStatus)
def test_events_of_orders_in_every_status_fit(built: Json, status: OrderStatus) -> None:
    orders = [
        an_order_in(status),
        an_order(order_status=status, payment_status=PaymentStatus.RELEASED, cancel_reason="x", cancelled_at=NOW),
    ]
    for after in orders:
        for before in (None, an_order(), an_order_in(status), an_order_in(status, payment_status=PaymentStatus.PENDING)):
            for saga_id in (None, SAGA_ID):
                fits(built, change(before, after, Cause("system", CONTEXT, saga_id), event_id=str(UUID(int=7)), now=NOW).event)


@pytest.mark.parametrize("amount", ["12.99", "0.00", "9999999999.99", 12.99, 12])
def test_amounts_may_be_read_as_strings_or_numbers(built: Json, amount: Any) -> None:
    schema = built["components"]["schemas"]["PaymentAuthorized"]
    check(built, schema).validate({"orderId": "o", "paymentId": "p", "amount": amount})


@pytest.mark.parametrize("amount", ["12.999", "twelve", "", None, True])
def test_what_is_no_amount_does_not_fit(built: Json, amount: Any) -> None:
    for type in ("payment.authorized", "payment.capture"):
        message = built["components"]["messages"][type]
        assert not check(built, message["payload"]).is_valid({**message["examples"][0]["payload"], "amount": amount})


@pytest.mark.parametrize(
    "record",
    [
        a_record(b"{", {"ce_type": "x"}),
        a_record(b"x" * 300_000, {"ce_type": "x"}),
        a_record(b"x", {f"h{number}": "x" * 300 for number in range(1000)}),
        a_record(b"x", {}, key=b"k" * 200_000),
    ],
    ids=["kept whole", "value left out", "headers left out", "key left out"],
)
def test_dead_letters_have_the_headers_that_are_described(built: Json, record: Incoming) -> None:
    made = copy_of(DeadLetter(SAGA_ID, record, "Unintelligible", "no CloudEvent", 1))
    headers = {name: value.decode() for name, value in made.headers}

    check(built, built["components"]["messages"]["dead-letter"]["headers"]).validate(headers)
    assert {name for name in headers if name.startswith("__dlq.")} <= {*DEAD_LETTER, *OMITTED}
