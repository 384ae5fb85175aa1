"""The commands of one poll, worked together: pure, between what the store knew and what it will keep."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from chalicelib.messages.commands import SendNotification
from chalicelib.messages.envelope import Outgoing
from infra.partners import answers
from infra.partners.accounts import Account
from infra.partners.decisions import Attempt, decide
from infra.partners.requests import Request


@dataclass(frozen=True)
class Answered:
    """A command that was worked, and what was answered; None: nothing, which a repeat gets too."""

    command_id: str
    order_id: str
    type: str
    reply: Outgoing | None


@dataclass(frozen=True)
class Known:
    """What the store has of the orders and the command ids of a batch; what it doesn't have is missing."""

    accounts: Mapping[str, Account] = field(default_factory=dict)
    answered: Mapping[str, Answered] = field(default_factory=dict)


@dataclass(frozen=True)
class Worked:
    """What a batch did: the books of all its orders, the commands worked now, and every reply to send, in order, repeats included."""

    accounts: Mapping[str, Account]
    answered: tuple[Answered, ...]
    notifications: tuple[tuple[str, SendNotification], ...]
    replies: tuple[Outgoing, ...]


def work(requests: Iterable[Request], known: Known, now: datetime, new_id: Callable[[], str]) -> Worked:
    """Work each command once, whatever the copies in this batch or before it; `new_id` makes the ids of replies and of what they create."""
    accounts: dict[str, Account] = {}
    answered: dict[str, Answered] = {}
    notifications: list[tuple[str, SendNotification]] = []
    replies: list[Outgoing] = []
    for request in requests:
        order_id = request.order_id
        account = accounts.setdefault(order_id, known.accounts.get(order_id) or Account(order_id))
        answer = known.answered.get(request.command_id) or answered.get(request.command_id)
        if answer is None:
            decision = decide(account, request.command, Attempt(request.saga_id, new_id()))
            accounts[order_id] = decision.account
            reply = None if decision.reply is None else answers.encode(decision.reply, request, id=new_id(), time=now)
            answer = answered[request.command_id] = Answered(request.command_id, order_id, request.command.TYPE, reply)
            if isinstance(request.command, SendNotification):
                notifications.append((request.command_id, request.command))
        if answer.reply is not None:
            replies.append(answer.reply)
    return Worked(accounts, tuple(answered.values()), tuple(notifications), tuple(replies))
