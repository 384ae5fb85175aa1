"""The AsyncAPI 3.0 document, put together from topics, triggers, messages and sagas. Always the same, to the byte, for one release."""

from pydantic.alias_generators import to_camel

from chalicelib.entrypoints.health import VERSION
from chalicelib.messages.envelope import Outgoing, from_json
from chalicelib.messages.events import OrderEvent
from chalicelib.messages.topics import ORDER_EVENTS, ORDERS_DLQ, PARTITIONS, TRIGGERS, Trigger
from infra.documents.asyncapi import examples
from infra.documents.asyncapi.catalogue import Message, messages, of_topic
from infra.documents.asyncapi.events import ORDER_MOVED
from infra.documents.asyncapi.headers import UUID, dead_letter_headers, headers_of
from infra.documents.schemas import Json, of_models, of_tables, reference

BINDING = "0.5.0"
DEAD_LETTER = "dead-letter"
ABOUT = """\
What the order service says and hears on Kafka, from its own point of view: it sends what is marked send, receives what is marked receive.

Messages are CloudEvents 1.0 in binary mode with JSON data; structured mode is read as well, never written. The record's key, which
chooses the partition, is the order's id. A command's `ce_id` stands for one try at one effect: a copy has the same id and the same
bytes, is answered by the same reply, and has its work done once. A reply names the command by `ce_causationid` and its saga by
`ce_sagaid`. Consumers ignore fields and event types that they don't know."""
TOPICS = {
    ORDER_EVENTS: "One event for each version of each order, first copies in the order of `ce_sequence` and without gaps.",
    ORDERS_DLQ: "Records that the service could not take: key, value and headers as they came, and why.",
}
CORRELATIONS: Json = {
    "command": {"description": "Answered by what names it in ce_causationid.", "location": "$message.header#/ce_id"},
    "reply": {"description": "The ce_id of the command that it answers.", "location": "$message.header#/ce_causationid"},
    "request": {"description": "X-Correlation-Id of the request that it all began with.", "location": "$message.header#/ce_correlationid"},
}


def build() -> Json:
    """The whole document."""
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "CampusG orders: messages", "version": VERSION, "description": ABOUT},
        "defaultContentType": "application/json",
        "channels": {topic: _channel(topic) for topic in PARTITIONS},
        "operations": _operations(),
        "components": {
            "schemas": _schemas(),
            "messages": {**{message.type: _message(message) for message in messages()}, DEAD_LETTER: _dead_letter()},
            "correlationIds": CORRELATIONS,
        },
    }


def _channel(topic: str) -> Json:
    owner, _, what = topic.partition("-")
    names = [message.type for message in of_topic(topic)] or [DEAD_LETTER]
    return {
        "address": topic,
        "description": TOPICS.get(topic) or f"What we {'ask of' if what == 'commands' else 'hear from'} the {owner} service.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        "tags": [{"name": owner}],
        "bindings": {"kafka": {"topic": topic, "partitions": PARTITIONS[topic], "bindingVersion": BINDING}},
    }


def _operations() -> Json:
    commands = {message.kind.__name__: message for message in messages() if message.ours and message.topic not in TOPICS}
    return {
        **{name[0].lower() + name[1:]: _command(message) for name, message in commands.items()},
        **{to_camel(trigger.function): _receiving(trigger) for trigger in TRIGGERS},
        "publishOrderEvents": _sending(ORDER_EVENTS),
        "publishDeadLetters": _sending(ORDERS_DLQ),
    }


def _command(message: Message) -> Json:
    operation = {
        "action": "send",
        "channel": _channel_of(message.topic),
        "summary": "; ".join(message.occasions),
        "tags": [{"name": _owner(message)}],
        "messages": [_in_channel(message.topic, message.type)],
    }
    if message.answers:
        (topic,) = {each.topic for each in messages() if each.type in message.answers}
        operation["reply"] = {"channel": _channel_of(topic), "messages": [_in_channel(topic, type) for type in message.answers]}
    return operation


def _receiving(trigger: Trigger) -> Json:
    group = {"type": "string", "const": trigger.consumer_group}
    return {
        "action": "receive",
        "channel": _channel_of(trigger.topic),
        "summary": f"The Lambda function {trigger.function} takes them in batches.",
        "messages": [_in_channel(trigger.topic, message.type) for message in of_topic(trigger.topic)],
        "bindings": {"kafka": {"groupId": group, "bindingVersion": BINDING}},
    }


def _sending(topic: str) -> Json:
    names = [message.type for message in of_topic(topic)] or [DEAD_LETTER]
    return {"action": "send", "channel": _channel_of(topic), "messages": [_in_channel(topic, name) for name in names]}


def _channel_of(topic: str) -> Json:
    return {"$ref": f"#/channels/{topic}"}


def _in_channel(topic: str, name: str) -> Json:
    return {"$ref": f"#/channels/{topic}/messages/{name}"}


def _message(message: Message) -> Json:
    correlation = "command" if message.answers else "reply" if message.asked else "request"
    return {
        "name": message.type,
        "title": message.kind.__name__,
        "summary": "; ".join(message.occasions),
        "contentType": "application/json",
        "headers": headers_of(message),
        "payload": reference(ORDER_MOVED if issubclass(message.kind, OrderEvent) else message.kind),
        "correlationId": {"$ref": f"#/components/correlationIds/{correlation}"},
        "tags": [{"name": _owner(message)}],
        "bindings": {"kafka": {"key": {**UUID, "description": "The order's id."}, "bindingVersion": BINDING}},
        "examples": [_example(examples.record_of(message))],
    }


def _dead_letter() -> Json:
    record = examples.dead_letter()
    return {
        "name": DEAD_LETTER,
        "title": "DeadLetter",
        "summary": "A record that could not be taken",
        "contentType": "application/octet-stream",
        "headers": dead_letter_headers(),
        "payload": {
            "type": "string",
            "description": "The value as it came, byte for byte; empty where it is null or too large.",
        },
        "bindings": {"kafka": {"key": {"type": "string", "description": "The record's own."}, "bindingVersion": BINDING}},
        "examples": [{"headers": _texts(record), "payload": (record.value or b"").decode()}],
    }


def _example(record: Outgoing) -> Json:
    return {"headers": _texts(record), "payload": from_json(record.value or b"null")}


def _texts(record: Outgoing) -> dict[str, str]:
    return {name: value.decode() for name, value in record.headers}


def _owner(message: Message) -> str:
    return message.type.split(".", maxsplit=1)[0]


def _schemas() -> Json:
    """What we write as it is written, what we read as it may come."""
    kinds = [(message.kind, message.ours) for message in messages() if message.topic != ORDER_EVENTS]
    schemas = {**of_models([(kind, "serialization" if ours else "validation") for kind, ours in kinds]), **of_tables([ORDER_MOVED])}
    return dict(sorted(schemas.items()))
