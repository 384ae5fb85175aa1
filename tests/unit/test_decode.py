"""From a record to a reply, or to the reason why it can't be one: for every kind of broken record, and never by an exception."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.messages.envelope import to_json
from chalicelib.messages.replies import CustomerValidated, PaymentAuthorized
from chalicelib.messaging.decode import ExpiryReceived, Ignored, ReplyReceived, Unintelligible, receive
from tests.support.examples import SAGA_ID, a_record, a_reply_record

VALIDATED = {"customerId": "cust_1", "paymentMethodId": "pm_1"}
AUTHORIZED = {"orderId": "o", "paymentId": "pay_1", "amount": "12.99"}


def test_a_reply_is_read_with_the_command_that_it_answers() -> None:
    record = a_reply_record("user.customer_validated", {**VALIDATED, "unheardOf": [1]})

    assert receive(record) == ReplyReceived(
        record=record,
        message_id="reply-1",
        saga_id=SAGA_ID,
        causation_id="command-1",
        reply=CustomerValidated(customer_id="cust_1", payment_method_id="pm_1"),
    )


def test_ids_of_ours_are_read_in_either_case() -> None:
    command, order = "01930000-0000-7000-8000-00000000abcd", "01930000-0000-7000-8000-00000000000a"
    data = {"orderId": order.upper(), "reason": "r"}

    received = receive(a_reply_record("payment.declined", data, ce_sagaid=str(SAGA_ID).upper(), ce_causationid=command.upper()))

    assert isinstance(received, ReplyReceived)
    assert (received.saga_id, received.causation_id, received.reply.data()["orderId"]) == (SAGA_ID, command, order)


@pytest.mark.parametrize("order_id", ["{01930000-0000-7000-8000-00000000000a}", "01930000000070008000000000000000", "urn:uuid:01930000"])
def test_an_expiry_names_its_order_in_the_one_form_of_a_uuid(order_id: str) -> None:
    data = {"orderId": order_id, "paymentId": "pay_1"}

    received = receive(a_reply_record("payment.authorization_expired", data, ce_sagaid=None, ce_causationid=None))

    assert isinstance(received, Unintelligible)
    assert received.error == "orderId is no UUID"


@pytest.mark.parametrize("name", ["ce_sagaid", "ce_causationid", "traceparent"])
def test_an_expiry_needs_neither_saga_nor_causation_nor_trace(name: str) -> None:
    data = {"orderId": str(SAGA_ID), "paymentId": "pay_1"}

    assert isinstance(receive(a_reply_record("payment.authorization_expired", data, **{name: b"\xff\xfe"})), ExpiryReceived)


def test_a_structured_reply_is_read_the_same() -> None:
    event = {
        "specversion": "1.0",
        "id": "reply-1",
        "type": "payment.authorized",
        "source": "/payments",
        "sagaid": str(SAGA_ID),
        "causationid": "command-1",
        "data": AUTHORIZED,
    }
    received = receive(a_record(to_json(event), {"content-type": "application/cloudevents+json"}, topic="payment-events"))

    assert isinstance(received, ReplyReceived)
    assert received.reply == PaymentAuthorized.read(AUTHORIZED)
    assert (received.saga_id, received.causation_id) == (SAGA_ID, "command-1")


def test_a_reply_counts_only_on_its_own_topic() -> None:
    record = replace(a_reply_record("payment.authorized", AUTHORIZED), topic="user-events")

    received = receive(record)

    assert isinstance(received, Unintelligible)
    assert received.error == "payment.authorized belongs on payment-events"


def test_an_event_of_another_type_that_claims_no_saga_is_none_of_our_business() -> None:
    record = a_reply_record("user.birthday", b"not even JSON", ce_sagaid=None, ce_causationid=None)

    assert receive(record) == Ignored(record)


BROKEN: dict[str, tuple[str, Any, dict[str, str | bytes | None], str]] = {
    "an unknown type": ("user.birthday", VALIDATED, {}, "event type that is not known"),
    "no saga": ("user.customer_validated", VALIDATED, {"ce_sagaid": None}, "ce_sagaid is missing"),
    "a saga that is no UUID": ("user.customer_validated", VALIDATED, {"ce_sagaid": "the first one"}, "ce_sagaid is missing or no UUID"),
    "no causation": ("user.customer_validated", VALIDATED, {"ce_causationid": None}, "ce_causationid is missing"),
    "an empty causation": ("user.customer_validated", VALIDATED, {"ce_causationid": ""}, "ce_causationid is missing"),
    "no id": ("user.customer_validated", VALIDATED, {"ce_id": None}, "ce_id missing"),
    "an id without end": ("user.customer_validated", VALIDATED, {"ce_id": "x" * 129}, "ce_id must have 1 to 128 characters"),
    "an id that can't be stored": ("user.customer_validated", VALIDATED, {"ce_id": "a\x00b"}, "ce_id must have 1 to 128 characters"),
    "a source that is no text": ("user.customer_validated", VALIDATED, {"ce_source": b"\xff"}, "ce_source missing or not UTF-8"),
    "a saga that is no text": ("user.customer_validated", VALIDATED, {"ce_sagaid": b"\xff"}, "ce_sagaid is missing or no UUID"),
    "a saga in braces": ("user.customer_validated", VALIDATED, {"ce_sagaid": f"{{{SAGA_ID}}}"}, "ce_sagaid is missing or no UUID"),
    "a saga without hyphens": ("user.customer_validated", VALIDATED, {"ce_sagaid": SAGA_ID.hex}, "ce_sagaid is missing or no UUID"),
    "a causation that is no text": ("user.customer_validated", VALIDATED, {"ce_causationid": b"\xff"}, "ce_causationid is missing"),
    "no JSON": ("user.customer_validated", b"{", {}, "not JSON"),
    "a NaN": ("payment.authorized", b'{"orderId":"o","paymentId":"p","amount":NaN}', {}, "NaN is no JSON number"),
    "no data": ("user.customer_validated", b"", {}, "data: "),
    "a list": ("user.customer_validated", [VALIDATED], {}, "data: "),
    "a missing field": ("user.customer_validated", {"customerId": "cust_1"}, {}, "^paymentMethodId: is missing$"),
    "two missing fields": ("user.customer_validated", {}, {}, "^customerId: is missing; paymentMethodId: is missing$"),
    "an empty id": ("payment.authorized", {**AUTHORIZED, "paymentId": ""}, {}, "paymentId: "),
    "a long id": ("payment.authorized", {**AUTHORIZED, "paymentId": "p" * 129}, {}, "paymentId: .*128"),
    "an id that is a number": ("payment.authorized", {**AUTHORIZED, "paymentId": 7}, {}, "paymentId: "),
    "U+0000 in an id": ("payment.authorized", b'{"orderId":"o","paymentId":"p\\u0000","amount":"1"}', {}, "paymentId: "),
    "a lone surrogate in an id": ("payment.authorized", b'{"orderId":"o","paymentId":"p\\ud800","amount":"1"}', {}, "paymentId: "),
    "a third decimal": ("payment.authorized", {**AUTHORIZED, "amount": "12.991"}, {}, "amount: must be an amount with .* two decimals"),
    "an amount without bounds": ("payment.authorized", {**AUTHORIZED, "amount": "1E+999999999"}, {}, "amount: "),
    "an exponent beyond reason": ("payment.authorized", b'{"amount":1e99999999999999999999}', {}, "amount: must be an amount"),
    "an amount in scientific notation": ("payment.authorized", {**AUTHORIZED, "amount": "1.299E+1"}, {}, "amount: "),
    "an amount that is a flag": ("payment.authorized", {**AUTHORIZED, "amount": True}, {}, "amount: "),
    "depth": ("payment.authorized", b"[" * 100_000, {}, "nested too deep"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_reply_that_can_not_be_understood_says_why(what: str) -> None:
    type, data, headers, reason = BROKEN[what]
    record = a_reply_record(type, data, **headers)

    received = receive(record)

    assert isinstance(received, Unintelligible)
    assert received.record is record
    assert len(received.error) <= 500
    assert re.search(reason, received.error), received.error


@pytest.mark.parametrize("name", ["id", "sagaid", "causationid", "type"])
def test_a_lone_surrogate_in_an_attribute_is_no_trouble(name: str) -> None:
    event = {"specversion": "1.0", "id": "1", "type": "payment.declined", "source": "/p", "sagaid": str(SAGA_ID), "causationid": "c"}
    value = json.dumps({**event, "data": {"orderId": "o", "reason": "r"}, name: "\ud800"}).encode()
    received = receive(a_record(value, {"content-type": "application/cloudevents+json"}, topic="payment-events"))

    assert isinstance(received, Unintelligible) == (name != "causationid")


def test_what_is_known_of_a_broken_reply_is_kept() -> None:
    received = receive(a_reply_record("user.customer_validated", b"{"))

    assert isinstance(received, Unintelligible)
    assert (received.type, received.saga_id) == ("user.customer_validated", SAGA_ID)


def test_a_saga_is_known_also_where_the_record_is_no_cloud_event() -> None:
    received = receive(a_record(b"{}", {"ce_sagaid": str(SAGA_ID)}))

    assert isinstance(received, Unintelligible)
    assert (received.type, received.saga_id) == (None, SAGA_ID)


def test_a_record_that_is_no_cloud_event_is_unintelligible_even_if_it_claims_nothing() -> None:
    assert isinstance(receive(a_record(b"hello")), Unintelligible)


def test_a_reason_of_any_kind_does_not_make_a_refusal_unintelligible() -> None:
    data = json.dumps({"orderId": "o", "reason": "\ud800\x00" + "x" * 1000}).encode()
    received = receive(a_reply_record("payment.declined", data))

    assert isinstance(received, ReplyReceived)
    assert len(getattr(received.reply, "reason", "")) == 500


JUNK = st.one_of(st.binary(max_size=60), st.text(max_size=30).map(str.encode))
NAMES = st.sampled_from(
    ["ce_id", "ce_type", "ce_source", "ce_specversion", "ce_sagaid", "ce_causationid", "content-type", "traceparent", "x"]
)
VALUES = st.one_of(
    JUNK, st.sampled_from([b"1.0", b"payment.authorized", b"application/cloudevents+json", str(SAGA_ID).encode(), b"", b"\x00"])
)


@given(headers=st.lists(st.tuples(NAMES, VALUES), max_size=9), value=st.one_of(st.none(), JUNK, st.just(to_json(AUTHORIZED))))
def test_no_record_makes_reading_fail(headers: list[tuple[str, bytes]], value: bytes | None) -> None:
    assert isinstance(receive(replace(a_record(value), headers=tuple(headers))), (ReplyReceived, Unintelligible, Ignored))


@given(
    event=st.dictionaries(
        st.sampled_from(["specversion", "id", "type", "source", "sagaid", "causationid", "data"]),
        st.recursive(
            st.one_of(
                st.none(), st.booleans(), st.integers(), st.text(max_size=5), st.sampled_from(["1.0", "payment.declined", str(SAGA_ID)])
            ),
            lambda inner: st.one_of(
                st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["orderId", "reason"]), inner, max_size=2)
            ),
            max_leaves=5,
        ),
    )
)
def test_no_structured_event_makes_reading_fail(event: dict[str, Any]) -> None:
    record = a_record(json.dumps(event).encode(), {"content-type": "application/cloudevents+json"})

    assert isinstance(receive(record), (ReplyReceived, Unintelligible, Ignored))
