"""CloudEvents over Kafka: what we write, and what we can read of what others write."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.messages.commands import COMMANDS
from chalicelib.messages.envelope import (
    CloudEvent,
    Incoming,
    MessageContext,
    NotACloudEvent,
    Outgoing,
    claimed,
    decode,
    encode,
    from_json,
    log_fields,
    timestamp,
    to_json,
)
from chalicelib.messages.events import EVENTS
from chalicelib.messages.replies import REPLIES
from chalicelib.messages.trace import span_of
from chalicelib.messages.wire import Money, Wire
from chalicelib.orders.order import OrderStatus
from tests.support.examples import CONTEXT, NOW, ORDER_ID, SAGA_ID, a_record

BINARY = {"ce_specversion": "1.0", "ce_id": "m-1", "ce_type": "user.customer_validated", "ce_source": "/users"}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


TIED = MessageContext("corr-1", "m-0", TRACE, str(SAGA_ID))


class Sent(Wire):
    TOPIC, TYPE = "payment-commands", "payment.authorize"
    amount: Money = Decimal("12.99")
    name: str = "Zoë"

    @property
    def sequence(self) -> int:
        return 3


def written(context: MessageContext = TIED, id: str = "m-1") -> Outgoing:
    return encode(Sent(), str(ORDER_ID), context, id=id, time=NOW)


def as_read(message: Outgoing) -> Incoming:
    return Incoming(message.topic, 0, 0, message.key, message.value, message.headers)


# Writing


def test_an_event_is_written_in_binary_mode_keyed_by_its_order() -> None:
    message = written()

    assert (message.topic, message.key) == ("payment-commands", str(ORDER_ID).encode())
    assert message.value == '{"amount":"12.99","name":"Zoë"}'.encode()
    assert {name: value.decode() for name, value in message.headers} == {
        "ce_specversion": "1.0",
        "ce_id": "m-1",
        "ce_type": "payment.authorize",
        "ce_source": "/campusg/orders",
        "ce_time": "2026-11-22T08:15:00.000Z",
        "ce_subject": str(ORDER_ID),
        "content-type": "application/json",
        "ce_sagaid": str(SAGA_ID),
        "ce_sequence": "3",
        "ce_correlationid": "corr-1",
        "ce_causationid": "m-0",
        "traceparent": span_of(TRACE, "m-1"),
    }


def test_what_is_not_known_is_left_out() -> None:
    names = {name for name, _ in written(MessageContext("corr-1")).headers}

    assert not names & {"ce_causationid", "traceparent", "ce_sagaid"}


def test_what_is_written_is_read_again() -> None:
    event = decode(as_read(written()))

    assert event == CloudEvent(
        id="m-1",
        type="payment.authorize",
        source="/campusg/orders",
        text=written().value,
        subject=str(ORDER_ID),
        saga_id=str(SAGA_ID),
        correlation_id="corr-1",
        causation_id="m-0",
        traceparent=span_of(TRACE, "m-1"),
        sequence="3",
    )
    assert event.data == {"amount": "12.99", "name": "Zoë"}


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (NOW, "2026-11-22T08:15:00.000Z"),
        (datetime(2026, 11, 22, 16, 15, 0, 123999, timezone(timedelta(hours=8))), "2026-11-22T08:15:00.123Z"),
        (datetime(2026, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=1))), "2025-12-31T23:30:00.000Z"),
    ],
)
def test_times_are_utc_with_milliseconds_and_z(moment: datetime, text: str) -> None:
    assert timestamp(moment) == text
    assert datetime.fromisoformat(text).tzinfo == UTC


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
WRITTEN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | TEXTS | st.sampled_from(OrderStatus),
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
)


@given(WRITTEN)
def test_json_is_written_byte_for_byte_as_the_standard_library_writes_it(data: Any) -> None:
    """A saga's pending command is kept as it was written, by whichever release."""
    assert to_json(data) == json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()


@pytest.mark.parametrize("message", [*COMMANDS.values(), *EVENTS.values(), *REPLIES.values()], ids=lambda message: message.TYPE)
def test_no_message_has_a_field_of_floats(message: type[Wire]) -> None:
    """They would be written in another way than by the standard library, and NaN as null."""
    assert not [name for name, field in message.model_fields.items() if "float" in str(field.annotation)]


def test_what_no_message_consists_of_is_not_written() -> None:
    for value in (Decimal("1.10"), "\ud800", 2**64, b""):
        with pytest.raises(TypeError):
            to_json({"field": value})


# Reading binary mode


