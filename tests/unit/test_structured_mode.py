"""CloudEvents in structured mode, which we read and never write: JSON of any kind, and a reason for what can't be read."""

import base64
import json
import re
from decimal import Decimal
from typing import Any

import pytest

from chalicelib.messages.envelope import Incoming, NotACloudEvent, decode
from chalicelib.messaging.decode import ReplyReceived, Unintelligible, receive
from tests.support.examples import SAGA_ID, a_record
from tests.unit.test_envelope import BINARY, TRACE

EVENT = {"specversion": "1.0", "id": "m-1", "type": "payment.authorized", "source": "/payments", "sagaid": "s", "causationid": "c"}


def structured(event: Any, content_type: str = "application/cloudevents+json; charset=UTF-8") -> Incoming:
    value = event if isinstance(event, bytes) else json.dumps(event).encode()
    return a_record(value, {"content-type": content_type}, topic="payment-events")


@pytest.mark.parametrize(
    "content_type",
    [
        "application/cloudevents+json; charset=UTF-8",
        "application/cloudevents+json;charset=utf-8",
        "Application/CloudEvents+JSON",
        "application/cloudevents",
        "application/cloudevents; charset=utf-8",
    ],
)
def test_structured_mode_is_read(content_type: str) -> None:
    event = decode(structured({**EVENT, "traceparent": TRACE, "data": {"amount": "12.99"}}, content_type))

    assert (event.id, event.type, event.saga_id, event.causation_id, event.traceparent) == ("m-1", "payment.authorized", "s", "c", TRACE)
    assert event.data == {"amount": "12.99"}


def test_data_in_base64_is_read_in_structured_mode() -> None:
    encoded = base64.b64encode(b'{"amount": "12.99"}').decode()
    assert decode(structured({**EVENT, "data_base64": encoded})).data == {"amount": "12.99"}


@pytest.mark.parametrize("encoded", ["no base64!", 7, {"a": 1}])
def test_data_that_is_no_base64_is_no_event(encoded: Any) -> None:
    with pytest.raises(NotACloudEvent, match="data_base64 is not base64"):
        decode(structured({**EVENT, "data_base64": encoded}))


def test_an_amount_as_a_number_stays_exact_in_structured_mode() -> None:
    event = decode(structured(b'{"specversion":"1.0","id":"m","type":"t","source":"/s","data":{"amount":0.10}}'))

    assert Decimal(event.data["amount"]) == Decimal("0.10")


def test_structured_mode_may_have_no_data() -> None:
    assert decode(structured(EVENT)).data is None


@pytest.mark.parametrize("event", [[EVENT], "text", None, 1])
def test_a_structured_event_is_an_object(event: Any) -> None:
    with pytest.raises(NotACloudEvent, match="must be a JSON object"):
        decode(structured(event))


@pytest.mark.parametrize("name", ["specversion", "id", "type", "source"])
@pytest.mark.parametrize("value", [None, ""], ids=["null", "empty"])
def test_a_structured_event_names_what_it_lacks(name: str, value: Any) -> None:
    with pytest.raises(NotACloudEvent, match=f"ce_{name} missing"):
        decode(structured({**EVENT, name: value}))


@pytest.mark.parametrize("name", ["specversion", "id", "type", "source"])
@pytest.mark.parametrize("value", [1, 1.0, True, {}, []], ids=["integer", "fraction", "boolean", "object", "list"])
def test_a_structured_event_says_which_attribute_is_no_string(name: str, value: Any) -> None:
    with pytest.raises(NotACloudEvent, match=f"^the attribute {name} must be a string$"):
        decode(structured({**EVENT, name: value}))


@pytest.mark.parametrize(("value", "text"), [("4", "4"), (4, "4"), (-1, "-1"), (True, "true"), (False, "false"), (None, None)])
def test_an_extension_may_be_a_json_integer_or_boolean(value: Any, text: str | None) -> None:
    assert decode(structured({**EVENT, "sequence": value})).sequence == text


