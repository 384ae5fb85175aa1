"""A command as it came: read from a Kafka record, or refused as unreadable."""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, ValidationError

from chalicelib.messages import envelope
from chalicelib.messages.commands import COMMANDS, Command
from chalicelib.messages.wire import Id, canonical, fits
from chalicelib.validation import in_a_line


class UnreadableCommand(ValueError):
    """The record holds no command that a partner could work or refuse."""


class _Attributes(BaseModel):
    """The bounds that keep what comes storable, and its answer sendable."""

    model_config = ConfigDict(frozen=True)

    command_id: Id
    order_id: Id
    saga_id: Id | None
    correlation_id: Id | None


@dataclass(frozen=True)
class Request:
    """A command and what its answer must carry on. `order_id` is the one its data names, else the record's key or the event's subject."""

    command: Command
    command_id: str
    order_id: str
    saga_id: str | None = None
    correlation_id: str | None = None
    traceparent: str | None = None


def read(record: envelope.Incoming) -> Request:
    """Read the command of a record; raises UnreadableCommand with a sentence that says what is wrong."""
    try:
        return _request(record)
    except envelope.NotACloudEvent as error:
        raise UnreadableCommand(str(error)) from error
    except ValidationError as error:
        raise UnreadableCommand(in_a_line(error, whole="data", most=500)) from error


def _request(record: envelope.Incoming) -> Request:
    event = envelope.decode(record)
    kind = COMMANDS.get(event.type)
    if kind is None or record.topic != kind.TOPIC:
        raise UnreadableCommand(f"{event.type[:100]!r} is no command of {record.topic}")
    command = kind.read(event.data)
    attributes = _Attributes.model_validate(
        {
            "command_id": event.id,
            "order_id": canonical(getattr(command, "order_id", None) or _text(record.key) or event.subject or ""),
            "saga_id": canonical(event.saga_id) if event.saga_id and fits(event.saga_id) else None,
            "correlation_id": event.correlation_id,
        }
    )
    return Request(command=command, traceparent=event.traceparent, **dict(attributes))


def _text(key: bytes | None) -> str | None:
    return None if key is None else key.decode("utf-8", "replace")
