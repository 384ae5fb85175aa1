"""`make why SAGA=…` or `ORDER=…`: all that is known of one saga on one screen, and what it waits for in a sentence. Over HTTP."""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Any
from uuid import UUID

from chalicelib.messages.wire import id_of
from chalicelib.sagas.waits import duration
from infra.console import complain, say
from infra.operator.api import ApiError, RefusedError, operator_api
from infra.stack.running import NotRunningError, telling

EXAMPLE = "for example: make why SAGA=0192…, or make why ORDER=0192…"
Json = Mapping[str, Any]
Get = Callable[[str], Json]


@dataclass(frozen=True)
class Known:
    """A saga's explanation and its order's timeline."""

    saga: Json
    timeline: Json


def why() -> int:
    """Print the screen for SAGA, or for the newest saga of ORDER; return the exit code."""
    try:
        kind, id = _asked(os.environ)
        with telling("reading"):
            known = look(operator_api().get, **{kind: id})
    except (NotRunningError, ApiError, RefusedError, ValueError) as error:
        complain(f"make why: {error}")
        return 1
    say(*screen(known, datetime.now(UTC)))
    return 0


def look(get: Get, *, saga_id: UUID | None = None, order_id: UUID | None = None) -> Known:
    """Ask for one saga, or the newest one of an order; raises what `get` does, and ApiError where it is not an admin who asks."""
    explained = get(f"/api/sagas/{saga_id}/explanation") if saga_id else None
    timeline = get(f"/api/orders/{explained['orderId'] if explained else order_id}/timeline")
    if "outbox" not in timeline:
        raise ApiError("the token is no admin's")
    return Known(explained or timeline["sagas"][-1], timeline)


def screen(known: Known, now: datetime) -> list[str]:
    """The screen's lines."""
    saga, error = known.saga["saga"], known.saga["saga"]["error"]
    sections = {
        "saga": _saga(known.saga, now),
        "error": [f"{error['code']}: {error['detail']}" if error else "none"],
        "order": _order(known.timeline["order"], saga["sagaId"]),
        "steps": _steps(saga["steps"], known.saga["path"]),
        "pending": _pending(known.saga["waitsFor"]),
        "timer": [_timer(known.saga, now)],
        "outbox": [_queued(row, now) for row in known.timeline["outbox"]] or ["nothing waits"],
        "dead letters": [_dead(letter) for letter in known.timeline["deadLetters"]] or ["none"],
        "other sagas": _others(known.timeline["sagas"], saga["sagaId"]) or ["none"],
    }
    lines = [f"{saga['name']} {saga['sagaId']}", f"  {known.saga['sentence']}", ""]
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


def _saga(explained: Json, now: datetime) -> list[str]:
    saga = explained["saga"]
    ended = f"ended {saga['endedAt']}" if saga["endedAt"] else f"runs for {_since(saga['startedAt'], now)}"
    return [
        f"{saga['status']} at {saga['currentStep'] or 'its end'}, version {saga['definitionVersion']}",
        f"started {saga['startedAt']}, {ended}, correlation {explained['correlationId']}",
        f"data {json.dumps(explained['data'], ensure_ascii=False)}",
    ]


def _order(order: Json, saga_id: str) -> list[str]:
    holder = order["activeSagaId"]
    held = "this saga" if holder == saga_id else f"saga {holder}" if holder else "no saga"
    people = f"customer {order['customerId']}, runner {order['runnerId'] or 'none'}"
    statuses = f"{order['orderStatus']}, payment {order['paymentStatus']}, {order['currency']} {order['total']}, version {order['version']}"
    return [
        f"{order['orderId']}  {statuses}",
        f"held by {held}; {people}; payment {order['paymentId'] or 'none'}, escrow {order['escrowId'] or 'none'}",
    ]


def _steps(steps: Sequence[Json], path: Iterable[Json]) -> list[str]:
    replies = {step["step"]: ", ".join(_replies(step)) for step in path}
    lines = [f"{'name':<18} {'status':<12} {'copies':>6}  {'started':<24}  {'ended':<24}  replies"]
    for step in steps:
        times = f"{step['startedAt'] or '-':<24}  {step['endedAt'] or '-':<24}"
        lines.append(f"{step['name']:<18} {step['status']:<12} {step['attempts']:>6}  {times}  {replies[step['name']]}")
    return lines


def _replies(step: Json) -> Iterable[str]:
    sent = [[("", attempt) for attempt in (step["action"] or {}).get("tries", ())]]
    sent += [[("undo: ", attempt) for attempt in (step["compensation"] or {}).get("tries", ())]]
    return [f"{kind}{attempt['reply']['type'] if attempt['reply'] else 'none yet'}" for kind, attempt in chain(*sent)]


def _pending(awaited: Json | None) -> list[str]:
    if awaited is None:
        return ["no command"]
    return [
        f"{awaited['command']} {awaited['commandId']} on {awaited['topic']}, {awaited['attempt']} copies so far",
        json.dumps(awaited["value"], ensure_ascii=False, separators=(",", ":")),
    ]


def _timer(explained: Json, now: datetime) -> str:
    due_at = (explained["waitsFor"] or {}).get("dueAt")
    if due_at is None:
        return "not set"
    left = datetime.fromisoformat(due_at) - now
    when = f"in {duration(left)}" if left.total_seconds() > 0 else f"{duration(-left)} ago"
    return f"due at {due_at}, {when}; set back {explained['setbacks']} times"


def _queued(row: Json, now: datetime) -> str:
    later = f", not before {row['notBefore']}" if row["notBefore"] else ""
    return f"{row['topic']} {row['messageId']} waits for {_since(row['createdAt'], now)}, {row['failures']} failures{later}"


def _dead(letter: Json) -> str:
    settled = f", redriven {letter['redrivenAt']}" if letter["redrivenAt"] else ", waits to be redriven or dismissed"
    if letter["dismissedAt"]:
        settled = f", dismissed {letter['dismissedAt']} by {letter['dismissedBy']}: {letter['dismissReason']}"
    place = f"{letter['topic']}/{letter['partition']}/{letter['offset']}"
    return f"{letter['at']} {letter['type'] or 'no type'} at {place}: {letter['error'][:240]}{settled}"


def _others(sagas: Iterable[Json], saga_id: str) -> list[str]:
    """Newest first."""
    others = [each["saga"] for each in sagas if each["saga"]["sagaId"] != saga_id]
    return [f"{each['sagaId']}  {each['name']:<17}  {each['status']}" for each in reversed(others)]


def _since(moment: str, now: datetime) -> str:
    return duration(now - datetime.fromisoformat(moment))
