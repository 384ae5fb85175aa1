"""What log and metrics say of sagas: told once the transaction that moved them has committed."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chalicelib.observability import count, measure, metrics_are_written, tell
from chalicelib.sagas.outcomes import Answered, CompensationRequested, Deferred, Outcome, Retried, Started, TimedOut
from chalicelib.sagas.state import RESTING, Saga, SagaStatus

OUTCOMES = {
    Started: "started",
    TimedOut: "timed out",
    Deferred: "not published yet",
    CompensationRequested: "compensation requested",
    Retried: "retried",
}


@dataclass(frozen=True)
class Move:
    """A saga before (None: it is new) and after something happened to it."""

    before: Saga | None
    after: Saga
    outcome: Outcome

    @property
    def comes_to_rest(self) -> bool:
        """Whether the saga has just ended, or was suspended."""
        return self.after.status in RESTING and (self.before is None or self.before.status is not self.after.status)


def report(moves: Sequence[Move], now: datetime) -> None:
    """Log a line for each move, and count ends, answers, copies and silence."""
    tell(_line(move) for move in moves)
    if metrics_are_written():
        _count_ends(moves)
        _count_steps(moves, now)


def _line(move: Move) -> dict[str, Any]:
    saga, outcome = move.after, move.outcome
    line: dict[str, Any] = {
        "message": _message(move),
        "saga": saga.name,
        "saga_id": saga.saga_id,
        "order_id": saga.order_id,
        "status": saga.status,
        **saga.context.fields,
    }
    if isinstance(outcome, Answered):
        line |= {"outcome": outcome.reply.TYPE, "message_id": outcome.message_id}
    else:
        line["outcome"] = OUTCOMES[type(outcome)]
    if saga.pending:
        line |= {"step": saga.pending.step, "command_id": saga.pending.command_id}
    if saga.error:
        line["error"] = saga.error.code
    return line


def _message(move: Move) -> str:
    if move.after.ended:
        return "A saga ended"
    if move.after.status is SagaStatus.FAILED:
        return "A saga is suspended"
    return "A saga began" if move.before is None else "A saga moved on"


def _count_ends(moves: Iterable[Move]) -> None:
    ends = Counter((move.after.name, move.after.status) for move in moves if move.comes_to_rest)
    for (saga, status), number in ends.items():
        count({"SagasEnded": number}, saga=saga, end=status)


def _count_steps(moves: Iterable[Move], now: datetime) -> None:
    answered: defaultdict[str, list[float]] = defaultdict(list)
    sent_again: Counter[str] = Counter()
    silent: Counter[str] = Counter()
    for move in moves:
        awaited = move.before.pending if move.before else None
        if move.before is None or awaited is None:
            continue
        if isinstance(move.outcome, Answered):
            begun = move.before.step(awaited.step).started_at
            if begun and not awaited.undo:
                answered[awaited.step].append(round((now - datetime.fromisoformat(begun)).total_seconds() * 1000, 1))
        elif isinstance(move.outcome, TimedOut):
            is_copy = move.after.pending is not None and move.after.pending.command_id == awaited.command_id
            (sent_again if is_copy else silent)[awaited.step] += 1
    for step, waits in answered.items():
        measure("StepMilliseconds", "Milliseconds", waits, step=step)
    for step in sent_again | silent:
        count({"CommandsSentAgain": sent_again[step], "StepsTimedOut": silent[step]}, step=step)
