"""create_order against the simulated partners' own rules, with copies, delays, losses and time-outs in any order: what must hold, holds."""

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.messages.commands import COMMANDS
from chalicelib.messages.envelope import Outgoing, from_json
from chalicelib.messages.replies import Reply
from chalicelib.messages.topics import ESCROW_COMMANDS, PAYMENT_COMMANDS, USER_COMMANDS
from chalicelib.sagas.create_order import CREATE_ORDER
from chalicelib.sagas.retry import RetryPolicy
from chalicelib.sagas.state import SagaStatus
from chalicelib.sagas.verdict import Verdict, judge
from infra.partners.accounts import Account
from infra.partners.decisions import Attempt, decide
from tests.support.examples import POLICY, an_order
from tests.support.saga_language import Story, header

TOPICS = (USER_COMMANDS, PAYMENT_COMMANDS, ESCROW_COMMANDS)


@dataclass
class World:
    """A saga, the partners' books, and the replies on their way. Commands of a topic are worked in order, replies come in any."""

    story: Story
    account: Account = field(init=False)
    worked: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TOPICS, 0))
    answers: dict[str, Reply | None] = field(default_factory=dict)
    under_way: list[tuple[str, Reply]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.account = Account(str(self.story.order.order_id))

    def commands(self, topic: str) -> list[Outgoing]:
        return [message for message in self.story.sent if message.topic == topic]

    def work(self, topic: str) -> None:
        """The partner takes the next record of its topic."""
        waiting = self.commands(topic)[self.worked[topic] :]
        if waiting:
            self.worked[topic] += 1
            self.answer(waiting[0])

    def work_again(self, topic: str) -> None:
        """The partner crashed before it noted how far it was, and takes its last record again."""
        self.worked[topic] = max(0, self.worked[topic] - 1)
        self.work(topic)

    def answer(self, command: Outgoing) -> None:
        id = header(command, "ce_id")
        if id not in self.answers:
            asked = COMMANDS[header(command, "ce_type")].read(from_json(command.value or b""))
            decision = decide(self.account, asked, Attempt(header(command, "ce_sagaid"), f"of_{id}"))
            self.account, self.answers[id] = decision.account, decision.reply
        reply = self.answers[id]
        if reply is not None:
            self.under_way.append((id, reply))

    def deliver(self, number: int) -> None:
        """Some reply comes; it stays under way, so that it may come again at any time."""
        if self.under_way:
            causation_id, reply = self.under_way[number % len(self.under_way)]
            verdict = judge(CREATE_ORDER, self.story.saga, self.story.order, reply, causation_id)
            assert verdict in (Verdict.TAKEN, Verdict.STALE), f"{reply!r} {verdict.value}"
            if verdict is Verdict.TAKEN:
                self.story.takes(reply)

    def time_out(self) -> None:
        if self.story.saga.due_at:
            self.story.times_out()

    def defer(self) -> None:
        if self.story.saga.due_at:
            self.story.is_deferred()

    def cancel(self) -> None:
        if self.story.saga.status is SagaStatus.RUNNING:
            self.story.is_cancelled()

    def settle(self) -> None:
        """Everybody is at work again: all commands are worked, all replies come, the clock goes on."""
        for _ in range(50):
            for topic in TOPICS:
                for _ in self.commands(topic):
                    self.work(topic)
            for number in range(len(self.under_way)):
                self.deliver(number)
            if self.story.saga.ended and all(self.worked[topic] == len(self.commands(topic)) for topic in TOPICS):
                return
            if not any(causation_id == self.awaited for causation_id, _ in self.under_way):
                self.time_out()
        raise AssertionError(f"the saga is stuck: {self.story.saga}")

    @property
    def awaited(self) -> str | None:
        return self.story.saga.pending.command_id if self.story.saga.pending else None


ACTS = st.one_of(
    st.tuples(st.just("work"), st.sampled_from(TOPICS)),
    st.tuples(st.just("work_again"), st.sampled_from(TOPICS)),
    st.tuples(st.just("deliver"), st.integers(0, 20)),
    st.tuples(st.sampled_from(["time_out", "time_out", "time_out", "defer", "cancel"])),
)
CUSTOMERS = st.sampled_from(["cust_1", "cust_1", "declined_1", "rejected_1", "noescrow_1", "silent_1"])


@settings(max_examples=300, deadline=None)
@given(customer=CUSTOMERS, attempts=st.integers(1, 3), acts=st.lists(ACTS, max_size=40))
def test_any_run_ends_and_leaves_no_money_behind(customer: str, attempts: int, acts: list[tuple[str, ...]]) -> None:
    world = World(Story(CREATE_ORDER, an_order(customer_id=customer), RetryPolicy(POLICY.timeout, attempts)))
    for name, *arguments in acts:
        getattr(world, name)(*arguments)

    world.settle()

    order = world.story.order
    authorized = [payment for payment in world.account.payments if payment.status == "AUTHORIZED"]
    held = [hold for hold in world.account.holds if hold.status == "HELD"]
    if order.order_status == "CANCELLED":
        assert (authorized, held) == ([], [])
        assert order.payment_status in ("FAILED", "RELEASED")
        return
    assert (order.order_status, order.payment_status) == ("READY_FOR_PICKUP", "AUTHORIZED")
    assert [(payment.payment_id, payment.amount) for payment in authorized] == [(order.payment_id, order.total)]
    assert [(hold.escrow_id, hold.amount) for hold in held] == [(order.escrow_id, order.total)]
    assert customer == "cust_1"
