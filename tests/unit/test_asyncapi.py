"""The AsyncAPI document says what the code does: every topic, every message, every answer, and nothing besides."""

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from chalicelib.messages import topics
from chalicelib.messages.commands import COMMANDS, AuthorizePayment
from chalicelib.messages.events import EVENTS, OrderEvent
from chalicelib.messages.replies import REPLIES
from chalicelib.messages.wire import Wire
from chalicelib.sagas.definition import Notify, Step
from chalicelib.sagas.registry import DEFINITIONS
from infra.documents.asyncapi import catalogue, document, examples
from infra.documents.asyncapi.events import ORDER_MOVED

OFFICIAL = Path(__file__).parents[1] / "data" / "asyncapi-3.0.0.json"
Json = dict[str, Any]
KINDS: dict[str, type[Wire]] = {**COMMANDS, **REPLIES, **EVENTS}


@pytest.fixture(scope="module")
def built() -> Json:
    return document.build()


@cache
def official() -> Draft7Validator:
    return Draft7Validator(json.loads(OFFICIAL.read_text()))


def target(built: Json, maybe: Mapping[str, Any]) -> Any:
    """What a reference names, through any number of references; anything else is itself."""
    found: Any = maybe
    while "$ref" in found:
        at: Any = built
        for part in found["$ref"].removeprefix("#/").split("/"):
            at = at[part]
        found = at
    return found


# The document as such


def test_the_document_is_asyncapi_3_by_the_official_schema(built: Json) -> None:
    assert built["asyncapi"] == "3.0.0"
    assert [f"{list(error.path)}: {error.message[:200]}" for error in official().iter_errors(built)] == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda built: built["channels"]["order-events"].update(address=7),
        lambda built: built["channels"]["order-events"]["bindings"]["kafka"].update(partitions="three"),
        lambda built: built["operations"]["authorizePayment"].update(action="shout"),
        lambda built: built["operations"]["authorizePayment"]["reply"].update(answers=[]),
        lambda built: built["components"]["messages"]["payment.authorize"].update(correlationId={"location": "nowhere"}),
        lambda built: built["components"]["schemas"]["Order"].update(type="order"),
    ],
)
def test_the_official_schema_sees_what_is_wrong(built: Json, spoil: Callable[[Json], None]) -> None:
    spoilt = copy.deepcopy(built)
    spoil(spoilt)

    assert not official().is_valid(spoilt)


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if "$ref" in part:
            # What stands beside a reference is not read.
            assert set(part) == {"$ref"}, part
            yield part["$ref"]
        part = list(part.values())
    if isinstance(part, list):
        for each in part:
            yield from references(each)


def test_every_reference_leads_somewhere_and_every_schema_is_used(built: Json) -> None:
    named = set(references(built))

    assert all(target(built, {"$ref": name}) for name in named)
    assert {f"#/components/schemas/{name}" for name in built["components"]["schemas"]} <= named
    assert {f"#/components/messages/{name}" for name in built["components"]["messages"]} <= named


# What it says against what the code does


def test_every_topic_is_a_channel_with_its_partitions_and_messages(built: Json) -> None:
    assert {name: each["bindings"]["kafka"]["partitions"] for name, each in built["channels"].items()} == topics.PARTITIONS
    assert all(each["address"] == name for name, each in built["channels"].items())
    said = {type: name for name, each in built["channels"].items() for type in each["messages"]}
    assert said.pop("dead-letter") == topics.ORDERS_DLQ
    assert said == {type: kind.TOPIC for type, kind in KINDS.items()}  # type: ignore[attr-defined]


def test_every_message_is_described(built: Json) -> None:
    assert set(built["components"]["messages"]) == {*KINDS, "dead-letter"}


def test_operations_are_ours_to_send_or_to_receive(built: Json) -> None:
    def handled(action: str) -> set[str]:
        operations = [each for each in built["operations"].values() if each["action"] == action]
        return {target(built, message)["name"] for each in operations for message in each["messages"]}

    assert handled("send") == {*COMMANDS, *EVENTS, "dead-letter"}
    assert handled("receive") == set(REPLIES)
    for operation in built["operations"].values():
        channel = operation["channel"]["$ref"]
        assert all(message["$ref"].startswith(f"{channel}/messages/") for message in operation["messages"])


