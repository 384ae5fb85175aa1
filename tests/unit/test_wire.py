"""The data of messages: money, ids, text and reasons, and the catalogue of types."""

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from chalicelib.messages import topics
from chalicelib.messages.commands import COMMANDS, HoldEscrow, RefundEscrow, ReleasePayment, SendNotification, ValidateCustomer
from chalicelib.messages.replies import REPLIES, EscrowRefunded, PaymentAuthorized, PaymentDeclined


def authorized(amount: Any) -> PaymentAuthorized:
    return PaymentAuthorized.read({"orderId": "o", "paymentId": "p", "amount": amount})


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("12.99", "12.99"),
        ("12.9", "12.90"),
        ("12.990", "12.99"),
        (12, "12.00"),
        (Decimal("0.10"), "0.10"),
        ("0", "0.00"),
        ("9999999999.99", "9999999999.99"),
        (Decimal("1E+2"), "100.00"),
        (Decimal("1299E-2"), "12.99"),
        (Decimal("12.9900"), "12.99"),
        (Decimal("-0.0"), "0.00"),
        (Decimal("0E+999999999"), "0.00"),
        ("-0.00", "0.00"),
        ("-12.99", "-12.99"),
    ],
)
def test_money_is_read_exactly_and_written_with_two_decimals(amount: Any, text: str) -> None:
    assert authorized(amount).data()["amount"] == text


@pytest.mark.parametrize(
    "amount",
    [12.99, True, None, "", "twelve", "NaN", "Infinity", "12.991", "0.001", "10000000000.00", "1E+2", "+1", " 1", "1_0", "٣", [], {}],
)
def test_what_is_no_amount_of_cents_is_refused(amount: Any) -> None:
    with pytest.raises(ValidationError, match="amount"):
        authorized(amount)


@pytest.mark.parametrize("number", ["12.991", "1E+10", "1E+999999999", "1E-999999999", "NaN", "Infinity"])
def test_a_number_that_is_no_amount_of_cents_is_refused(number: str) -> None:
    with pytest.raises(ValidationError, match="amount"):
        authorized(Decimal(number))


@pytest.mark.parametrize("id", ["x", "x" * 128, "😀" * 128])
def test_an_id_has_1_to_128_characters(id: str) -> None:
    assert ValidateCustomer.read({"customerId": id}).customer_id == id


@pytest.mark.parametrize("id", ["", "x" * 129, "a\x00", "a\ud800", "\udfff", 7, None, ["x"]])
def test_an_id_of_another_kind_is_refused(id: Any) -> None:
    with pytest.raises(ValidationError, match="customerId"):
        ValidateCustomer.read({"customerId": id})


@pytest.mark.parametrize(
    ("reason", "kept"),
    [
        ("", ""),
        ("x" * 500, "x" * 500),
        ("x" * 501, "x" * 500),
        ("😀" * 600, "😀" * 500),
        ("a\x00b", "a\ufffdb"),
        ("a\ud800b", "a?b"),
    ],
    ids=["empty", "500", "501", "emoji", "U+0000", "surrogate"],
)
def test_a_reason_is_cut_and_mended(reason: str, kept: str) -> None:
    assert PaymentDeclined.read({"orderId": "o", "reason": reason}).reason == kept


@pytest.mark.parametrize("reason", [None, 7, ["because"]])
def test_a_reason_is_text(reason: Any) -> None:
    with pytest.raises(ValidationError, match="reason"):
        PaymentDeclined.read({"orderId": "o", "reason": reason})


def test_text_that_can_not_be_stored_is_refused() -> None:
    notice = {"recipientId": "c", "recipientType": "CUSTOMER", "notificationType": "ORDER_OPENED", "message": "m", "orderId": "o"}
    with pytest.raises(ValidationError, match="title"):
        SendNotification.read({**notice, "title": "a\x00"})