@pytest.mark.parametrize("spell", [str, str.upper, str.title], ids=["lower", "upper", "title"])
def test_header_names_are_read_in_any_case(spell: Any) -> None:
    event = decode(a_record(b"{}", {spell(name): value for name, value in {**BINARY, "ce_sagaid": "s", "ce_causationid": "c"}.items()}))

    assert (event.id, event.saga_id, event.causation_id) == ("m-1", "s", "c")


@pytest.mark.parametrize("name", sorted(BINARY))
@pytest.mark.parametrize("value", [None, ""], ids=["missing", "empty"])
def test_a_record_without_a_required_attribute_is_no_cloud_event(name: str, value: str | None) -> None:
    headers = {**BINARY, name: value}

    with pytest.raises(NotACloudEvent, match=f"{name} missing"):
        decode(a_record(b"{}", {name: text for name, text in headers.items() if text is not None}))


def test_all_missing_attributes_are_named() -> None:
    with pytest.raises(NotACloudEvent, match="ce_specversion, ce_id, ce_type, ce_source missing"):
        decode(a_record())


@pytest.mark.parametrize("version", ["0.3", "2.0", "1", "x" * 1000])
def test_another_version_of_the_specification_is_not_understood(version: str) -> None:
    with pytest.raises(NotACloudEvent, match="is not understood") as raised:
        decode(a_record(b"{}", {**BINARY, "ce_specversion": version}))
    assert len(str(raised.value)) < 100


@pytest.mark.parametrize("name", sorted(BINARY))
def test_a_required_header_that_is_not_utf8_is_refused_by_name(name: str) -> None:
    with pytest.raises(NotACloudEvent, match=f"^no CloudEvent: {name} missing or not UTF-8$"):
        decode(a_record(b"{}", {**BINARY, name: b"\xff\xfe"}))


NEEDED_BY_NOBODY = [
    *("ce_time", "ce_subject", "ce_correlationid", "ce_causationid", "ce_sequence", "ce_dataschema", "ce_datacontenttype", "ce_anything"),
    *("ce_traceparent", "ce_", "traceparent", "tracestate", "Content-Type", "grpc-trace-bin", "", "\ud800", "x\x00y"),
]


@pytest.mark.parametrize("name", NEEDED_BY_NOBODY)
@pytest.mark.parametrize("value", [b"\xff\xfe", b"", b"\x00", b"\xed\xa0\x80"], ids=["no text", "empty", "U+0000", "a surrogate"])
def test_a_header_that_nobody_needs_may_hold_any_bytes(name: str, value: bytes) -> None:
    event = decode(a_record(b"{}", {**BINARY, name: value}))

    known = decode(a_record(b"{}", BINARY))
    assert replace(event, subject=None, causation_id=None, sequence=None) == known


def test_of_a_header_that_comes_twice_one_that_can_be_read_counts() -> None:
    headers = (*a_record(b"{}", BINARY).headers, ("traceparent", TRACE.encode()), ("traceparent", b"\xff"), ("ce_time", b"\xff"))

    assert decode(replace(a_record(b"{}"), headers=headers)).traceparent == TRACE


def test_a_mode_is_known_also_where_the_rest_of_the_content_type_can_not_be_read() -> None:
    event = {"specversion": "1.0", "id": "m-1", "type": "t", "source": "/s", "data": {"a": 1}}

    assert decode(a_record(to_json(event), {"content-type": b"application/cloudevents+json; charset=\xff"})).data == {"a": 1}


@pytest.mark.parametrize("spell", [str.upper, str.lower])
def test_a_causation_that_may_be_ours_is_read_in_either_case(spell: Any) -> None:
    assert decode(a_record(b"{}", {**BINARY, "ce_causationid": spell(str(ORDER_ID))})).causation_id == str(ORDER_ID)
    assert decode(a_record(b"{}", {**BINARY, "ce_causationid": spell("Their-Id")})).causation_id == spell("Their-Id")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_json_in_another_encoding_is_no_json(encoding: str) -> None:
    with pytest.raises(NotACloudEvent, match="the value is not JSON"):
        _ = decode(a_record('{"a": 1}'.encode(encoding), BINARY)).data


@pytest.mark.parametrize(
    "trace",
    [
        "",
        "nonsense",
        "00-" + "0" * 32 + "-b7ad6b7169203331-01",
        TRACE.upper(),
        TRACE + "-more",
        "00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01",
    ],
)
def test_a_trace_that_is_none_is_not_passed_on(trace: str) -> None:
    assert decode(a_record(b"{}", {**BINARY, "traceparent": trace})).traceparent is None