@pytest.mark.parametrize("name", ["causationid", "correlationid", "traceparent", "sequence", "subject", "time", "datacontenttype", "my"])
@pytest.mark.parametrize("value", [1.5, {}, ["x"]], ids=["fraction", "object", "list"])
def test_an_attribute_of_another_kind_that_is_not_required_counts_as_absent(name: str, value: Any) -> None:
    without = {key: each for key, each in EVENT.items() if key != name}

    assert decode(structured({**EVENT, name: value})) == decode(structured(without))


@pytest.mark.parametrize("value", [1.5, {}, ["x"], False], ids=["fraction", "object", "list", "boolean"])
def test_a_saga_that_is_no_id_is_claimed_all_the_same(value: Any) -> None:
    reply = receive(structured({**EVENT, "sagaid": value, "data": {}}))
    unknown = receive(structured({**EVENT, "type": "payment.birthday", "sagaid": value, "data": {}}))

    assert isinstance(reply, Unintelligible)
    assert reply.error == "ce_sagaid is missing or no UUID"
    assert isinstance(unknown, Unintelligible)


def test_attributes_that_we_do_not_read_are_none_of_our_business() -> None:
    known = decode(structured({**EVENT, "data": {}}))
    others = {"partitionkey": "o", "datacontenttype": "application/json", "dataschema": "urn:x", "time": "then", "myown": 1.5}

    assert decode(structured({**EVENT, "data": {}, **others})) == known
    assert decode(a_record(b"{}", {**BINARY, "ce_partitionkey": "o", "ce_time": "then"})) == decode(a_record(b"{}", BINARY))


@pytest.mark.parametrize("content_type", ["application/cloudevents-batch+json", "Application/CloudEvents-Batch+JSON; charset=UTF-8"])
def test_a_batch_of_events_is_refused(content_type: str) -> None:
    with pytest.raises(NotACloudEvent, match="Kafka has no batched mode"):
        decode(structured([EVENT], content_type))


@pytest.mark.parametrize("content_type", ["application/cloudevents+avro", "application/cloudevents+xml; charset=UTF-8"])
def test_an_event_format_other_than_json_is_refused(content_type: str) -> None:
    with pytest.raises(NotACloudEvent, match=r"the event format 'application/cloudevents\+\w+' is not understood"):
        decode(structured(EVENT, content_type))


def test_an_event_with_two_kinds_of_data_is_refused() -> None:
    with pytest.raises(NotACloudEvent, match="either data or data_base64"):
        decode(structured({**EVENT, "data": {"a": 1}, "data_base64": "e30="}))


@pytest.mark.parametrize("correlation_id", ["", "x" * 129, "a\x00b"])
def test_a_correlation_id_that_could_not_be_carried_on_counts_as_absent(correlation_id: str) -> None:
    assert decode(a_record(b"{}", {**BINARY, "ce_correlationid": correlation_id})).correlation_id is None
    assert decode(structured({**EVENT, "correlationid": correlation_id})).correlation_id is None


def test_a_structured_event_that_is_no_json_is_refused() -> None:
    with pytest.raises(NotACloudEvent, match="not JSON"):
        decode(structured(b"{"))


def test_numbers_in_the_data_of_a_structured_event_stay_numbers() -> None:
    text = json.dumps({**EVENT, "sagaid": str(SAGA_ID), "data": {"orderId": "o", "paymentId": "p", "amount": "@"}})
    received = receive(structured(text.replace('"@"', "1.299E+1").encode()))

    assert isinstance(received, ReplyReceived)
    assert received.reply.data()["amount"] == "12.99"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"datacontenttype": "application/xml", "data": "<order/>"}, "^data: must be an object$"),
        ({"datacontenttype": "application/xml", "data_base64": "PG9yZGVyLz4="}, "^the value is not JSON"),
        ({"data": '{"orderId": "o"}'}, "^data: must be an object$"),
        ({}, "^data: must be an object$"),
    ],
    ids=["text", "bytes", "JSON in a string", "nothing"],
)
def test_a_reply_whose_data_is_no_object_says_so(data: dict[str, Any], reason: str) -> None:
    received = receive(structured({**EVENT, "sagaid": str(SAGA_ID), **data}))

    assert isinstance(received, Unintelligible)
    assert re.match(reason, received.error)
    assert received.saga_id == SAGA_ID
