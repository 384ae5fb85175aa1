"""What a reply is to the saga that it claims: judged before anything is planned. Pure, the same for every saga."""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from chalicelib.messages.envelope import from_json
from chalicelib.messages.replies import Reply
from chalicelib.sagas.definition import Definition
from chalicelib.sagas.state import Pending, Saga

COMPARED = ("orderId", "customerId", "runnerId", "paymentId", "escrowId", "amount", "currency")


class Verdict(Enum):
    """What a reply is to a saga."""

    TAKEN = "taken"
    STALE = "stale"
    CONTRADICTS = "contradicts the reply already taken"
    MISFIT = "does not fit the command"


def judge(definition: Definition, saga: Saga, reply: Reply, causation_id: str) -> Verdict:
    """Decide whether `reply` settles the command that `saga` awaits."""
    pending = saga.pending
    if pending and pending.command_id == causation_id:
        exchange = definition.exchange_of(pending)
        expected = type(reply) is exchange.done or type(reply) is exchange.refused
        return Verdict.TAKEN if expected and _fits(reply, pending) else Verdict.MISFIT
    for step in saga.steps:
        for attempt in step.tries:
            if attempt.command_id == causation_id and attempt.reply and attempt.reply != recorded(reply):
                return Verdict.CONTRADICTS
    return Verdict.STALE


def _fits(reply: Reply, pending: Pending) -> bool:
    asked = from_json(pending.message.value or b"{}")
    said = reply.data()
    return all(asked[name] == said[name] for name in COMPARED if name in asked and name in said)


def recorded(reply: Reply) -> Mapping[str, Any]:
    """The reply as a step keeps it."""
    return {"type": reply.TYPE, "data": reply.data()}
