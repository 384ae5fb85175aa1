"""Requests that a saga serves: run the operation, publish, answer at once or wait."""

from collections.abc import Callable, Mapping

import sqlalchemy as sa
from chalice.app import Response

from chalicelib.entrypoints.endings import completed, told
from chalicelib.entrypoints.http import Request
from chalicelib.entrypoints.waiting import preferred_wait, wait_for
from chalicelib.operations.asked import Asked
from chalicelib.runtime import runtime
from chalicelib.sagas.engine import Rules
from chalicelib.sagas.queries import SagaWithOrder
from chalicelib.sagas.state import Saga


def ask(
    request: Request, operate: Callable[[sa.Connection, Rules], Asked], *, ended_well: Callable[[Saga], bool] = completed, done: int = 200
) -> Response:
    """Run `operate` in a transaction of its own and answer for the saga it started, joined or found."""
    waiting = preferred_wait(request.headers)
    with runtime().database.transaction() as session:
        asked = operate(session, runtime().rules)
    runtime().publisher.publish([asked.order.order_id])
    return finish(request, SagaWithOrder(asked.saga, asked.order), waiting=waiting, done=done, ended_well=ended_well)


def finish(
    request: Request,
    seen: SagaWithOrder,
    *,
    waiting: int | None,
    done: int,
    headers: Mapping[str, str] | None = None,
    ended_well: Callable[[Saga], bool] = completed,
) -> Response:
    """Answer at once, or when the saga has ended or `waiting` seconds passed."""
    if waiting is None:
        return told(request, seen, done=done, headers=headers or {}, ended_well=ended_well)
    seen = wait_for(seen.saga.saga_id, waiting)
    applied = {**(headers or {}), "Preference-Applied": f"wait={waiting}"}
    return told(request, seen, done=done, headers=applied, ended_well=ended_well)
