"""`make why SAGA=…` or `ORDER=…`: all that is known of one saga on one screen, and in a sentence at its top what it waits for."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chalicelib.messages.envelope import timestamp
from chalicelib.messages.wire import id_of
from chalicelib.orders.order import Order
from chalicelib.sagas.queries import SagaFilters, list_sagas, read_with_order
from chalicelib.sagas.retry import RetryPolicy
from chalicelib.sagas.state import Saga, StepState, Try
from chalicelib.sagas.waits import Unpublished, duration, waits_for
from infra.console import complain, say
from infra.stack.checks import hidden, reason
from infra.stack.running import NotRunningError, operator_session, target_database, target_settings, telling

MOST_ROWS = 10
EXAMPLE = "for example: make why SAGA=0192…, or make why ORDER=0192…"
Row = Mapping[str, Any]

CLOCK = sa.text("SELECT clock_timestamp()")
SETBACKS = sa.text("SELECT setbacks FROM campusg.sagas WHERE saga_id = :saga_id")
OUTBOX = sa.text("""
    SELECT id, message_id, topic, created_at, failures, not_before FROM campusg.outbox
    WHERE ordering_key = :order_id ORDER BY id LIMIT :most""")
DEAD_LETTERS = sa.text("""
    SELECT dead_letter_id, topic, partition, "offset", type, error_class, error, at, redriven_at,
        dismissed_at, dismissed_by, dismiss_reason
    FROM campusg.dead_letters
    WHERE saga_id = :saga_id OR order_id = :order_id ORDER BY at DESC LIMIT :most""")


class UnknownError(Exception):
    """There is no such saga or order; the message says which."""


@dataclass(frozen=True)
class Known:
    """All that the tables say of one saga, seen at one moment."""

    now: datetime
    saga: Saga
    order: Order
    setbacks: int
    outbox: Sequence[Row]
    dead_letters: Sequence[Row]
    others: Sequence[Saga]


def why() -> int:
    """Print the screen for SAGA, or for the newest saga of ORDER; return the exit code."""
    try:
        kind, id = _asked(os.environ)
        url = target_database()
        policy = _policy()
    except (NotRunningError, ValueError) as error:
        complain(f"make why: {error}")
        return 1
    try:
        with telling("reading"), operator_session(url) as session:
            known = look(session, **{kind: id})
    except UnknownError as error:
        complain(f"make why: {error} in {hidden(url)}")
        return 1
    except (sa.exc.SQLAlchemyError, OSError) as error:
        complain(f"make why: {hidden(url)}: {reason(error)}")
        return 1
    say(*screen(known, policy))
    return 0


def look(session: sa.Connection, *, saga_id: UUID | None = None, order_id: UUID | None = None) -> Known:
    """Read one saga, or the newest one of an order; locks nothing. Raises UnknownError."""
    if order_id:
        newest = list_sagas(session, SagaFilters(order_id=order_id), 1)
        if not newest:
            raise UnknownError(f"there is no saga of an order {order_id}")
        saga_id = newest[0].saga_id
    seen = read_with_order(session, saga_id) if saga_id else None
    if seen is None:
        raise UnknownError(f"there is no saga {saga_id}")
    ids = {"saga_id": seen.saga.saga_id, "order_id": seen.order.order_id, "most": MOST_ROWS}
    return Known(
        now=session.execute(CLOCK).scalar_one(),
        saga=seen.saga,
        order=seen.order,
        setbacks=session.execute(SETBACKS, ids).scalar_one(),
        outbox=[dict(row) for row in session.execute(OUTBOX, ids).mappings()],
        dead_letters=[dict(row) for row in session.execute(DEAD_LETTERS, ids).mappings()],
        others=[each for each in list_sagas(session, SagaFilters(order_id=seen.order.order_id), MOST_ROWS) if each != seen.saga],
    )


def screen(known: Known, policy: RetryPolicy) -> list[str]:
    """The screen's lines."""
    saga = known.saga
    sections = {
        "saga": _saga(known),
        "error": [f"{saga.error.code}: {saga.error.detail}" if saga.error else "none"],
        "order": _order(known.order, saga),
        "steps": _steps(saga.steps),
        "pending": _pending(saga),
        "timer": _timer(known),
        "outbox": [_queued(row, known.now) for row in known.outbox] or ["nothing waits"],
        "dead letters": [_dead(row) for row in known.dead_letters] or ["none"],
        "other sagas": [f"{each.saga_id}  {each.name:<17}  {each.status}" for each in known.others] or ["none"],
    }
    lines = [f"{saga.name} {saga.saga_id}", f"  {waits_for(saga, known.now, policy, _unpublished(known))}", ""]
    for title, section in sections.items():
        lines += [f"{heading:<13} {line}".rstrip() for heading, line in zip([title, *[""] * len(section)], section, strict=False)]
    return lines


