"""What a reply is to the saga that it claims: judged before anything is planned. Pure, the same for every saga."""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from chalicelib.messages.commands import RefundEscrow
from chalicelib.messages.envelope import from_json
from chalicelib.messages.replies import Reply
from chalicelib.orders.order import Order
from chalicelib.sagas.definition import Definition, Exchange
from chalicelib.sagas.state import Pending, Saga

COMPARED = ("orderId", "customerId", "runnerId", "paymentId", "escrowId", "amount", "currency")


class Verdict(Enum):
    """What a reply is to a saga."""

    TAKEN = "taken"
    STALE = "stale"
    CONTRADICTS = "contradicts the reply already taken"
    MISFIT = "does not fit the command"
    UNKNOWN_COMMAND = "answers a command that its saga never sent"


def judge(definition: Definition, saga: Saga, order: Order, reply: Reply, causation_id: str) -> Verdict:
    """Decide whether `reply` settles the command that `saga` awaits; `order` is the saga's."""
    pending = saga.pending
    if pending and pending.command_id == causation_id:
        exchange = definition.exchange_of(pending)
        expected = type(reply) is exchange.done or type(reply) is exchange.refused
        return Verdict.TAKEN if expected and _fits(reply, pending, exchange, order) else Verdict.MISFIT
    sent = [attempt for step in saga.steps for attempt in step.tries if attempt.command_id == causation_id]
    if not sent:
        return Verdict.UNKNOWN_COMMAND
    return Verdict.CONTRADICTS if any(attempt.reply and attempt.reply != recorded(reply) for attempt in sent) else Verdict.STALE


def _fits(reply: Reply, pending: Pending, exchange: Exchange, order: Order) -> bool:
    """Whether it says what was asked for. Where the command names no amount, that is the whole, or for an undo also nothing."""
    asked = from_json(pending.message.value or b"{}")
    said = reply.data()
    amount = getattr(reply, "amount", None)
    if amount is not None and "amount" not in asked:
        whole_or_nothing = (order.total, 0) if exchange.command is RefundEscrow else (order.total,)
        if amount not in whole_or_nothing:
            return False
    return all(asked[name] == said[name] for name in COMPARED if name in asked and name in said)


def recorded(reply: Reply) -> Mapping[str, Any]:
    """The reply as a step keeps it."""
    return {"type": reply.TYPE, "data": reply.data()}
