"""The partners: they work each command once, remember what they answered, and refuse, fall silent and repeat by chance."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from chalicelib.errors import Unavailable
from chalicelib.messages.commands import COMMANDS
from chalicelib.messages.envelope import Incoming, MessageContext, Outgoing, encode, from_json
from chalicelib.messages.replies import REPLIES, AuthorizationExpired, Reply
from chalicelib.messages.topics import PARTITIONS
from infra.partners.accounts import Account
from infra.partners.decisions import Attempt, decide
from tests.simulation.broker import Producer
from tests.support.saga_language import UNWILLING

if TYPE_CHECKING:
    from tests.simulation.world import World


@dataclass
class Books:
    """What all partners know: each order's account, and what they answered to each command."""

    accounts: dict[str, Account] = field(default_factory=dict)
    answers: dict[str, Reply | None] = field(default_factory=dict)
    expired: set[str] = field(default_factory=set)


class PartnerServices:
    """All partners, one actor for each topic of commands."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def serve(self, topic: str) -> None:
        while True:
            self._world.scheduler.pause(self._world.scheduler.random.uniform(0.05, 0.8))
            for number in range(PARTITIONS[topic]):
                for record in self._world.broker.records("partner", topic, number, 5):
                    self._work(record)
                    self._world.broker.commit("partner", topic, number, record.offset + 1)

    def _work(self, record: Incoming) -> None:
        trouble = self._world.scheduler.trouble
        headers = {name: value.decode() for name, value in record.headers}
        id, order_id = headers["ce_id"], (record.key or b"").decode()
        self._world.scheduler.point(f"before it works {headers['ce_type']}")
        if id not in self._world.books.answers:
            self._world.books.answers[id] = self._decided(headers, record)
        self._world.scheduler.point(f"after it has worked {headers['ce_type']}")
        reply = self._world.books.answers[id]
        if reply is not None and not self._world.scheduler.chance(trouble.silence):
            self._say(reply, order_id, MessageContext("corr-simulated", causation_id=id, saga_id=headers["ce_sagaid"]))
        if headers["ce_type"] == "payment.authorize" and self._world.scheduler.chance(trouble.expiries):
            self._world.scheduler.later(self._world.scheduler.random.uniform(1, 60), lambda: self._expire(order_id))

    def _decided(self, headers: dict[str, str], record: Incoming) -> Reply | None:
        order_id, type = (record.key or b"").decode(), headers["ce_type"]
        account = self._world.books.accounts.setdefault(order_id, Account(order_id))
        asked = from_json(record.value or b"")
        unwilling = type in UNWILLING and self._world.scheduler.chance(self._world.scheduler.trouble.refusals)
        if unwilling or (type == "payment.capture" and order_id in self._world.books.expired):
            self._world.scheduler.tell(f"refuses {type} of {order_id[-4:]}")
            return REPLIES[UNWILLING[type]].read({**asked, "orderId": order_id, "reason": "no"})
        decision = decide(account, COMMANDS[type].read(asked), Attempt(headers["ce_sagaid"], f"of_{int(UUID(headers['ce_id']))}"))
        self._world.books.accounts[order_id] = decision.account
        self._world.scheduler.tell(f"works {type} of {order_id[-4:]}: {decision.reply and decision.reply.TYPE}")
        return decision.reply

    def _say(self, reply: Reply, order_id: str, context: MessageContext) -> None:
        message = encode(reply, order_id, context, id=str(self._world.new_id()), time=self._world.tables.now, source="/campusg/simulated")
        while any(self._send_as_partner(message)):
            self._world.scheduler.pause(1.0)

    def _send_as_partner(self, message: Outgoing) -> Sequence[Exception | None]:
        try:
            return Producer(self._world.scheduler, self._world.broker).send([message], 1.0)
        except Unavailable as error:
            return [error]

    def _expire(self, order_id: str) -> None:
        account = self._world.books.accounts[order_id]
        kept = [payment for payment in account.payments if payment.status == "AUTHORIZED"]
        if not kept or order_id in self._world.books.expired:
            return
        self._world.books.expired.add(order_id)
        said = AuthorizationExpired(order_id=order_id, payment_id=kept[0].payment_id)
        message = encode(
            said, order_id, MessageContext("corr-bank"), id=str(self._world.new_id()), time=self._world.tables.now, source="/bank"
        )
        self._world.broker.append(message)
        self._world.scheduler.tell(f"the bank lets the authorization of {order_id[-4:]} expire")
