"""The path of a saga through its definition: every step, what was sent for it and undone, and what came back. Pure.

Of a command that was settled only its id is kept. Its data are rebuilt as the engine built them: by the definition, from the saga's data
and from the order, of which no later change reaches what a command of an earlier saga was built from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from chalicelib.fields import (
    BOOLEAN,
    COUNT,
    MOMENT,
    NAME,
    OBJECT,
    TEXT,
    TEXTS,
    Field,
    Table,
    among,
    each,
    maybe,
    one_of,
    part,
)
from chalicelib.messages.commands import SendNotification
from chalicelib.messages.envelope import from_json, timestamp
from chalicelib.orders.order import Order
from chalicelib.sagas.awaited import sent_when_written
from chalicelib.sagas.definition import AnyStep, Definition, Exchange, Local, Notify, Step
from chalicelib.sagas.registry import definition_of
from chalicelib.sagas.state import Saga, StepState, StepStatus, Try
from chalicelib.sagas.waits import partner_of, replies_of, written_at

StepKind: TypeAlias = Literal["command", "local", "notice"]


@dataclass(frozen=True)
class ReplyTaken:
    """The reply that settled a command; `at` is None where its time is not known."""

    type: str
    at: str | None
    data: Mapping[str, Any] | None


@dataclass(frozen=True)
class CommandSent:
    """One command id of an exchange. What is None is not known, or not shown; `rebuilt`: the data are not those kept but made anew."""

    command_id: str
    sent_at: str | None
    copies: int | None
    data: Mapping[str, Any] | None
    rebuilt: bool
    reply: ReplyTaken | None


@dataclass(frozen=True)
class ExchangeSeen:
    """An exchange as the definition has it, and what came of it in one saga."""

    command: str
    topic: str
    replies: Sequence[str]
    tries: Sequence[CommandSent] = ()

    @property
    def partner(self) -> str:
        return partner_of(self.topic)


@dataclass(frozen=True)
class PathStep:
    """One step of the definition, and where the saga stands in it."""

    step: StepState
    kind: StepKind
    pivot: bool = False
    action: ExchangeSeen | None = None
    compensation: ExchangeSeen | None = None


REPLY_TAKEN = Table(
    "ReplyTaken",
    "The reply that settled a command.",
    (
        Field("type", "type", TEXT),
        Field("at", "at", maybe(MOMENT), "Null where it is not known."),
        Field("data", "data", maybe(OBJECT), "For admins, else null."),
    ),
)
COMMAND_SENT = Table(
    "CommandSent",
    "One command id: copies have the same.",
    (
        Field("commandId", "command_id", TEXT),
        Field("sentAt", "sent_at", maybe(MOMENT), "When it was written, to be sent at once; null where it is not known."),
        Field("copies", "copies", maybe(COUNT), "How many were sent since it was made or retried; null where it is not known."),
        Field("data", "data", maybe(OBJECT), "For admins, else null."),
        Field("rebuilt", "rebuilt", BOOLEAN, "The data are not those that were sent, which are not kept, but made anew as they were."),
        Field("reply", "reply", maybe(part(REPLY_TAKEN))),
    ),
)
EXCHANGE = Table(
    "Exchange",
    "A command with the replies that settle it, and what came of it.",
    (
        Field("command", "command", TEXT),
        Field("topic", "topic", TEXT),
        Field("partner", "partner", TEXT),
        Field("replies", "replies", TEXTS, "None where nobody answers."),
        Field("tries", "tries", each(COMMAND_SENT), "Oldest first."),
    ),
)
PATH_STEP = Table(
    "PathStep",
    "A step of the saga's definition, in whose order they come. Of a definition that is not known here no exchanges are.",
    (
        Field("step", "step.name", NAME),
        Field("kind", "kind", among(*get_args(StepKind)), "A command, a change of the order, a notice that nobody answers."),
        Field("pivot", "pivot", BOOLEAN, "From here on the saga only goes forward."),
        Field("status", "step.status", one_of(StepStatus)),
        Field("startedAt", "step.started_at", maybe(MOMENT)),
        Field("endedAt", "step.ended_at", maybe(MOMENT)),
        Field("action", "action", maybe(part(EXCHANGE))),
        Field("compensation", "compensation", maybe(part(EXCHANGE))),
    ),
)


def path_of(saga: Saga, order: Order, *, whole: bool) -> tuple[PathStep, ...]:
    """Every step of the saga's definition, in its order; `whole` with the data of commands and replies."""
    definition = definition_of(saga.name, saga.definition_version)
    if definition is None:
        return tuple(PathStep(state, "command" if state.command_id else "local") for state in saga.steps)
    return tuple(_Seen(definition, saga, order, whole).step(step) for step in definition.steps)


