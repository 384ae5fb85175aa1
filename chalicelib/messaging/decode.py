"""From a Kafka record to the reply it carries, or to the reason why it can't be taken."""

from dataclasses import dataclass
from uuid import UUID

from pydantic import ValidationError

from chalicelib.messages.envelope import CloudEvent, Incoming, NotACloudEvent, claimed_saga, decode
from chalicelib.messages.replies import REPLIES, AuthorizationExpired, Reply

UNASKED = (AuthorizationExpired,)


@dataclass(frozen=True)
class ReplyReceived:
    """A reply that claims to settle a command of a saga."""

    record: Incoming
    message_id: str
    saga_id: UUID
    causation_id: str
    reply: Reply
    source: str


@dataclass(frozen=True)
class Unintelligible:
    """A record that can't be taken: a dead letter. `type` is its `ce_type` where that much is known."""

    record: Incoming
    error: str
    type: str | None = None
    saga_id: UUID | None = None


@dataclass(frozen=True)
class Ignored:
    """An event that is none of our business."""

    record: Incoming


Received = ReplyReceived | Unintelligible | Ignored


def receive(record: Incoming) -> Received:
    """Read one record; never raises for what a record holds."""
    try:
        event = decode(record)
    except NotACloudEvent as error:
        return Unintelligible(record, str(error), saga_id=_uuid(claimed_saga(record.headers)))
    if event.type not in REPLIES and not event.saga_id:
        return Ignored(record)
    return _reply(record, event)


def _reply(record: Incoming, event: CloudEvent) -> Received:
    saga_id = _uuid(event.saga_id)

    def unintelligible(error: str) -> Unintelligible:
        return Unintelligible(record, error, event.type, saga_id)

    kind = REPLIES.get(event.type)
    if kind is None:
        return unintelligible("a saga is claimed by an event type that is not known")
    if saga_id is None:
        return unintelligible("ce_sagaid is missing or no UUID")
    if not event.causation_id:
        return unintelligible("ce_causationid is missing")
    try:
        reply = kind.read(event.data)
    except NotACloudEvent as error:
        return unintelligible(str(error))
    except ValidationError as error:
        return unintelligible(_fields(error))
    return ReplyReceived(record, event.id, saga_id, event.causation_id, reply, event.source)


def _fields(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, each['loc'])) or 'data'}: {each['msg']}" for each in error.errors(include_input=False))[:500]


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
