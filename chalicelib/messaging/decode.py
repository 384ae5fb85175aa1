"""From a Kafka record to the reply it carries, or to the reason why it can't be taken."""

from dataclasses import dataclass
from uuid import UUID

from pydantic import ValidationError

from chalicelib.messages.envelope import CloudEvent, Incoming, MessageContext, NotACloudEvent, claimed, decode
from chalicelib.messages.replies import REPLIES, AuthorizationExpired, Reply
from chalicelib.messages.wire import ID_LIMIT, fits, id_of
from chalicelib.validation import in_a_line


class _Flaw(ValueError):
    """A CloudEvent that can't be a reply; the message says why."""


@dataclass(frozen=True)
class ReplyReceived:
    """A reply that claims to settle a command of a saga."""

    record: Incoming
    message_id: str
    saga_id: UUID
    causation_id: str
    reply: Reply


@dataclass(frozen=True)
class ExpiryReceived:
    """The bank no longer keeps the money for an order: nobody asked, no saga is claimed."""

    record: Incoming
    message_id: str
    order_id: UUID
    expiry: AuthorizationExpired
    context: MessageContext


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


Received = ReplyReceived | ExpiryReceived | Unintelligible | Ignored


def receive(record: Incoming) -> Received:
    """Read one record; never raises for what a record holds."""
    try:
        event = decode(record)
    except NotACloudEvent as error:
        return Unintelligible(record, str(error), claimed(record.headers, "type"), _uuid(claimed(record.headers, "sagaid")))
    if event.type not in REPLIES and not event.saga_id:
        return Ignored(record)
    return _reply(record, event)


def _reply(record: Incoming, event: CloudEvent) -> Received:
    kind, saga_id = REPLIES.get(event.type), _uuid(event.saga_id)
    try:
        if kind is None:
            raise _Flaw("a saga is claimed by an event type that is not known")
        # Who may write to a topic is who may say what belongs there.
        if record.topic != kind.TOPIC:
            raise _Flaw(f"{event.type} belongs on {kind.TOPIC}")
        if not fits(event.id):
            raise _Flaw(f"ce_id must have 1 to {ID_LIMIT} characters and no U+0000")
        if kind is AuthorizationExpired:
            return _expiry(record, event)
        if saga_id is None:
            raise _Flaw("ce_sagaid is missing or no UUID")
        if not event.causation_id:
            raise _Flaw("ce_causationid is missing or not UTF-8")
        return ReplyReceived(record, event.id, saga_id, event.causation_id, kind.read(event.data))
    except (_Flaw, NotACloudEvent) as error:
        return Unintelligible(record, str(error), event.type, saga_id)
    except ValidationError as error:
        return Unintelligible(record, in_a_line(error, whole="data", most=500), event.type, saga_id)


def _expiry(record: Incoming, event: CloudEvent) -> ExpiryReceived:
    expiry = AuthorizationExpired.read(event.data)
    order_id = _uuid(expiry.order_id)
    if order_id is None:
        raise _Flaw("orderId is no UUID")
    return ExpiryReceived(record, event.id, order_id, expiry, MessageContext(event.correlation_id or event.id, event.id, event.traceparent))


def _uuid(text: str | None) -> UUID | None:
    try:
        return id_of(text) if text else None
    except ValueError:
        return None