class _Seen:
    """A saga looked at step by step."""

    def __init__(self, definition: Definition, saga: Saga, order: Order, whole: bool) -> None:
        self._definition, self._saga, self._order, self._whole = definition, saga, order, whole

    def step(self, step: AnyStep) -> PathStep:
        state = self._saga.step(step.name)
        match step:
            case Local():
                return PathStep(state, "local")
            case Notify():
                return PathStep(state, "notice", action=ExchangeSeen(SendNotification.TYPE, SendNotification.TOPIC, ()))
            case Step():
                undo = self._exchange(step, step.undo, undo=True) if step.undo else None
                return PathStep(state, "command", step.pivot, self._exchange(step, step.ask, undo=False), undo)

    def _exchange(self, step: Step, exchange: Exchange, *, undo: bool) -> ExchangeSeen:
        tries = [self._sent(step, exchange, attempt) for attempt in self._saga.step(step.name).tries if attempt.undo is undo]
        return ExchangeSeen(exchange.command.TYPE, exchange.command.TOPIC, replies_of(exchange), tries)

    def _sent(self, step: Step, exchange: Exchange, attempt: Try) -> CommandSent:
        state, pending = self._saga.step(step.name), self._saga.pending
        kept = pending.message.value if pending and pending.command_id == attempt.command_id else None
        data = from_json(kept) if kept else exchange.build(self._order, self._saga.data).data()
        reply = attempt.reply
        taken = ReplyTaken(reply["type"], self._answered_at(step, attempt), self._shown(reply["data"])) if reply else None
        copies = state.attempts if attempt.command_id == state.command_id else None
        return CommandSent(attempt.command_id, self._sent_at(step, attempt), copies, self._shown(data), kept is None, taken)

    def _shown(self, data: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return data if self._whole else None

    def _sent_at(self, step: Step, attempt: Try) -> str | None:
        """The pending command has its time in it, and a step begins with its first command."""
        state, pending = self._saga.step(step.name), self._saga.pending
        if not sent_when_written(state, attempt.command_id):
            return None
        if pending and pending.command_id == attempt.command_id:
            return timestamp(written_at(pending))
        if attempt.undo:
            return self._undone_from(step)
        return state.started_at if attempt == state.tries[0] else None

    def _undone_from(self, step: Step) -> str | None:
        """When the undo of `step` followed: the step behind it was undone, or failed and so began the compensation."""
        for later in self._definition.after(step.name):
            state = self._saga.step(later.name)
            if state.status is StepStatus.COMPENSATED:
                return state.ended_at
            if isinstance(later, Step) and state.status is StepStatus.FAILED and not later.tries_again:
                return state.ended_at
        return None

    def _answered_at(self, step: Step, attempt: Try) -> str | None:
        """A step ends with its last reply. Where it was undone later, the one reply to its action began the step behind it."""
        state = self._saga.step(step.name)
        if attempt == state.tries[-1]:
            return state.ended_at
        actions = [each for each in state.tries if not each.undo]
        behind = self._definition.after(step.name)
        if actions == [attempt] and behind and attempt.reply and attempt.reply["type"] == step.ask.done.TYPE:
            return self._saga.step(behind[0].name).started_at
        return None
