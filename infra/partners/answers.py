"""Answers as they go over the wire, to the byte."""

from datetime import datetime

from chalicelib.messages import envelope, topics
from chalicelib.messages.envelope import MessageContext, Outgoing
from chalicelib.messages.replies import Reply
from infra.partners.requests import Request

SOURCES = {
    topics.USER_EVENTS: "/campusg/users",
    topics.PAYMENT_EVENTS: "/campusg/payments",
    topics.ESCROW_EVENTS: "/campusg/escrow",
}


def encode(reply: Reply, request: Request, *, id: str, time: datetime) -> Outgoing:
    """The record that answers `request`, keyed by the order, tied to the command and its saga.

    A command without a correlation id begins a correlation of its own, named by its id.
    """
    correlation_id = request.correlation_id or request.command_id
    context = MessageContext(correlation_id, request.command_id, request.traceparent, request.saga_id)
    return envelope.encode(reply, request.order_id, context, id=id, time=time, source=SOURCES[reply.TOPIC])
