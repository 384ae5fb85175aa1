"""The partners as a value: their books of one order, and what they answered to each command.

Their decisions are those of the simulated partners; whether they refuse, and what the bank does unasked, is the world's to say. Commands
come to them in any order. A repeated one gets the answer that it got, so a further copy of it is no move.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from chalicelib.messages.commands import COMMANDS
from chalicelib.messages.envelope import from_json
from chalicelib.messages.replies import REPLIES, Reply
from infra.partners.accounts import Account
from infra.partners.decisions import Attempt, decide
from tests.explorer.service import Command
from tests.support.saga_language import UNWILLING, header


@dataclass(frozen=True)
class Answer:
    """What a partner said to a command."""

    command_id: str
    saga_id: UUID
    reply: Reply


@dataclass(frozen=True)
class Partners:
    """`expired`: the bank no longer keeps the money, and has said so."""

    account: Account
    answers: Mapping[str, Answer] = field(default_factory=dict)
    expired: bool = False

    @property
    def key(self) -> Hashable:
        """What decides over the future."""
        return self.account, self.expired, frozenset(self.answers.values())

    def willing(self, command: Command) -> "Partners":
        """They do what the command asks for, if that can be done."""
        if self.expired and command.type == "payment.capture":
            return self.refusing(command)
        asked = COMMANDS[command.type].read(from_json(command.message.value or b""))
        decision = decide(self.account, asked, Attempt(header(command.message, "ce_sagaid"), f"of_{int(UUID(command.id))}"))
        assert decision.reply
        return self._answering(command, decision.account, decision.reply)

    def refusing(self, command: Command) -> "Partners":
        """They refuse the command; raises KeyError where it can't be refused."""
        said = {**from_json(command.message.value or b""), "orderId": self.account.order_id, "reason": "no"}
        return self._answering(command, self.account, REPLIES[UNWILLING[command.type]].read(said))

    def _answering(self, command: Command, account: Account, reply: Reply) -> "Partners":
        answer = Answer(command.id, UUID(header(command.message, "ce_sagaid")), reply)
        return Partners(account, {**self.answers, command.id: answer}, self.expired)