def _asked(environment: Mapping[str, str]) -> tuple[str, UUID]:
    given = {name: environment.get(name, "").strip() for name in ("SAGA", "ORDER")}
    named = [(name, text) for name, text in given.items() if text]
    if len(named) != 1:
        raise ValueError(f"name one saga or one order; {EXAMPLE}")
    name, text = named[0]
    try:
        return f"{name.lower()}_id", id_of(text)
    except ValueError:
        raise ValueError(f"{name} must be a UUID, not {text!r}; {EXAMPLE}") from None


def _policy() -> RetryPolicy:
    settings = target_settings()
    return RetryPolicy(timedelta(seconds=settings.step_timeout_seconds), settings.step_max_attempts)


def _saga(known: Known) -> list[str]:
    saga = known.saga
    ended = f"ended {timestamp(saga.ended_at)}" if saga.ended_at else f"runs for {duration(known.now - saga.started_at)}"
    return [
        f"{saga.status} at {saga.current_step or 'its end'}, version {saga.definition_version}",
        f"started {timestamp(saga.started_at)}, {ended}, correlation {saga.context.correlation_id}",
        f"data {json.dumps(dict(saga.data), ensure_ascii=False)}",
    ]


def _order(order: Order, saga: Saga) -> list[str]:
    holder = "this saga" if order.active_saga_id == saga.saga_id else f"saga {order.active_saga_id}" if order.active_saga_id else "no saga"
    people = f"customer {order.customer_id}, runner {order.runner_id or 'none'}"
    return [
        f"{order.order_id}  {order.order_status}, payment {order.payment_status}, {order.currency} {order.total}, version {order.version}",
        f"held by {holder}; {people}; payment {order.payment_id or 'none'}, escrow {order.escrow_id or 'none'}",
    ]


def _steps(steps: Iterable[StepState]) -> list[str]:
    lines = [f"{'name':<18} {'status':<12} {'copies':>6}  {'started':<24}  {'ended':<24}  replies"]
    for step in steps:
        replies = ", ".join(_reply(attempt) for attempt in step.tries)
        times = f"{step.started_at or '-':<24}  {step.ended_at or '-':<24}"
        lines.append(f"{step.name:<18} {step.status:<12} {step.attempts:>6}  {times}  {replies}")
    return lines


def _reply(attempt: Try) -> str:
    kind = "undo: " if attempt.undo else ""
    return f"{kind}{attempt.reply['type'] if attempt.reply else 'none yet'}"


def _pending(saga: Saga) -> list[str]:
    if saga.pending is None:
        return ["no command"]
    headers = {name: value.decode() for name, value in saga.pending.message.headers}
    return [
        f"{headers['ce_type']} {saga.pending.command_id} on {saga.pending.message.topic}, {saga.pending.attempts} copies so far",
        (saga.pending.message.value or b"").decode(),
    ]


def _timer(known: Known) -> list[str]:
    due_at = known.saga.due_at
    if due_at is None:
        return ["not set"]
    when = f"in {duration(due_at - known.now)}" if due_at > known.now else f"{duration(known.now - due_at)} ago"
    return [f"due at {timestamp(due_at)}, {when}; set back {known.setbacks} times"]


def _queued(row: Row, now: datetime) -> str:
    later = f", not before {timestamp(row['not_before'])}" if row["not_before"] else ""
    return f"{row['topic']} {row['message_id']} waits for {duration(now - row['created_at'])}, {row['failures']} failures{later}"


def _dead(row: Row) -> str:
    settled = f", redriven {timestamp(row['redriven_at'])}" if row["redriven_at"] else ", waits to be redriven or dismissed"
    if row["dismissed_at"]:
        settled = f", dismissed {timestamp(row['dismissed_at'])} by {row['dismissed_by']}: {row['dismiss_reason']}"
    place = f"{row['topic']}/{row['partition']}/{row['offset']}"
    return f"{timestamp(row['at'])} {row['type'] or 'no type'} at {place}: {row['error_class']}: {row['error'][:200]}{settled}"


def _unpublished(known: Known) -> Unpublished | None:
    pending = known.saga.pending
    found = [row for row in known.outbox if pending and row["message_id"] == pending.command_id]
    return Unpublished(found[0]["created_at"], found[0]["failures"]) if found else None
