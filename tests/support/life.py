"""The whole life of an order, act by act: the real operations in memory, the simulated partners' rules, and what must always hold."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from uuid import UUID

from chalicelib.errors import Refusal
from chalicelib.messages.commands import COMMANDS
from chalicelib.messages.envelope import Incoming, MessageContext, Outgoing, from_json
from chalicelib.messages.replies import REPLIES, AuthorizationExpired, Reply
from chalicelib.messages.topics import ESCROW_COMMANDS, ORDER_EVENTS, PAYMENT_COMMANDS, USER_COMMANDS
from chalicelib.messaging.decode import ExpiryReceived, Received, ReplyReceived
from chalicelib.operations import operate
from chalicelib.operations.accept import accept_order
from chalicelib.operations.call import Call
from chalicelib.operations.cancel import cancel_order
from chalicelib.operations.complete import complete_order
from chalicelib.operations.create import create_order
from chalicelib.operations.give_back import cancel_acceptance
from chalicelib.operations.move_status import BY_HAND, move_status
from chalicelib.operations.sweep import OverdueCommands, UnacceptedOrders, UncompletedOrders
from chalicelib.operations.take_replies import Delivery, take_replies
from chalicelib.orders.access import Viewer
from chalicelib.orders.due import DueOrder
from chalicelib.orders.order import Order, OrderStatus
from chalicelib.sagas.due import Due
from chalicelib.sagas.engine import Rules
from chalicelib.sagas.outcomes import IdSource
from chalicelib.sagas.state import Saga, SagaStatus
from infra.partners.accounts import Account
from infra.partners.decisions import Attempt, decide
from tests.support.books import disagreements
from tests.support.database import NEW_ORDER
from tests.support.memory_tables import Tables
from tests.support.saga_language import UNWILLING, header

TOPICS = (USER_COMMANDS, PAYMENT_COMMANDS, ESCROW_COMMANDS)
CONTEXT = MessageContext("corr-life")
ADMIN = Viewer("adm_1", frozenset({"admin"}))
CUSTOMER = Viewer("cust_1", frozenset({"customer"}))
ENDS = (OrderStatus.COMPLETED, OrderStatus.CANCELLED, OrderStatus.TIMED_OUT)


@dataclass
class Life:
    """One order, the partners' books of it, and the replies on their way. Commands of a topic are worked in order, replies come in any."""

    tables: Tables
    rules: Rules
    order_id: UUID = field(init=False)
    account: Account = field(init=False)
    worked: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TOPICS, 0))
    answers: dict[str, Reply | None] = field(default_factory=dict)
    under_way: list[tuple[Outgoing, Reply]] = field(default_factory=list)
    numbers: Any = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.order_id = self.new_id()
        self.account = Account(str(self.order_id))
        create_order(self.tables.session, self.call(CUSTOMER), self.order_id, NEW_ORDER)

    @property
    def order(self) -> Order:
        return self.tables.orders[self.order_id]

    @property
    def holder(self) -> Saga | None:
        return self.tables.sagas[self.order.active_saga_id] if self.order.active_saga_id else None

    def new_id(self) -> UUID:
        return UUID(int=next(self.numbers))

    def ids(self) -> IdSource:
        return IdSource(lambda: str(self.new_id()), jitter=0)

    # What people ask for: granted or refused, by the operations themselves

    def call(self, viewer: Viewer) -> Call:
        """A request of somebody."""
        return Call(self.rules, viewer, CONTEXT, self.ids())

    def asks(self, operation: Callable[..., Any], viewer: Viewer, *arguments: Any) -> None:
        try:
            operation(self.tables.session, self.call(viewer), *arguments)
        except Refusal:
            return

    def accept(self, runner_id: str) -> None:
        self.asks(accept_order, self.runner(runner_id), self.order_id, runner_id)

    def give_back(self) -> None:
        self.asks(cancel_acceptance, self.runner(), self.order_id)

    def move_on(self) -> None:
        to = BY_HAND.get(self.order.order_status, OrderStatus.COLLECTED)
        self.asks(move_status, self.runner(), self.order_id, to)

    def complete(self) -> None:
        self.asks(complete_order, CUSTOMER, self.order_id)

    def cancel(self) -> None:
        self.asks(cancel_order, CUSTOMER, self.order_id, "changed my mind")

    def cancel_by_admin(self) -> None:
        self.asks(cancel_order, ADMIN, self.order_id, "the store burnt down")

    def retry(self) -> None:
        self.operate(operate.retry)

    def compensate(self) -> None:
        self.operate(operate.compensate)

    def operate(self, operation: Callable[..., Any]) -> None:
        if self.holder:
            self.asks(operation, ADMIN, self.holder.saga_id)

    def runner(self, sub: str | None = None) -> Viewer:
        """A runner: named, else the order's own."""
        return Viewer(sub or self.order.runner_id or "run_1", frozenset({"runner"}))

    # What the clock does

    def time_out(self) -> None:
        self.awaits_in_vain(published=True)

    def fall_silent(self) -> None:
        """Nobody answers any copy of what is awaited now."""
        awaited = self.awaited
        while awaited and awaited == self.awaited and self.holder and self.holder.due_at:
            self.time_out()

    def defer(self) -> None:
        self.awaits_in_vain(published=False)

    def awaits_in_vain(self, *, published: bool) -> None:
        saga = self.holder
        if saga and saga.pending and saga.due_at:
            self.tables.now = max(self.tables.now, saga.due_at)
            due = Due(saga.saga_id, saga.pending.command_id, published, saga.due_at)
            OverdueCommands().do(self.tables.session, self.rules, [(due, self.ids())])

    def nobody_accepts(self) -> None:
        if self.order.accept_by:
            self.tables.now = max(self.tables.now, self.order.accept_by)
            due = DueOrder(self.order_id, self.order.accept_by, (self.order.accept_by, self.order_id))
            UnacceptedOrders().do(self.tables.session, self.rules, [(due, self.ids())])

    def nobody_completes(self) -> None:
        due = DueOrder(self.order_id, self.order.updated_at, (self.order.updated_at, self.order_id))
        UncompletedOrders().do(self.tables.session, self.rules, [(due, self.ids())])

    # What the partners do

    def commands(self, topic: str) -> list[Outgoing]:
        return [message for message in self.tables.sent if message.topic == topic]

    def work(self, topic: str, *, unwilling: bool = False) -> None:
        """The partner takes the next record of its topic."""
        waiting = self.commands(topic)[self.worked[topic] :]
        if waiting:
            self.worked[topic] += 1
            self.answer(waiting[0], unwilling=unwilling)

    def refuse(self, topic: str) -> None:
        """The partner refuses the next record of its topic, if it is one that can be refused."""
        self.work(topic, unwilling=True)

    def go_on(self, *, unwilling: bool = False) -> None:
        """The reply that the saga waits for comes."""
        awaited, topic = self.awaited, self.holder.pending.message.topic if self.holder and self.holder.pending else ""
        while awaited and awaited not in self.answers and self.commands(topic)[self.worked[topic] :]:
            command = self.commands(topic)[self.worked[topic]]
            self.work(topic, unwilling=unwilling and header(command, "ce_id") == awaited)
        for number, (command, _) in enumerate(self.under_way):
            if header(command, "ce_id") == awaited:
                self.deliver(number)
                return

    def balk(self) -> None:
        """The saga's partner refuses, if it can."""
        self.go_on(unwilling=True)

    def work_again(self, topic: str) -> None:
        """The partner crashed before it noted how far it was, and takes its last record again."""
        self.worked[topic] = max(0, self.worked[topic] - 1)
        self.work(topic)

    def answer(self, command: Outgoing, *, unwilling: bool) -> None:
        id, type = header(command, "ce_id"), header(command, "ce_type")
        if id not in self.answers:
            asked = from_json(command.value or b"")
            if unwilling and type in UNWILLING:
                self.answers[id] = REPLIES[UNWILLING[type]].read({**asked, "orderId": str(self.order_id), "reason": "no"})
            else:
                decision = decide(self.account, COMMANDS[type].read(asked), Attempt(header(command, "ce_sagaid"), f"of_{id}"))
                self.account, self.answers[id] = decision.account, decision.reply
        reply = self.answers[id]
        if reply is not None:
            self.under_way.append((command, reply))

    def deliver(self, number: int) -> None:
        """Some reply comes; it stays under way, so that it may come again at any time."""
        if self.under_way:
            command, reply = self.under_way[number % len(self.under_way)]
            saga_id, causation_id = UUID(header(command, "ce_sagaid")), header(command, "ce_id")
            self.take(ReplyReceived(self.record(), str(self.new_id()), saga_id, causation_id, reply))

    def expire(self) -> None:
        """The bank no longer keeps the money, and says so."""
        payment_id = self.account.payments[-1].payment_id if self.account.payments else "pay_unknown"
        said = AuthorizationExpired(order_id=str(self.order_id), payment_id=payment_id)
        self.take(ExpiryReceived(self.record(), str(self.new_id()), self.order_id, said, CONTEXT))

    def take(self, received: Received) -> None:
        taken = take_replies(self.tables.session, self.rules, [Delivery(received, self.ids(), self.new_id())])
        assert (taken.failed, taken.behind) == ([], [])

    def record(self) -> Incoming:
        return Incoming("partner-events", 0, 0, str(self.order_id).encode(), b"{}", ())

    # Rest

    def rest(self) -> None:
        """Everybody is at work again and willing: all commands are worked, all replies come, an operator retries, the clock goes on."""
        for _ in range(60):
            for topic in TOPICS:
                for _ in self.commands(topic):
                    self.work(topic)
            for number in range(len(self.under_way)):
                self.deliver(number)
            if self.holder is None and all(self.worked[topic] == len(self.commands(topic)) for topic in TOPICS):
                return
            if self.holder and self.holder.status is SagaStatus.FAILED and self.holder.pending is None:
                # A runner who is rejected each time can't be paid; then the operator gives the money back.
                self.operate(operate.compensate if self.is_hopeless() else operate.retry)
            elif self.holder and not self.is_answered():
                self.time_out()
        raise AssertionError(f"stuck: {self.holder}")

    def is_hopeless(self) -> bool:
        assert self.holder
        return len(self.holder.step("validate_runner").tries) > 3

    def is_answered(self) -> bool:
        """Whether the reply that the saga waits for is under way."""
        return any(header(command, "ce_id") == self.awaited for command, _ in self.under_way)

    @property
    def awaited(self) -> str | None:
        return self.holder.pending.command_id if self.holder and self.holder.pending else None

    # What must hold after every outcome

    def check(self) -> None:
        order, unended = self.order, [saga for saga in self.tables.sagas.values() if not saga.ended]
        assert [saga.saga_id for saga in unended] == ([order.active_saga_id] if order.active_saga_id else [])
        for saga in unended:
            assert saga.pending or saga.status is SagaStatus.FAILED
            assert (saga.due_at is None) == (saga.status is SagaStatus.FAILED)
        assert order.order_status not in ENDS or order.active_saga_id is None
        assert order.order_status is not OrderStatus.READY_FOR_PICKUP or order.accept_by
        versions = list(range(1, order.version + 1))
        assert [version for _, version in self.tables.history] == versions
        assert [int(header(event, "ce_sequence")) for event in self.tables.sent if event.topic == ORDER_EVENTS] == versions
        copies = {(header(message, "ce_id"), message) for message in self.tables.sent}
        assert len(copies) == len({id for id, _ in copies}), "every copy of a message is the first one, to the byte"
        assert {letter.error_class for letter in self.tables.dead_letters_kept} <= {"AuthorizationExpired"}

    def check_books(self) -> None:
        """Of an order at rest: what the partners hold is what its statuses say."""
        assert list(disagreements(self.order, self.account)) == []
