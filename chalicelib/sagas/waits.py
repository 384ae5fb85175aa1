"""What a saga waits for, in one sentence: pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from chalicelib.messages.envelope import timestamp
from chalicelib.sagas.definition import Definition, Exchange
from chalicelib.sagas.registry import definition_of
from chalicelib.sagas.retry import JITTER, RetryPolicy
from chalicelib.sagas.state import Pending, Saga, SagaStatus


@dataclass(frozen=True)
class Unpublished:
    """The pending command, if it still stands in the outbox: since when, and how often the broker refused it."""

    since: datetime
    failures: int


def waits_for(saga: Saga, now: datetime, policy: RetryPolicy, unpublished: Unpublished | None = None) -> str:
    """What a saga waits for, or how it ended; `policy` is what the stack sends copies by."""
    error = saga.error.detail if saga.error else "of unknown reasons"
    if saga.ended:
        ended = timestamp(saga.ended_at) if saga.ended_at else "an unknown time"
        return f"ended well at {ended}" if saga.status is SagaStatus.COMPLETED else f"ended undone at {ended}, because {error}"
    definition = definition_of(saga.name, saga.definition_version)
    if definition is None:
        return f"waits for a release that knows {saga.name} version {saga.definition_version}: this code leaves it alone"
    if saga.pending is None:
        return _without_command(saga, error)
    if saga.status is SagaStatus.FAILED:
        awaited = _awaited(definition, saga.pending)
        return f"suspended: timed out ({error}): still waits for {awaited}, and goes on by itself when it comes; an operator may retry"
    undoing = f"; it is being undone because {error}" if saga.status is SagaStatus.COMPENSATING else ""
    return _for_whom(definition, saga, saga.pending, now, policy, unpublished) + undoing


def duration(span: timedelta) -> str:
    """A span for people: its two largest units."""
    seconds = max(0, round(span.total_seconds()))
    units = {"d": seconds // 86400, "h": seconds // 3600 % 24, "min": seconds // 60 % 60, "s": seconds % 60}
    parts = [f"{number} {unit}" for unit, number in units.items() if number]
    return " ".join(parts[:2]) or "0 s"


def _without_command(saga: Saga, error: str) -> str:
    if saga.status is SagaStatus.FAILED:
        return f"suspended: refused: an operator must retry or compensate ({error})"
    return "waits for nothing, which must never be: `make audit` says more"


def _for_whom(
    definition: Definition, saga: Saga, pending: Pending, now: datetime, policy: RetryPolicy, unpublished: Unpublished | None
) -> str:
    if unpublished:
        refused = f", which refused it {unpublished.failures} times" if unpublished.failures else ""
        return f"waits for the broker{refused}: {_type(pending)} is in the outbox for {duration(now - unpublished.since)}"
    if pending.attempts == 0:
        when = _in(saga.due_at, now)
        return f"waits to try {pending.step} again, which was refused {_refusals(saga, pending)} times: the next try goes out {when}"
    return f"waits for {_awaited(definition, pending)}; {_copies(definition, saga, pending, now, policy)}"


def _awaited(definition: Definition, pending: Pending) -> str:
    return f"{' or '.join(replies_of(definition.exchange_of(pending)))} from {partner_of(pending.message.topic)}"


def replies_of(exchange: Exchange) -> list[str]:
    """The types of the replies that settle the command, the good one first."""
    return [reply.TYPE for reply in (exchange.done, exchange.refused) if reply]


def partner_of(topic: str) -> str:
    """Who takes the commands of that topic."""
    return topic.removesuffix("-commands")


def _copies(definition: Definition, saga: Saga, pending: Pending, now: datetime, policy: RetryPolicy) -> str:
    copy = f"copy {pending.attempts} of {policy.attempts} was sent {_sent(saga, pending, now, policy)} ago"
    if saga.due_at and saga.due_at <= now:
        return f"{copy}; its time is over for {duration(now - saga.due_at)}, and the next sweep takes notice"
    when = _in(saga.due_at, now)
    if not policy.exhausted(pending.attempts):
        return f"{copy}; next copy {when}"
    forward = pending.undo or definition.past_pivot(saga.steps)
    return f"{copy}, the last one; without an answer it is {'suspended' if forward else 'compensated'} {when}"


def last_sent(saga: Saga, pending: Pending, policy: RetryPolicy) -> tuple[datetime, bool]:
    """When the latest copy of the pending command went out, and whether that is an estimate.

    Only the first one's time is kept, as the message's own; a later one's follows from its deadline.
    """
    wait = policy.wait(pending.attempts, 0)
    made = written_at(pending)
    if saga.due_at is None or (pending.attempts == 1 and saga.due_at - made <= wait * (1 + JITTER) + timedelta(seconds=1)):
        return made, False
    return saga.due_at - wait, True


def written_at(pending: Pending) -> datetime:
    """When the pending command was made."""
    return datetime.fromisoformat(dict(pending.message.headers)["ce_time"].decode())


def _sent(saga: Saga, pending: Pending, now: datetime, policy: RetryPolicy) -> str:
    at, estimated = last_sent(saga, pending, policy)
    return f"{'about ' if estimated else ''}{duration(now - at)}"


def _refusals(saga: Saga, pending: Pending) -> int:
    """How often the pending step was answered; it waits for a new try, so each answer was a refusal."""
    return sum(1 for attempt in saga.step(pending.step).tries if attempt.reply)


def _type(pending: Pending) -> str:
    return dict(pending.message.headers)["ce_type"].decode()


def _in(due_at: datetime | None, now: datetime) -> str:
    if due_at is None:
        return "at no time"
    return f"in {duration(due_at - now)}" if due_at > now else "with the next sweep"
