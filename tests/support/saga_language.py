"""A small language for saga tests: given a saga on an order, expect a command, answer it, expect what follows.

    story = Story(CREATE_ORDER, an_order())
    story.expects("user.validate_customer", customerId="cust_1")
    story.answers("user.customer_rejected")
    story.tells("ORDER_REFUSED", "CUSTOMER")
    story.ends(SagaStatus.COMPENSATED, order="CANCELLED", payment="FAILED", error="rejected")

There is no database: the story does in memory what the engine does between reading and writing. After every outcome it checks what
must hold of any saga at any time (`_check`), so a test need not say it.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

from chalicelib.messages.commands import COMMANDS
from chalicelib.messages.envelope import Outgoing, from_json
from chalicelib.messages.replies import REPLIES, Reply
from chalicelib.orders.changes import Cause, change
from chalicelib.orders.order import Order, OrderStatus
from chalicelib.sagas.definition import Definition
from chalicelib.sagas.outcomes import Answered, CompensationRequested, Deferred, IdSource, Outcome, Retried, Started, TimedOut
from chalicelib.sagas.planner import plan
from chalicelib.sagas.retry import RetryPolicy
from chalicelib.sagas.state import ErrorCode, Saga, SagaError, SagaStatus
from chalicelib.sagas.verdict import Verdict, judge
from tests.support.examples import CONTEXT, NOW, POLICY, a_moment, a_saga

# What a partner says of its own where a test doesn't care.
SAID: dict[str, Any] = {
    "paymentMethodId": "pm_1",
    "payoutAccountId": "acct_1",
    "paymentId": "pay_1",
    "escrowId": "esc_1",
    "reason": "because",
}

# What each command asks for, and how it can be refused, as the contract has it: said here once more, not read from the definitions.
WILLING = {
    "user.validate_customer": "user.customer_validated",
    "user.validate_runner": "user.runner_validated",
    "payment.authorize": "payment.authorized",
    "payment.release": "payment.released",
    "payment.capture": "payment.captured",
    "payment.refund": "payment.refunded",
    "escrow.hold": "escrow.held",
    "escrow.assign_runner": "escrow.runner_assigned",
    "escrow.unassign_runner": "escrow.runner_unassigned",
    "escrow.release": "escrow.released",
    "escrow.refund": "escrow.refunded",
}
UNWILLING = {
    "user.validate_customer": "user.customer_rejected",
    "user.validate_runner": "user.runner_rejected",
    "payment.authorize": "payment.declined",
    "payment.capture": "payment.capture_failed",
    "escrow.hold": "escrow.hold_failed",
    "escrow.assign_runner": "escrow.runner_assignment_failed",
    "escrow.release": "escrow.release_failed",
}


class Story:
    """One saga on one order, told outcome by outcome, a second apart unless it has to wait."""

    def __init__(self, definition: Definition, order: Order, policy: RetryPolicy = POLICY, data: Mapping[str, str] | None = None) -> None:
        self._open(definition, policy)
        self._order: Order | None = None if order.order_status is OrderStatus.CREATED else order
        self.saga = a_saga(definition, order_id=order.order_id, data=data or {})
        self._happens(Started(), replace(order, active_saga_id=self.saga.saga_id))

    @classmethod
    def resumed(cls, definition: Definition, order: Order, saga: Saga, policy: RetryPolicy = POLICY) -> "Story":
        """A story whose beginning was told elsewhere: the saga rests where it rests, and what it awaits is the last thing it sent."""
        story = cls.__new__(cls)
        story._open(definition, policy)
        story.now = max(NOW, order.updated_at)
        story._order, story.saga = order, saga
        if saga.pending:
            story.sent.append(saga.pending.message)
            story._by_id[saga.pending.command_id] = saga.pending.message
        return story

    def _open(self, definition: Definition, policy: RetryPolicy) -> None:
        self.definition = definition
        self.policy = policy
        self.now = NOW
        self.sent: list[Outgoing] = []
        self.events: list[Outgoing] = []
        self._unread: list[Outgoing] = []
        self._by_id: dict[str, Outgoing] = {}
        self._undone: list[str] = []
        self._numbers = count(1)

    @property
    def order(self) -> Order:
        assert self._order is not None
        return self._order

    @property
    def awaited(self) -> Outgoing:
        """The command that the saga rests on."""
        assert self.saga.pending, f"the saga is {self.saga.status} and awaits nothing"
        return self.saga.pending.message

    # What the saga is seen to do

    def expects(self, type: str, **data: Any) -> None:
        """The next thing the saga did was to send this command, with at least this data, and it rests on it."""
        message = self._read()
        said = from_json(message.value or b"")
        assert (header(message, "ce_type"), {name: said.get(name) for name in data}) == (type, data)
        assert message.topic == COMMANDS[type].TOPIC
        assert message == self.awaited

    def tells(self, type: str, recipient: str) -> None:
        """The next thing the saga did was to notify somebody."""
        message = self._read()
        said = from_json(message.value or b"")
        assert (header(message, "ce_type"), said["notificationType"], said["recipientType"]) == ("notification.send", type, recipient)

    def has_order(self, *, order: str, payment: str, **fields: Any) -> None:
        """The order's two statuses, and further fields by their names in Python."""
        assert (self.order.order_status, self.order.payment_status) == (order, payment)
        assert {name: getattr(self.order, name) for name in fields} == fields

    def has_steps(self, **statuses: str) -> None:
        assert {name: self.saga.step(name).status.value for name in statuses} == statuses

    def ends(self, status: SagaStatus, *, order: str, payment: str, error: str | None = None) -> None:
        """Everything the saga sent has been told, and it has ended like this."""
        assert (self.saga.status, self.saga.error and self.saga.error.code.value) == (status, error)
        assert self.saga.ended
        assert not self._unread, f"more was sent: {[header(message, 'ce_type') for message in self._unread]}"
        self.has_order(order=order, payment=payment)

    def is_suspended(self, *, error: str) -> None:
        """The saga is FAILED: it holds its order and waits for a late reply or an operator."""
        assert (self.saga.status, self.saga.error and self.saga.error.code.value) == (SagaStatus.FAILED, error)
        assert not self._unread

    # What happens to it

    def answers(self, type: str, **data: Any) -> None:
        """The partner answers the awaited command, and the reply is taken."""
        verdict, reply = self._judged(type, self.awaited, data)
        assert verdict is Verdict.TAKEN, f"{reply!r} {verdict.value}"
        self.takes(reply)

    def takes(self, reply: Reply) -> None:
        """A reply that was judged TAKEN is taken."""
        awaited = header(self.awaited, "ce_id")
        self._happens(Answered(reply, self._new_id()), self.order)
        assert not self.saga.pending or self.saga.pending.command_id != awaited, "a reply that was taken leaves its id awaited"

    def finds(self, type: str, verdict: Verdict, *, to: str | None = None, **data: Any) -> None:
        """A reply comes (to the last command of type `to`, or to the awaited one) and is judged like this: it changes nothing."""
        command = self.awaited if to is None else self.command(to)
        judged, _ = self._judged(type, command, data)
        assert judged is verdict

    def judges(self, reply: Reply, causation_id: str) -> Verdict:
        """What a reply to the command of that id would be to the saga now."""
        return judge(self.definition, self.saga, self.order, reply, causation_id)

    def is_done(self) -> None:
        """The partner does what the awaited command asks for, and says so."""
        self.answers(WILLING[header(self.awaited, "ce_type")])

    def is_refused(self) -> None:
        """The partner refuses the awaited command; raises KeyError where it has no refusal."""
        self.answers(UNWILLING[header(self.awaited, "ce_type")])

    def command(self, type: str) -> Outgoing:
        """The last command of that type."""
        return [message for message in self.sent if header(message, "ce_type") == type][-1]

    def times_out(self) -> None:
        """Nobody answers until the awaited command is due."""
        assert self.saga.due_at, "nothing is due"
        self.now = self.saga.due_at
        self._happens(TimedOut(), self.order)

    def is_swept_late(self) -> None:
        """A sweep that read the saga when its command was due comes to it only now."""
        self._happens(TimedOut(), self.order)

    def falls_silent(self) -> None:
        """No copy of the awaited command is ever answered; each further copy is the first one, to the byte."""
        first, attempts = self.awaited, self.policy.attempts - self._attempts()
        for _ in range(attempts):
            self.times_out()
            assert self._read() == first
        self.times_out()

    def is_deferred(self) -> None:
        """By its deadline the awaited command had not even left the outbox."""
        assert self.saga.due_at, "nothing is due"
        self.now = self.saga.due_at
        self._happens(Deferred(), self.order)

    def is_cancelled(self, reason: str | None = None, code: ErrorCode = ErrorCode.CANCELLED) -> None:
        self._happens(
            CompensationRequested(SagaError(code, "somebody asked for it"), {"cancel_reason": reason} if reason else {}), self.order
        )

    def is_retried(self) -> None:
        """An operator has the suspended saga go on."""
        self._happens(Retried(), self.order)

    # The machinery

    def _happens(self, outcome: Outcome, order: Order) -> None:
        self.now += timedelta(seconds=1)
        ids = IdSource(self._new_id, jitter=0)
        planned = plan(self.definition, self.saga, order, outcome, a_moment(self.now, self.policy), ids)
        if planned.order != self._order:
            made = change(self._order, planned.order, Cause("system", CONTEXT, self.saga.saga_id), event_id=ids.id(0), now=self.now)
            self._order = made.order
            self.events.append(made.event)
        self.saga = planned.saga
        for message in planned.send:
            self._send(message)
        self._check()

    def _send(self, message: Outgoing) -> None:
        id, pending = header(message, "ce_id"), self.saga.pending
        if id in self._by_id:
            assert message == self._by_id[id], "a resend keeps id and bytes"
            assert message == self.awaited, "only what is awaited is sent again"
        elif pending and pending.command_id == id and pending.undo:
            self._undone.append(pending.step)
        self._by_id[id] = message
        self.sent.append(message)
        self._unread.append(message)

    def _check(self) -> None:
        """What holds of any saga after any outcome."""
        saga, order = self.saga, self.order
        names = [step.name for step in self.definition.steps]
        assert [step.name for step in saga.steps] == names
        if saga.ended:
            assert (saga.pending, saga.due_at, order.active_saga_id) == (None, None, None)
            assert saga.ended_at == self.now
        else:
            suspended = saga.status is SagaStatus.FAILED
            assert (saga.pending or suspended) and saga.ended_at is None, "a saga that has not ended rests on a command, or is suspended"
            assert (saga.due_at is None) == suspended, "it has a deadline unless it is suspended"
            assert saga.due_at is None or saga.due_at > self.now
            assert order.active_saga_id == saga.saga_id
            assert not saga.pending or saga.step(saga.pending.step).command_id == saga.pending.command_id
        ids = [attempt.command_id for step in saga.steps for attempt in step.tries]
        assert len(ids) == len(set(ids)), "action and undo have ids of their own"
        positions = [names.index(name) for name in self._undone]
        assert positions == sorted(set(positions), reverse=True), "undone once each, last first"
        versions = [int(header(event, "ce_sequence")) for event in self.events]
        assert not versions or versions == list(range(versions[0], order.version + 1)), "one event a version, without gaps"

    def _judged(self, type: str, command: Outgoing, data: dict[str, Any]) -> tuple[Verdict, Reply]:
        reply = reply_to(command, self.order, type, **data)
        return self.judges(reply, header(command, "ce_id")), reply

    def _read(self) -> Outgoing:
        assert self._unread, f"nothing more was sent; the saga is {self.saga.status}"
        return self._unread.pop(0)

    def _attempts(self) -> int:
        return self.saga.pending.attempts if self.saga.pending else 0

    def _new_id(self) -> str:
        return f"id-{next(self._numbers)}"


def reply_to(command: Outgoing, order: Order, type: str, **data: Any) -> Reply:
    """A reply of that type that fits the command and the order, but for `data` (names as on the wire)."""
    kind = REPLIES[type]
    of_order = {"orderId": str(order.order_id), "customerId": order.customer_id, "runnerId": order.runner_id, "amount": order.total}
    known = {**SAID, **of_order, **from_json(command.value or b""), **data}
    names = [field.alias for field in kind.model_fields.values() if field.alias]
    return kind.read({name: known[name] for name in names if known.get(name) is not None})


def header(message: Outgoing, name: str) -> str:
    """The text of a header; raises KeyError where there is none."""
    return dict(message.headers)[name].decode()
