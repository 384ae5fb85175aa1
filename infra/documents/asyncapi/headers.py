"""The headers of every message as JSON schemas: CloudEvents' binary mode, ours always there, the partners' as far as we need them."""

from typing import Any

from chalicelib.fields import ID as OUR_ID
from chalicelib.fields import MOMENT
from chalicelib.messages.commands import Command
from chalicelib.messages.envelope import REQUIRED, SOURCE
from chalicelib.messages.events import OrderEvent
from chalicelib.messages.wire import ID_LIMIT
from infra.documents.asyncapi.catalogue import Message

Json = dict[str, Any]

TEXT: Json = {"type": "string"}
UUID: Json = {**OUR_ID.schema}
ID: Json = {"type": "string", "minLength": 1, "maxLength": ID_LIMIT}
NUMBER: Json = {"type": "string", "pattern": "^[0-9]+$"}

ATTRIBUTES: Json = {
    "ce_specversion": {"type": "string", "pattern": r"^1\.", "description": "The version of CloudEvents."},
    "ce_id": {**ID, "description": "One try at one effect: a message sent again has the same, and the same bytes."},
    "ce_source": {"type": "string", "minLength": 1},
    "ce_time": {**MOMENT.schema, "description": "When the message was written."},
    "ce_subject": {**UUID, "description": "The order's id."},
    "content-type": {"type": "string", "const": "application/json"},
    "ce_sagaid": {**UUID, "description": "The saga that the message belongs to."},
    "ce_correlationid": {**ID, "description": "As in X-Correlation-Id of the request that it all began with."},
    "ce_causationid": {**ID, "description": "The ce_id of the message that this one answers or follows from."},
    "traceparent": {
        "type": "string",
        "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
        "description": "W3C Trace Context: the trace of the request that it all began with, each message a span of its own.",
    },
}
ALWAYS_OURS = ("ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time", "ce_subject", "content-type", "ce_correlationid")

# What a record that could not be taken has besides its own headers.
DEAD_LETTER: Json = {
    "__dlq.errors.topic": {**TEXT, "description": "Where the record stood."},
    "__dlq.errors.partition": NUMBER,
    "__dlq.errors.offset": NUMBER,
    "__dlq.errors.group": TEXT,
    "__dlq.errors.delivery.count": {**NUMBER, "description": "How often it was tried."},
    "__dlq.errors.exception.class": {**TEXT, "description": "The class of the reason, by which dead letters are listed and redriven."},
    "__dlq.errors.message": TEXT,
}
OMITTED: Json = {
    f"__dlq.errors.{part}.omitted": {**NUMBER, "description": f"The size of the {part}, in bytes, left out as too large."}
    for part in ("value", "headers", "key")
}


def headers_of(message: Message) -> Json:
    """The schema of one message's headers; all values are UTF-8 text."""
    schema: Json = {"ce_type": {"type": "string", "const": message.type}, **ATTRIBUTES}
    if message.ours:
        schema["ce_specversion"] = {"type": "string", "const": "1.0"}
        schema["ce_source"] = {"type": "string", "const": SOURCE}
        schema["ce_id"] = {**schema["ce_id"], **UUID}
    else:
        # Read in any form, and only where it says something.
        schema |= dict.fromkeys(("ce_time", "ce_subject", "content-type", "traceparent"), TEXT)
    if issubclass(message.kind, OrderEvent):
        schema["ce_sequence"] = {
            **NUMBER,
            "description": "The order's version. An event whose number you have passed is a repeat: drop it.",
        }
    return {"type": "object", "properties": schema, "required": list(_required(message))}


def dead_letter_headers() -> Json:
    """The schema of a dead letter's headers."""
    return {"type": "object", "properties": {**DEAD_LETTER, **OMITTED}, "required": list(DEAD_LETTER)}


def _required(message: Message) -> tuple[str, ...]:
    if issubclass(message.kind, Command):
        return (*ALWAYS_OURS, "ce_sagaid")
    if message.ours:
        return (*ALWAYS_OURS, "ce_sequence")
    return (*(f"ce_{name}" for name in REQUIRED), *(("ce_sagaid", "ce_causationid") if message.asked else ()))