@pytest.mark.parametrize(("field", "value"), [("recipientType", "ADMIN"), ("notificationType", "ORDER_EATEN")])
def test_a_notification_has_a_known_recipient_and_type(field: str, value: str) -> None:
    notice = {
        "recipientId": "c",
        "recipientType": "CUSTOMER",
        "notificationType": "ORDER_OPENED",
        "title": "t",
        "message": "m",
        "orderId": "o",
    }
    with pytest.raises(ValidationError, match=field):
        SendNotification.read({**notice, field: value})


def test_what_is_not_known_is_left_out_on_the_wire() -> None:
    assert ReleasePayment(order_id="o").data() == {"orderId": "o"}
    assert RefundEscrow(order_id="o", escrow_id="e").data() == {"orderId": "o", "escrowId": "e"}
    assert EscrowRefunded.read({"orderId": "o", "amount": "0.00"}).data() == {"orderId": "o", "amount": "0.00"}


def test_fields_are_camel_case_and_unknown_ones_are_ignored() -> None:
    data = {"orderId": "o", "customerId": "c", "amount": "12.99", "foodFee": "9.00", "deliveryFee": "3.99", "currency": "SGD"}

    assert HoldEscrow.read({**data, "unheardOf": True}).data() == data


def test_a_message_can_not_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        authorized("1.00").amount = Decimal(2)  # type: ignore[misc]


# Topics and types as the contract has them; a `?` marks what may be absent.
CATALOGUE = """
user-commands: user.validate_customer customerId · user.validate_runner runnerId
user-events: user.customer_validated customerId paymentMethodId · user.customer_rejected customerId reason
user-events: user.runner_validated runnerId payoutAccountId · user.runner_rejected runnerId reason
payment-commands: payment.authorize orderId customerId paymentMethodId amount currency · payment.release orderId paymentId?
payment-commands: payment.capture orderId paymentId amount currency · payment.refund orderId paymentId amount currency
payment-events: payment.authorized orderId paymentId amount · payment.declined orderId reason · payment.released orderId paymentId?
payment-events: payment.captured orderId paymentId amount · payment.capture_failed orderId reason
payment-events: payment.refunded orderId paymentId amount · payment.authorization_expired orderId paymentId
escrow-commands: escrow.hold orderId customerId amount foodFee deliveryFee currency · escrow.assign_runner orderId escrowId runnerId
escrow-commands: escrow.unassign_runner orderId escrowId · escrow.release orderId escrowId runnerId payoutAccountId
escrow-commands: escrow.refund orderId escrowId?
escrow-events: escrow.held orderId escrowId amount · escrow.hold_failed orderId reason · escrow.runner_assigned orderId escrowId runnerId
escrow-events: escrow.runner_assignment_failed orderId reason · escrow.runner_unassigned orderId escrowId
escrow-events: escrow.released orderId escrowId amount · escrow.release_failed orderId reason · escrow.refunded orderId escrowId? amount
notification-commands: notification.send recipientId recipientType notificationType title message orderId
"""


def test_topics_types_and_fields_are_those_of_the_contract() -> None:
    stated = {}
    for line in CATALOGUE.strip().splitlines():
        topic, types = line.split(": ")
        for type in types.split(" · "):
            name, *fields = type.split()
            stated[name] = (topic, set(fields))

    declared = {
        name: (kind.TOPIC, {f"{field.alias}{'' if field.is_required() else '?'}" for field in kind.model_fields.values()})
        for name, kind in {**COMMANDS, **REPLIES}.items()
    }
    assert declared == stated


def test_every_type_is_listed_under_its_own_name() -> None:
    assert all(name == kind.TYPE for name, kind in {**COMMANDS, **REPLIES}.items())
    assert not COMMANDS.keys() & REPLIES.keys()


def test_every_topic_has_its_partitions() -> None:
    named = {value for name, value in vars(topics).items() if name.isupper() and isinstance(value, str)}

    assert named == set(topics.PARTITIONS)
    assert {number for topic, number in topics.PARTITIONS.items() if topic != topics.ORDERS_DLQ} == {3}
    assert topics.PARTITIONS[topics.ORDERS_DLQ] == 1