def test_what_lambda_receives_is_what_its_triggers_hand_over(built: Json) -> None:
    received = {
        (each["channel"]["$ref"].removeprefix("#/channels/"), each["bindings"]["kafka"]["groupId"]["const"])
        for each in built["operations"].values()
        if each["action"] == "receive"
    }
    assert received == {(trigger.topic, trigger.consumer_group) for trigger in topics.TRIGGERS}


def test_every_command_names_the_replies_that_the_sagas_take(built: Json) -> None:
    taken: dict[str, set[str]] = {}
    for definition in DEFINITIONS.values():
        for step in definition.steps:
            for exchange in (step.ask, step.undo) if isinstance(step, Step) else ():
                if exchange:
                    replies = {reply.TYPE for reply in (exchange.done, exchange.refused) if reply}
                    taken.setdefault(exchange.command.TYPE, set()).update(replies)
    said = {}
    for operation in built["operations"].values():
        if "reply" in operation:
            (command,) = operation["messages"]
            replies = [target(built, message)["name"] for message in operation["reply"]["messages"]]
            said[target(built, command)["name"]] = set(replies)
            assert all(m["$ref"].startswith(f"{operation['reply']['channel']['$ref']}/") for m in operation["reply"]["messages"])
    assert said == taken
    assert set(COMMANDS) - set(said) == {"notification.send"}


def test_a_reply_is_correlated_by_what_it_answers(built: Json) -> None:
    def place(type: str) -> str:
        return str(target(built, built["components"]["messages"][type]["correlationId"])["location"])

    assert place("payment.authorize") == "$message.header#/ce_id"
    assert place("payment.authorized") == "$message.header#/ce_causationid"
    assert place("order.created") == place("payment.authorization_expired") == "$message.header#/ce_correlationid"


def test_every_message_says_on_which_occasion_it_is_sent() -> None:
    occasions = {message.type: message.occasions for message in catalogue.messages()}

    assert all(all(texts) and texts for texts in occasions.values())
    assert occasions["payment.authorize"] == ("create_order: authorize_payment",)
    assert occasions["payment.declined"] == ("refuses payment.authorize",)
    assert "create_order: undo of authorize_payment" in occasions["payment.release"]
    assert "accept_order: notify_runner" in occasions["notification.send"]
    told = {f"{each.name}: {step.name}" for each in DEFINITIONS.values() for step in each.steps if isinstance(step, Notify)}
    assert told <= set(occasions["notification.send"])


@pytest.mark.parametrize("type", KINDS)
def test_required_fields_are_those_of_the_class(built: Json, type: str) -> None:
    schema = target(built, built["components"]["messages"][type]["payload"])
    fields = KINDS[type].model_fields.values()

    assert set(schema["properties"]) == {field.alias for field in fields}
    assert set(schema["required"]) == {field.alias for field in fields if field.is_required()}


def test_a_field_of_an_order_event_is_never_left_out() -> None:
    assert {field.name for field in ORDER_MOVED.fields} == {field.alias for field in OrderEvent.model_fields.values()}


def test_a_change_of_the_code_changes_the_document(built: Json, monkeypatch: pytest.MonkeyPatch) -> None:
    class AuthorizeMore(AuthorizePayment):
        tip: str

    monkeypatch.setitem(COMMANDS, "payment.authorize", AuthorizeMore)
    monkeypatch.setitem(examples.VALUES, "tip", "0.50")
    changed = document.build()

    made, before = changed["components"]["messages"], built["components"]["messages"]
    assert "tip" in target(changed, made["payment.authorize"]["payload"])["required"]
    assert made["payment.authorize"]["examples"][0]["payload"]["tip"] == "0.50"
    assert [name for name in made if made[name] != before[name]] == ["payment.authorize"]
