"""Replies taken from Lambda's Kafka events, one by one and in batches."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from tests.integration.conftest import Service
from tests.support.database import Placed
from tests.support.kafka_records import Record, answer, refusal

OPENED = ["validate_customer", "authorize_payment", "hold_escrow", "open_order", "notify_customer"]


def take(service: Service, *records: Record) -> None:
    """Hand the records over; none of them fails."""
    assert service.on_events(*records) == {"batchItemFailures": []}


def answered(service: Service, placed: Placed, times: int = 1) -> Record:
    """Answer the pending command, as often as asked for; the last answer."""
    for _ in range(times):
        record = answer(service.world.pending(placed))
        take(service, record)
    return record


def unchanged(service: Service, placed: Placed) -> Any:
    """All that a reply could change."""
    world = service.world
    return world.order(placed), world.saga(placed), world.history(placed), world.outbox(placed)


def the_dead_letter(service: Service) -> Any:
    [letter] = service.world.dead_letters()
    return letter


def test_an_order_goes_through_its_whole_creation_answer_by_answer(brokerless: Service) -> None:
    world = brokerless.world
    placed = world.place()
    commands = []
    while world.order(placed)["active_saga_id"]:
        commands.append(world.pending(placed))
        answered(brokerless, placed)
    order, saga = world.order(placed), world.saga(placed)
    assert [command.type for command in commands] == ["user.validate_customer", "payment.authorize", "escrow.hold"]
    assert (order["order_status"], order["payment_status"], order["version"]) == ("READY_FOR_PICKUP", "AUTHORIZED", 4)
    assert (order["payment_id"], order["escrow_id"]) == (f"pay_{placed.order_id}", f"esc_{placed.order_id}")
    assert order["accept_by"] - order["updated_at"] == world.rules.timeouts.accept
    assert (saga["status"], saga["awaited_id"], saga["due_at"], saga["ended_at"]) == ("COMPLETED", None, None, order["updated_at"])
    assert [(step["name"], step["status"]) for step in saga["steps"]] == [(name, "DONE") for name in OPENED]


def test_every_version_has_its_history_and_its_event_and_commands_are_tied_together(brokerless: Service) -> None:
    world = brokerless.world
    placed = world.place()
    records = [answered(brokerless, placed) for _ in range(3)]
    sent = world.outbox(placed)
    events = [message for message in sent if message.topic == "order-events"]
    statuses = ["CREATED", "PENDING_PAYMENT", "PAYMENT_AUTHORIZED", "READY_FOR_PICKUP"]
    assert [event.header("ce_sequence") for event in events] == ["1", "2", "3", "4"]
    assert [event.data["to"] for event in events] == statuses
    assert [event.data["order"]["orderStatus"] for event in events] == statuses
    assert [event.type for event in events] == ["order.created"] + ["order.status_changed"] * 3
    assert [entry["status_to"] for entry in world.history(placed)] == statuses
    assert [entry["actor"] for entry in world.history(placed)] == ["customer:cust_1", "partner:user", "partner:payment", "partner:escrow"]
    commands = [message for message in sent if message.topic.endswith("-commands")]
    assert [command.type for command in commands] == ["user.validate_customer", "payment.authorize", "escrow.hold", "notification.send"]
    answers = [dict(record.headers)["ce_id"].decode() for record in records]
    assert [command.header("ce_causationid") for command in commands[1:]] == answers
    assert {message.header("ce_correlationid") for message in sent} == {f"corr-{placed.order_id}"}
    assert {message.key for message in sent} == {str(placed.order_id).encode()}


@pytest.mark.parametrize("times", [0, 1, 2])
def test_the_same_reply_again_changes_nothing_and_is_no_dead_letter(brokerless: Service, times: int) -> None:
    placed = brokerless.world.place()
    first = answered(brokerless, placed)
    for _ in range(times):
        answered(brokerless, placed)
    before = unchanged(brokerless, placed)
    take(brokerless, first, first.again(), first.again())
    assert unchanged(brokerless, placed) == before
    assert brokerless.world.dead_letters() == []


def test_copies_of_a_reply_in_one_batch_take_effect_once(brokerless: Service) -> None:
    placed = brokerless.world.place()
    record = answer(brokerless.world.pending(placed))
    take(brokerless, record, record.again(), record.again())
    assert brokerless.world.order(placed)["version"] == 2
    assert brokerless.world.pending(placed).type == "payment.authorize"


def test_a_late_reply_to_a_step_that_was_undone_meanwhile_changes_nothing(brokerless: Service) -> None:
    world = brokerless.world
    placed = world.place()
    answered(brokerless, placed)
    late = answer(world.pending(placed))
    world.rows("UPDATE campusg.sagas SET pending = jsonb_set(pending, '{attempts}', '5')")
    world.make_due()
    world.forget_outbox()
    brokerless.app.entrypoints.schedules.sweep_timeouts()
    assert (world.saga(placed)["status"], world.pending(placed).type) == ("COMPENSATING", "payment.release")
    before = unchanged(brokerless, placed)
    take(brokerless, late)
    assert unchanged(brokerless, placed) == before
    assert world.dead_letters() == []
    answered(brokerless, placed)
    ended = unchanged(brokerless, placed)
    take(brokerless, late.again())
    assert unchanged(brokerless, placed) == ended
    assert (world.order(placed)["order_status"], world.order(placed)["payment_status"]) == ("CANCELLED", "FAILED")


@pytest.mark.parametrize(("answers", "payment_status"), [(0, "FAILED"), (1, "FAILED"), (2, "RELEASED")])
def test_a_refusal_undoes_what_was_done(brokerless: Service, answers: int, payment_status: str) -> None:
    world = brokerless.world
    placed = world.place()
    if answers:
        answered(brokerless, placed, answers)
    take(brokerless, refusal(world.pending(placed)))
    undone = []
    while world.order(placed)["active_saga_id"]:
        undone.append(world.pending(placed).type)
        answered(brokerless, placed)
    assert undone == [[], [], ["payment.release"]][answers]
    order, saga = world.order(placed), world.saga(placed)
    assert (order["order_status"], order["payment_status"], saga["status"]) == ("CANCELLED", payment_status, "COMPENSATED")
    assert saga["error"]["code"] == ["rejected", "declined", "refused"][answers]
    assert order["cancelled_at"] == order["updated_at"] == saga["ended_at"]
    assert world.outbox(placed)[-1].data["notificationType"] == "ORDER_REFUSED"


def test_a_reply_that_contradicts_the_one_taken_is_a_dead_letter(brokerless: Service) -> None:
    placed = brokerless.world.place()
    answered(brokerless, placed)
    command = brokerless.world.pending(placed)
    take(brokerless, refusal(command))
    before = unchanged(brokerless, placed)
    take(brokerless, answer(command))
    assert unchanged(brokerless, placed) == before
    letter = the_dead_letter(brokerless)
    assert (letter["error_class"], letter["type"]) == ("Contradicts", "payment.authorized")
    assert (letter["order_id"], letter["saga_id"]) == (placed.order_id, placed.saga_id)


MISFITS: dict[str, tuple[int, dict[str, Any]]] = {
    "another customer": (0, {"customerId": "cust_2"}),
    "another order": (1, {"orderId": str(uuid4())}),
    "a cent less": (1, {"amount": "12.98"}),
    "a fraction of a cent more": (1, {"amount": "12.994"}),
    "another held amount": (2, {"amount": "0.01"}),
}


@pytest.mark.parametrize(("answers", "changes"), MISFITS.values(), ids=MISFITS.keys())
def test_a_reply_that_does_not_fit_is_a_dead_letter_and_the_step_goes_on_waiting(
    brokerless: Service, answers: int, changes: dict[str, Any]
) -> None:
    placed = brokerless.world.place()
    if answers:
        answered(brokerless, placed, answers)
    before = unchanged(brokerless, placed)
    take(brokerless, answer(brokerless.world.pending(placed), **changes))
    assert unchanged(brokerless, placed) == before
    assert the_dead_letter(brokerless)["delivery_count"] == 1
    answered(brokerless, placed)
    assert brokerless.world.order(placed)["version"] == answers + 2


def test_an_amount_written_as_a_number_fits(brokerless: Service) -> None:
    placed = brokerless.world.place()
    answered(brokerless, placed)
    record = answer(brokerless.world.pending(placed))
    take(brokerless, replace(record, value=(record.value or b"").replace(b'"12.99"', b"12.990")))
    assert brokerless.world.order(placed)["payment_status"] == "AUTHORIZED"


def test_a_reply_of_another_step_is_a_dead_letter(brokerless: Service) -> None:
    placed = brokerless.world.place()
    answered(brokerless, placed)
    command = brokerless.world.pending(placed)
    validated = answer(replace(command, headers=command.headers)).having(ce_type="payment.released")
    take(brokerless, validated)
    assert the_dead_letter(brokerless)["error_class"] == "Misfit"
    assert brokerless.world.pending(placed) == command


def reply_to(record: Record, write: Callable[[str], str]) -> Record:
    """The record with its causation written in another way."""
    [causation] = [value.decode() for name, value in record.headers if name == "ce_causationid"]
    return record.having(ce_causationid=write(causation))


WRONG: dict[str, tuple[str, Any]] = {
    "no JSON": ("the value is not JSON", lambda record: replace(record, value=b"{")),
    "JSON but no object": ("data", lambda record: replace(record, value=b"[1]")),
    "a field is missing": ("paymentMethodId", lambda record: replace(record, value=b'{"customerId": "cust_1"}')),
    "an empty id": ("paymentMethodId", lambda record: replace(record, value=b'{"customerId": "cust_1", "paymentMethodId": ""}')),
    "a U+0000 in an id": ("U+0000", lambda record: replace(record, value=b'{"customerId": "cust_1", "paymentMethodId": "\\u0000"}')),
    "no value": ("data", lambda record: replace(record, value=None)),
    "no headers": ("no CloudEvent", lambda record: replace(record, headers=())),
    "headers of no CloudEvent": ("ce_type missing", lambda record: record.without("ce_type")),
    "a required header that is no UTF-8": (
        "UTF-8",
        lambda record: replace(record, headers=(*record.without("ce_source").headers, ("ce_source", b"\xff"))),
    ),
    "a command that was never sent": ("never sent", lambda record: record.having(ce_causationid=str(uuid4()))),
    "a causation in braces": ("never sent", lambda record: reply_to(record, lambda id: f"{{{id}}}")),
    "a causation without hyphens": ("never sent", lambda record: reply_to(record, lambda id: id.replace("-", ""))),
    "a saga id without hyphens": ("ce_sagaid", lambda record: record.having(ce_sagaid=uuid4().hex)),
    "a key in braces": ("key", lambda record: replace(record, key=b"{%s}" % (record.key or b""))),
    "a key without hyphens": ("key", lambda record: replace(record, key=(record.key or b"").replace(b"-", b""))),
    "another version of CloudEvents": ("CloudEvents version", lambda record: record.having(ce_specversion="2.0")),
    "an unknown type that claims a saga": ("not known", lambda record: record.having(ce_type="user.applauded")),
    "a saga id that is none": ("ce_sagaid", lambda record: record.having(ce_sagaid="7")),
    "no saga id": ("ce_sagaid", lambda record: record.without("ce_sagaid")),
    "no causation": ("ce_causationid", lambda record: record.without("ce_causationid")),
    "an unknown saga": ("no such saga", lambda record: record.having(ce_sagaid=str(uuid4()))),
    "the key of another order": ("key", lambda record: replace(record, key=str(uuid4()).encode())),
}


@pytest.mark.parametrize(("error", "spoil"), WRONG.values(), ids=WRONG.keys())
def test_a_record_that_can_not_be_taken_is_a_dead_letter_at_once_and_its_neighbours_are_taken(
    brokerless: Service, error: str, spoil: Any
) -> None:
    spoiled, good = brokerless.world.place_many(2)
    record = spoil(answer(brokerless.world.pending(spoiled)))
    before = unchanged(brokerless, spoiled)
    take(brokerless, record, answer(brokerless.world.pending(good)))
    letter = the_dead_letter(brokerless)
    assert error in letter["error"]
    assert (letter["topic"], letter["partition"], letter["offset"]) == (record.topic, record.partition, record.offset)
    assert (letter["key"], letter["value"], letter["delivery_count"]) == (record.key, record.value, 1)
    assert unchanged(brokerless, spoiled) == before
    assert brokerless.world.order(good)["version"] == 2


def test_ids_of_ours_may_come_in_either_case(brokerless: Service) -> None:
    placed = brokerless.world.place()
    take(brokerless, answer(brokerless.world.pending(placed)))
    record = answer(brokerless.world.pending(placed), orderId=str(placed.order_id).upper())
    record = reply_to(record, str.upper).having(ce_sagaid=str(placed.saga_id).upper())

    take(brokerless, replace(record, key=str(placed.order_id).upper().encode()))

    assert brokerless.world.order(placed)["payment_status"] == "AUTHORIZED"
    assert brokerless.world.dead_letters() == []


@pytest.mark.parametrize(
    "name", ["traceparent", "tracestate", "ce_time", "ce_subject", "ce_correlationid", "ce_custom", "content-type", "\x00"]
)
def test_a_reply_is_taken_whatever_metadata_that_nobody_needs_holds(brokerless: Service, name: str) -> None:
    placed = brokerless.world.place()
    record = answer(brokerless.world.pending(placed)).without(name)

    take(brokerless, replace(record, headers=((name, b"\xff\xfe"), *record.headers, (name, b"\xff"))))

    assert brokerless.world.dead_letters() == []
    assert brokerless.world.order(placed)["version"] == 2


def test_a_record_without_key_is_taken(brokerless: Service) -> None:
    placed = brokerless.world.place()
    take(brokerless, replace(answer(brokerless.world.pending(placed)), key=None))
    assert brokerless.world.order(placed)["version"] == 2


def test_events_of_other_types_are_none_of_our_business(brokerless: Service) -> None:
    placed = brokerless.world.place()
    other = answer(brokerless.world.pending(placed)).having(ce_type="user.renamed").without("ce_sagaid", "ce_causationid")
    take(brokerless, other)
    assert brokerless.world.dead_letters() == []


def test_replies_to_a_saga_of_a_newer_release_are_dead_letters_that_say_so(brokerless: Service) -> None:
    placed = brokerless.world.place()
    brokerless.world.rows("UPDATE campusg.sagas SET definition_version = 99")
    before = unchanged(brokerless, placed)
    take(brokerless, answer(brokerless.world.pending(placed)))
    letter = the_dead_letter(brokerless)
    assert (letter["error_class"], letter["order_id"], letter["saga_id"]) == ("UnknownDefinition", placed.order_id, placed.saga_id)
    assert unchanged(brokerless, placed) == before


def test_a_structured_event_is_read_like_a_binary_one(brokerless: Service) -> None:
    placed = brokerless.world.place()
    record = answer(brokerless.world.pending(placed))
    attributes = {name.removeprefix("ce_"): value.decode() for name, value in record.headers if name.startswith("ce_")}
    value = json.dumps({**attributes, "data": json.loads(record.value or b"")}).encode()
    headers = (("content-type", b"application/cloudevents+json; charset=UTF-8"),)
    take(brokerless, replace(record, value=value, headers=headers))
    assert brokerless.world.order(placed)["version"] == 2
