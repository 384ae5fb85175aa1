"""What a saga waits for: the pending command, who has to answer it by what, and what follows if nobody does. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias, get_args

from chalicelib.fields import BOOLEAN, COUNT, NAME, NUMBER, OBJECT, TEXT, TEXTS, TIME, Field, Kind, Table, among, maybe
from chalicelib.messages.envelope import from_json
from chalicelib.sagas.definition import Definition
from chalicelib.sagas.registry import definition_of
from chalicelib.sagas.retry import RetryPolicy
from chalicelib.sagas.state import Pending, Saga, SagaStatus, StepState
from chalicelib.sagas.waits import Unpublished, last_sent, partner_of, replies_of, written_at

Next: TypeAlias = Literal["resend", "compensate", "suspend", "try-again", "none"]


@dataclass(frozen=True)
class WaitsFor:
    """The pending command: who has to answer it by what, what was sent when, and what follows if nobody does."""

    pending: Pending
    replies: Sequence[str]
    attempts: int
    first_sent_at: datetime | None
    last_sent_at: datetime | None
    last_sent_estimated: bool
    due_at: datetime | None
    next: Next
    unpublished_since: datetime | None
    value: Any
    headers: Sequence[Sequence[str]]

    @property
    def partner(self) -> str:
        return partner_of(self.pending.message.topic)

    @property
    def command(self) -> str:
        return _header(self.pending, "ce_type")


WAITS_FOR = Table(
    "WaitsFor",
    "The command that the saga awaits a reply to.",
    (
        Field("step", "pending.step", NAME),
        Field("undo", "pending.undo", BOOLEAN),
        Field("partner", "partner", TEXT),
        Field("command", "command", TEXT),
        Field("topic", "pending.message.topic", TEXT),
        Field("commandId", "pending.command_id", TEXT),
        Field("replies", "replies", TEXTS),
        Field("attempt", "pending.attempts", COUNT, "How many copies were sent; 0 where a new try has yet to go out."),
        Field("attempts", "attempts", NUMBER, "How many copies are sent at most."),
        Field("firstSentAt", "first_sent_at", maybe(TIME)),
        Field("lastSentAt", "last_sent_at", maybe(TIME)),
        Field("lastSentEstimated", "last_sent_estimated", BOOLEAN, "Later copies' times are not kept: they follow from the deadline."),
        Field("dueAt", "due_at", maybe(TIME), "Null where the saga is suspended."),
        Field("next", "next", among(*get_args(Next)), "What follows at `dueAt` if nobody answers."),
        Field("unpublishedSince", "unpublished_since", maybe(TIME), "Since when the command waits in the outbox, if it does."),
        Field("value", "value", maybe(OBJECT), "The command's data. For admins, else null."),
        Field("headers", "headers", Kind({"type": "array", "items": TEXTS.schema}), "For admins, else empty."),
    ),
)


def what_it_waits_for(saga: Saga, policy: RetryPolicy, unpublished: Unpublished | None, *, whole: bool) -> WaitsFor | None:
    """The pending command; None where there is none. `whole` with its data."""
    pending = saga.pending
    if pending is None:
        return None
    definition = definition_of(saga.name, saga.definition_version)
    known = pending.attempts and saga.due_at and not unpublished
    sent_at, estimated = last_sent(saga, pending, policy) if known else (None, False)
    began = sent_when_written(saga.step(pending.step), pending.command_id) and not (unpublished and pending.attempts == 1)
    return WaitsFor(
        pending=pending,
        replies=replies_of(definition.exchange_of(pending)) if definition else (),
        attempts=policy.attempts,
        first_sent_at=written_at(pending) if began else None,
        last_sent_at=sent_at,
        last_sent_estimated=estimated,
        due_at=saga.due_at,
        next=_next(definition, saga, pending, policy),
        unpublished_since=unpublished.since if unpublished else None,
        value=from_json(pending.message.value or b"{}") if whole else None,
        headers=[[name, value.decode()] for name, value in pending.message.headers] if whole else [],
    )


def _next(definition: Definition | None, saga: Saga, pending: Pending, policy: RetryPolicy) -> Next:
    if definition is None or saga.status is SagaStatus.FAILED:
        return "none"
    if pending.attempts == 0:
        return "try-again"
    if not policy.exhausted(pending.attempts):
        return "resend"
    return "suspend" if pending.undo or definition.past_pivot(saga.steps) else "compensate"


def sent_when_written(state: StepState, command_id: str) -> bool:
    """Whether the command went out when it was made: a new try after a refusal may have been made long before."""
    before = [attempt for attempt in state.tries if attempt.undo is _is_undo(state, command_id)]
    return before[0].command_id == command_id


def _is_undo(state: StepState, command_id: str) -> bool:
    return any(attempt.undo for attempt in state.tries if attempt.command_id == command_id)


def _header(pending: Pending, name: str) -> str:
    return dict(pending.message.headers)[name].decode()
