"""A record that can't be taken is kept to the byte and copied to `orders-dlq`."""

import base64
import json
from dataclasses import replace
from uuid import uuid4

import pytest

from chalicelib.operations.deaths import DELIVERIES
from tests.integration.conftest import Service
from tests.support.bugs import plant_bug
from tests.support.kafka_records import Record, Sent, answer

NOBODY = {"batchItemFailures": []}


def spoiled(service: Service, value: bytes | None = b"\xff{") -> Record:
    """An answer that can't be understood."""
    placed = service.world.place()
    service.world.forget_outbox()
    return replace(answer(service.world.pending(placed)), value=value)


def the_copy(service: Service) -> Sent:
    [copy] = service.topic("orders-dlq")
    return copy


def errors(copy: Sent) -> dict[str, str]:
    return {name.removeprefix("__dlq.errors."): value.decode() for name, value in copy.headers if name.startswith("__dlq.errors.")}


def test_the_row_keeps_every_byte_and_the_copy_says_why(service: Service) -> None:
    record = replace(spoiled(service), partition=2)
    record = replace(record, headers=(*record.headers, ("ce_source", bytes(range(128, 256))), ("x-twice", b"1"), ("x-twice", b"2")))
    assert service.on_events(record) == NOBODY
    [letter] = service.world.dead_letters()
    assert (letter["key"], letter["value"]) == (record.key, record.value)
    assert [(name, base64.b64decode(value)) for name, value in letter["headers"]] == list(record.headers)
    assert str(letter["saga_id"]) == dict(record.headers)["ce_sagaid"].decode()
    copy = the_copy(service)
    assert (copy.key, copy.value, copy.headers[: len(record.headers)]) == (record.key, record.value, record.headers)
    assert errors(copy) == {
        "topic": "user-events",
        "partition": "2",
        "offset": str(record.offset),
        "group": "campusg-on_user_events",
        "delivery.count": "1",
        "exception.class": "Unintelligible",
        "message": "the value is not JSON: it is not UTF-8",
    }
    assert service.world.outbox() == []


def test_a_record_delivered_again_is_no_second_dead_letter(service: Service) -> None:
    record = spoiled(service)
    for _ in range(3):
        assert service.on_events(record) == NOBODY
    assert len(service.world.dead_letters()) == len(service.topic("orders-dlq")) == 1


def test_another_record_at_the_same_place_of_a_topic_made_anew_is_one_of_its_own(service: Service) -> None:
    record = spoiled(service)
    service.on_events(record)
    service.on_events(replace(record, value=b"other"))
    assert len(service.world.dead_letters()) == len(service.topic("orders-dlq")) == 2


def test_a_record_that_failed_five_times_says_so_on_the_topic(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    placed = service.world.place()
    record = answer(service.world.pending(placed))

    plant_bug(monkeypatch)
    for _ in range(DELIVERIES):
        service.on_events(record)
    said = errors(the_copy(service))
    assert (said["delivery.count"], said["exception.class"], said["message"]) == (str(DELIVERIES), "ZeroDivisionError", "a bug")
    assert the_copy(service).value == record.value


def test_a_value_that_does_not_fit_is_kept_in_the_row_and_left_out_of_the_copy(service: Service) -> None:
    record = spoiled(service, b"\xff" + b"x" * 900_000)
    assert service.on_events(record) == NOBODY
    [letter] = service.world.dead_letters()
    assert letter["value"] == record.value
    copy = the_copy(service)
    assert (copy.key, copy.value, errors(copy)["value.omitted"]) == (record.key, None, "900001")


def test_any_number_of_headers_can_be_dead_lettered(service: Service) -> None:
    record = spoiled(service)
    many = replace(record, headers=(*record.headers, *((f"h{number}", b"") for number in range(20_000))))
    assert service.on_events(many) == NOBODY
    [letter] = service.world.dead_letters()
    assert len(letter["headers"]) == len(many.headers)
    assert "headers.omitted" in errors(the_copy(service))


@pytest.mark.parametrize("value", [None, b"", b"x" * 900_000])
def test_a_record_without_key_and_headers_can_be_dead_lettered(service: Service, value: bytes | None) -> None:
    record = Record("user-events", None, value, ())
    assert service.on_events(record) == NOBODY
    [letter] = service.world.dead_letters()
    assert (letter["key"], letter["value"], letter["headers"]) == (None, value, [])
    # A client sends no record without key and value.
    assert (the_copy(service).key, the_copy(service).value) == (None, b"")
    assert errors(the_copy(service))["exception.class"] == "Unintelligible"


def test_a_key_that_does_not_fit_is_kept_in_the_row_and_left_out_of_the_copy(service: Service) -> None:
    record = replace(spoiled(service), key=b"k" * 900_000)
    assert service.on_events(record) == NOBODY
    assert service.world.dead_letters()[0]["key"] == record.key
    assert (the_copy(service).key, errors(the_copy(service))["key.omitted"]) == (None, "900000")


def test_a_header_name_that_postgresql_can_not_hold_does_not_stop_the_batch(service: Service) -> None:
    record = spoiled(service)
    record = replace(record, headers=(*record.headers, ("x\x00y", b"1")))
    assert service.on_events(record) == NOBODY
    assert len(service.world.dead_letters()) == 1


def test_an_expiry_under_another_orders_key_is_a_dead_letter(brokerless: Service) -> None:
    placed = brokerless.world.place()
    headers = {"ce_specversion": "1.0", "ce_id": "e1", "ce_type": "payment.authorization_expired", "ce_source": "/bank"}
    value = json.dumps({"orderId": str(placed.order_id), "paymentId": "pay_1"}).encode()
    record = Record("payment-events", str(uuid4()).encode(), value, tuple((name, text.encode()) for name, text in headers.items()))

    assert brokerless.on_events(record) == NOBODY

    [letter] = brokerless.world.dead_letters()
    assert (letter["error_class"], letter["order_id"]) == ("WrongKey", placed.order_id)
    assert brokerless.world.order(placed)["version"] == 1


def test_a_record_that_can_not_be_read_is_found_under_the_order_that_its_key_names(brokerless: Service) -> None:
    placed = brokerless.world.place()
    record = answer(brokerless.world.pending(placed)).without("ce_source")

    assert brokerless.on_events(record) == NOBODY

    [letter] = brokerless.world.dead_letters()
    assert (letter["order_id"], letter["saga_id"], letter["type"]) == (placed.order_id, placed.saga_id, "user.customer_validated")


def test_a_partners_id_is_never_taken_for_one_of_ours(brokerless: Service) -> None:
    placed = brokerless.world.place()
    brokerless.world.forget_outbox()
    awaited = brokerless.world.pending(placed)
    brokerless.on_events(answer(awaited).having(ce_id=awaited.id, ce_type="user.invented"))

    [queued] = brokerless.world.rows("SELECT message_id FROM campusg.outbox")
    [letter] = brokerless.world.dead_letters()
    assert queued["message_id"] == str(letter["dead_letter_id"])
