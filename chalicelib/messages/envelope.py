"""CloudEvents 1.0 over Kafka: binary mode written, binary and structured mode read.

Source: CloudEvents Kafka protocol binding 1.0.2, JSON event format 1.0.2; W3C Trace Context for `traceparent`.
"""

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson

from chalicelib.messages.numbers import parse_decimal, parse_whole
from chalicelib.messages.trace import span_of, trace_id, traceparent_of
from chalicelib.messages.wire import Wire, canonical, fits

SOURCE = "/campusg/orders"
STRUCTURED = "application/cloudevents"
BATCHED = "application/cloudevents-batch"
JSON_FORMATS = (STRUCTURED, f"{STRUCTURED}+json")
REQUIRED = ("specversion", "id", "type", "source")
# What a log line calls the ids that a message carries.
IDS_TOLD = {"message_id": "ce_id", "order_id": "ce_subject", "saga_id": "ce_sagaid"}
OPTIONAL = ("subject", "sagaid", "correlationid", "causationid", "traceparent", "sequence")


class NotACloudEvent(ValueError):
    """The record carries no CloudEvent that can be read."""


@dataclass(frozen=True)
class Outgoing:
    """A record as it will be sent, to the byte: what the outbox keeps and what a resend repeats."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class Incoming:
    """A record as it came, and where it stood."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class MessageContext:
    """What ties messages together: the caller's correlation id, the message answered, the trace, the saga."""

    correlation_id: str
    causation_id: str | None = None
    traceparent: str | None = None
    saga_id: str | None = None

    @property
    def fields(self) -> dict[str, str]:
        """What a log line says of it."""
        return _fields(self.correlation_id, self.traceparent)


@dataclass(frozen=True)
class CloudEvent:
    """One event's attributes, and its data: JSON text, parsed when it is asked for, or the value where all of the event was JSON.

    `causation_id` is an id of ours, so a UUID is in lower case however it was written.
    """

    id: str
    type: str
    source: str
    text: bytes | None
    subject: str | None = None
    saga_id: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    traceparent: str | None = None
    sequence: str | None = None
    parsed: Any = None

    @property
    def data(self) -> Any:
        """The parsed data, numbers as int or Decimal, never float; raises NotACloudEvent where it is no JSON."""
        return self.parsed if self.text is None else _parsed(self.text)


