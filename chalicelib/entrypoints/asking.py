"""Requests that a saga serves: run the operation once, keep its answer with it, publish, answer at once or wait."""

import time
from collections.abc import Callable, Mapping
from typing import TypeAlias

import sqlalchemy as sa
from chalice.app import Response

from chalicelib.entrypoints.endings import completed, told
from chalicelib.entrypoints.http import Request
from chalicelib.entrypoints.keys import claim_of, kept
from chalicelib.entrypoints.waiting import preferred_wait, wait_for
from chalicelib.operations.asked import Asked
from chalicelib.operations.once import Once, unclaimed
from chalicelib.orders.access import Viewer
from chalicelib.runtime import runtime
from chalicelib.sagas.engine import Rules
from chalicelib.sagas.queries import SagaWithOrder
from chalicelib.sagas.state import Saga

Operate: TypeAlias = Callable[[sa.Connection, Rules, Once], Asked]
Word: TypeAlias = Callable[[SagaWithOrder, Mapping[str, str]], Response]


def ask(
    request: Request,
    caller: Viewer,
    operate: Operate,
    *,
    done: int = 200,
    headers: Mapping[str, str] | None = None,
    ended_well: Callable[[Saga], bool] = completed,
) -> Response:
    """Run `operate` and answer for the saga it started, joined or found: at once, or as `Prefer: wait` says.

    `done` is the status where the saga ended well, `headers` go with every answer.
    """

    def word(seen: SagaWithOrder, applied: Mapping[str, str]) -> Response:
        return told(request, seen, done=done, headers={**(headers or {}), **applied}, waited=bool(applied), ended_well=ended_well)

    return serve(request, caller, operate, word, waiting=preferred_wait(request.headers))


def serve(request: Request, caller: Viewer, operate: Operate, word: Word, *, waiting: int | None) -> Response:
    """Run `operate` in a transaction of its own, publish, and answer with what `word` makes of it."""
    begun = time.monotonic()
    claim = claim_of(request, caller, waiting)
    with runtime().database.transaction() as session:
        asked = operate(session, runtime().rules, claim.begin if claim else unclaimed)
        answer = word(SagaWithOrder(asked.saga, asked.order), {})
        if claim and asked.started:
            claim.keep(session, kept(answer), final=waiting is None)
        elif claim:
            claim.drop(session)
    runtime().publisher.publish([asked.order.order_id])
    if waiting is None:
        return answer
    answer = word(wait_for(asked.saga.saga_id, max(0.0, begun + waiting - time.monotonic())), {"Preference-Applied": f"wait={waiting}"})
    if claim and asked.started:
        with runtime().database.transaction() as session:
            claim.keep(session, kept(answer), final=True)
    return answer