def test_the_trace_that_an_event_was_made_in_counts_where_none_came_with_the_record() -> None:
    other = TRACE.replace("0af7", "0bf7")

    assert decode(a_record(b"{}", {**BINARY, "ce_traceparent": other})).traceparent == other
    assert decode(a_record(b"{}", {**BINARY, "ce_traceparent": other, "traceparent": TRACE})).traceparent == TRACE
    assert decode(a_record(b"{}", {**BINARY, "ce_traceparent": other, "traceparent": "nonsense"})).traceparent == other


@pytest.mark.parametrize("value", [None, b""])
def test_an_event_may_have_no_data(value: bytes | None) -> None:
    assert decode(a_record(value, BINARY)).data is None


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"{", "not JSON: line 1, column 2 can't be read"),
        (b"{}\n {}", "not JSON: line 2, column 2 can't be read"),
        (b"\xff{}", "not JSON: it is not UTF-8"),
        (b'{"a": NaN}', "NaN is no JSON number"),
        (b"[Infinity]", "Infinity is no JSON number"),
        (b"-Infinity", "-Infinity is no JSON number"),
        (b"[" * 200_000, "nested too deep"),
        (b'{"a":' * 200_000, "nested too deep"),
    ],
    ids=["cut", "two values", "no text", "NaN", "Infinity", "-Infinity", "deep list", "deep object"],
)
def test_data_that_is_no_json_is_refused_when_it_is_asked_for(value: bytes, reason: str) -> None:
    event = decode(a_record(value, BINARY))

    with pytest.raises(NotACloudEvent, match=reason) as raised:
        _ = event.data
    assert len(str(raised.value)) < 300


def test_numbers_are_never_floats() -> None:
    assert from_json("[12.99, 1e2, 3, 0.1]") == [Decimal("12.99"), Decimal("1E+2"), 3, Decimal("0.1")]
    assert not any(isinstance(number, float) for number in from_json("[12.99, 1e2, 3]"))


@pytest.mark.parametrize("number", ["1e99999999999999999999", "-1e-99999999999999999999", "1" * 5000, "-" + "1" * 5000])
def test_a_number_of_any_size_is_json_so_that_it_can_stand_where_nobody_reads_it(number: str) -> None:
    data = decode(a_record(f'{{"read": 1, "beside": {number}}}'.encode(), BINARY)).data

    assert data["read"] == 1
    # As a text, since Python refuses to make integers of so many digits.
    assert format(data["beside"], "f") == (number if "e" not in number else "NaN")


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "text/plain", ""])
def test_any_other_content_type_is_binary_mode(content_type: str) -> None:
    assert decode(a_record(b'{"a": 1}', {**BINARY, "content-type": content_type})).data == {"a": 1}


def test_nothing_in_a_header_is_percent_encoded() -> None:
    event = decode(a_record(b"{}", {**BINARY, "ce_id": "50%20off", "ce_source": "/Zoë"}))

    assert (event.id, event.source) == ("50%20off", "/Zoë")
    assert dict(written(id="50%20 Zoë").headers)["ce_id"] == "50%20 Zoë".encode()


def test_log_lines_name_a_message_as_far_as_it_names_itself() -> None:
    assert log_fields(written().headers) == {
        "message_id": "m-1",
        "order_id": str(ORDER_ID),
        "saga_id": str(SAGA_ID),
        "correlation_id": "corr-1",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
    }
    assert log_fields([("traceparent", b"nonsense"), ("CE_CorrelationId", b"c")]) == {"correlation_id": "c"}
    assert log_fields([("ce_correlationid", b"\xff")]) == {}
    assert log_fields([("ce_correlationid", b"c"), ("ce_other", b"\xff")]) == {"correlation_id": "c"}


# Claims


@pytest.mark.parametrize(("name", "value", "claim"), [("ce_sagaid", b"s", "s"), ("CE_SagaId", b"s", "s"), ("ce_sagaid", b"\xff", "\ufffd")])
def test_a_claim_to_a_saga_is_seen_whatever_else_is_wrong(name: str, value: bytes, claim: str) -> None:
    assert claimed([("other", b"\xff"), (name, value)], "sagaid") == claim
    assert claimed([("other", b"\xff")], "sagaid") is None


def test_a_context_without_a_trace_is_written_and_read() -> None:
    event = decode(as_read(written(replace(CONTEXT, traceparent=None))))

    assert (event.correlation_id, event.traceparent, event.causation_id) == ("corr-1", None, None)