# A batch writes one and the same moment many times.
@lru_cache(maxsize=64)
def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds and `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def to_json(data: Any) -> bytes:
    """Compact UTF-8 JSON of what messages of ours are made of: text, whole numbers, no floats. Raises TypeError for anything else."""
    return orjson.dumps(data)


def from_json(text: bytes | str, *, to_object: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """Parse JSON strictly: UTF-8, numbers exact, no NaN or Infinity; raises ValueError, which says where it stops being JSON.

    A number of any size is JSON; one that no decimal can hold becomes not a number. `to_object` makes an object of its members; without
    it the last of several members of one name counts.
    """
    try:
        # As text, because from bytes Python would guess the encoding; JSON between systems is UTF-8 (RFC 8259, section 8.1).
        text = text if isinstance(text, str) else text.decode()
        return _decoder(to_object).decode(text)
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno}, column {error.colno} can't be read") from error
    except RecursionError as error:
        raise ValueError("nested too deep") from error


@lru_cache
def _decoder(to_object: Callable[[list[tuple[str, Any]]], Any] | None) -> json.JSONDecoder:
    return json.JSONDecoder(parse_float=parse_decimal, parse_int=parse_whole, parse_constant=_refuse_constant, object_pairs_hook=to_object)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def encode(message: Wire, order_id: str, context: MessageContext, *, id: str, time: datetime, source: str = SOURCE) -> Outgoing:
    """Build the record of one message, a CloudEvent in binary mode, keyed by its order.

    In the context's trace the event is a span of its own, the same for the same `id`.
    """
    headers = {
        "ce_specversion": "1.0",
        "ce_id": id,
        "ce_type": message.TYPE,
        "ce_source": source,
        "ce_time": timestamp(time),
        "ce_subject": order_id,
        "content-type": "application/json",
    }
    if message.sequence is not None:
        headers["ce_sequence"] = str(message.sequence)
    if context.saga_id:
        headers["ce_sagaid"] = context.saga_id
    headers["ce_correlationid"] = context.correlation_id
    if context.causation_id:
        headers["ce_causationid"] = context.causation_id
    if context.traceparent:
        headers["traceparent"] = span_of(context.traceparent, id)
    value = to_json(message.data())
    return Outgoing(message.TOPIC, order_id.encode(), value, tuple((name, value.encode()) for name, value in headers.items()))


def decode(record: Incoming) -> CloudEvent:
    """Read the event of a record in either mode; raises NotACloudEvent with a sentence that says what is wrong.

    Only a required attribute can be wrong: any other one that can't be read counts as absent.
    """
    headers = _texts(record.headers)
    media_type = headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type.startswith(STRUCTURED):
        return _structured(record, headers, media_type)
    attributes = {name[3:]: value for name, value in headers.items() if name.startswith("ce_")}
    _require(attributes)
    return _event(attributes, record.value, None, headers)


def claimed(headers: Iterable[tuple[str, bytes]], attribute: str) -> str | None:
    """What a record's headers say of an attribute, be the rest as it may; never raises."""
    return {name.lower(): value.decode("utf-8", "replace") for name, value in headers}.get(f"ce_{attribute}")


def log_fields(headers: Iterable[tuple[str, bytes]]) -> dict[str, str]:
    """What a log line says of the message with these headers: its ids, correlation and trace, as far as they are there; never raises."""
    texts = _texts(headers)
    ids = {name: texts[attribute] for name, attribute in IDS_TOLD.items() if fits(texts.get(attribute, ""))}
    return ids | _fields(_carried(texts.get("ce_correlationid")), traceparent_of(texts.get("traceparent")))


def _fields(correlation_id: str | None, traceparent: str | None) -> dict[str, str]:
    fields = {"correlation_id": correlation_id, "trace_id": trace_id(traceparent) if traceparent else None}
    return {name: value for name, value in fields.items() if value}


def _carried(correlation_id: str | None) -> str | None:
    """A correlation id need not be there, so one that could not be carried on counts as absent."""
    return correlation_id if correlation_id and fits(correlation_id) else None


def _texts(headers: Iterable[tuple[str, bytes]]) -> dict[str, str]:
    """The headers that are UTF-8, by lower-case name: unlike HTTP's, this binding quotes and escapes nothing.

    Two are read as far as they are UTF-8: a record claims a saga also by an id that is none, and the mode stands at the start of
    `content-type`.
    """
    found = {}
    for name, value in headers:
        lower = name.lower()
        try:
            found[lower] = value.decode("utf-8", "replace" if lower in ("ce_sagaid", "content-type") else "strict")
        except UnicodeDecodeError:
            continue
    return found


def _structured(record: Incoming, headers: Mapping[str, str], media_type: str) -> CloudEvent:
    if media_type.startswith(BATCHED):
        raise NotACloudEvent("a record holds one CloudEvent: Kafka has no batched mode")
    if media_type not in JSON_FORMATS:
        raise NotACloudEvent(f"the event format {media_type[:60]!r} is not understood: it must be {JSON_FORMATS[1]}")
    event = _parsed(record.value)
    if not isinstance(event, dict):
        raise NotACloudEvent("a structured event must be a JSON object")
    attributes = _structured_attributes(event)
    _require(attributes)
    return _event(attributes, *_structured_data(event), headers)


def _structured_attributes(event: Mapping[str, Any]) -> dict[str, str]:
    """The attributes that we read, each as the text that binary mode has for it (CloudEvents JSON format, section 2.2); null is absent."""
    found = {}
    for name in (*REQUIRED, *OPTIONAL):
        value = event.get(name)
        if isinstance(value, str):
            found[name] = value
        elif name in REQUIRED and value is not None:
            raise NotACloudEvent(f"the attribute {name} must be a string")
        elif isinstance(value, (bool, int)):
            found[name] = str(value).lower()
        elif name == "sagaid" and value is not None:
            # It claims a saga, though by something that is no id.
            found[name] = repr(value)
    return found


def _structured_data(event: Mapping[str, Any]) -> tuple[bytes | None, Any]:
    """The data as JSON text or as it was parsed: it stands in the event as base64 or as JSON (CloudEvents JSON format, section 3.1)."""
    encoded = event.get("data_base64")
    if encoded is None:
        return None, event.get("data")
    if event.get("data") is not None:
        raise NotACloudEvent("an event has either data or data_base64")
    try:
        return base64.b64decode(encoded, validate=True), None
    except (TypeError, ValueError) as error:
        raise NotACloudEvent("data_base64 is not base64") from error


def _require(attributes: Mapping[str, str]) -> None:
    missing = [name for name in REQUIRED if not attributes.get(name)]
    if missing:
        raise NotACloudEvent(f"no CloudEvent: {', '.join('ce_' + name for name in missing)} missing or not UTF-8")
    if not attributes["specversion"].startswith("1."):
        raise NotACloudEvent(f"CloudEvents version {attributes['specversion'][:20]!r} is not understood")


def _parsed(value: bytes | None) -> Any:
    if not value:
        return None
    try:
        return from_json(value)
    except ValueError as error:
        raise NotACloudEvent(f"the value is not JSON: {error}") from error


def _event(attributes: Mapping[str, str], text: bytes | None, parsed: Any, headers: Mapping[str, str]) -> CloudEvent:
    causation_id = attributes.get("causationid")
    return CloudEvent(
        id=attributes["id"],
        type=attributes["type"],
        source=attributes["source"],
        text=text,
        parsed=parsed,
        subject=attributes.get("subject"),
        saga_id=attributes.get("sagaid"),
        correlation_id=_carried(attributes.get("correlationid")),
        causation_id=canonical(causation_id) if causation_id else None,
        traceparent=traceparent_of(headers.get("traceparent")) or traceparent_of(attributes.get("traceparent")),
        sequence=attributes.get("sequence"),
    )
