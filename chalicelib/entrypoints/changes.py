"""Requests that change something: read and checked, run once in one transaction, published, answered at once or after waiting.

change = Change(request, "runner", "admin", body=AcceptBody)
with change.transaction() as session:
    change.serve(accept_order(session, change.call, order_id, change.body.runner_id))
return change.response()
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Generic

import sqlalchemy as sa
from chalice.app import Response

from chalicelib.entrypoints.bodies import M, read_body
from chalicelib.entrypoints.conditions import if_match
from chalicelib.entrypoints.endings import completed, saga_response
from chalicelib.entrypoints.http import Request, answer
from chalicelib.entrypoints.idempotency import claim_of, kept
from chalicelib.entrypoints.waiting import preferred_wait, wait_for
from chalicelib.ids import new_id_source
from chalicelib.observability import note
from chalicelib.operations.call import Call, Served
from chalicelib.operations.once import unclaimed
from chalicelib.runtime import runtime
from chalicelib.sagas.queries import SagaWithOrder
from chalicelib.sagas.state import Saga


class Change(Generic[M]):
    """One such request, in the order of the contract's checks: media type and size, role, JSON and headers, fields.

    `body` is its parsed body, `call` what the operations take, `caller` who asks. Making it raises the refusals of these checks.
    """

    def __init__(self, request: Request, *roles: str, body: type[M], waits: bool = False) -> None:
        """`roles` may use the route (none named: any role). With `waits` the route honours `Prefer: wait`."""
        self._begun = time.monotonic()
        request.check_body()
        self.caller = request.caller(*roles)
        data = request.json(optional=all(not field.is_required() for field in body.model_fields.values()))
        self._request = request
        self._waiting = preferred_wait(request.headers) if waits else None
        # Whatever can't be read comes before what is not valid.
        self._claim = claim_of(request, self.caller.sub, self._waiting)
        versions = if_match(request.headers)
        self.body: M = read_body(body, data)
        once = self._claim.begin if self._claim else unclaimed
        self.call = Call(runtime().rules, self.caller, request.context, new_id_source(), once, versions)
        self._first: Response | None = None
        self._changed = False
        self._served: Served | None = None
        self._word: Callable[[SagaWithOrder, Mapping[str, str]], Response] | None = None

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """The request's one transaction. Its answer is kept for repeats where it changed something; then what it wrote is published."""
        with runtime().database.transaction() as session:
            yield session
            if self._claim and self._first and self._changed:
                self._claim.keep(session, kept(self._first), final=self._waiting is None)
            elif self._claim:
                self._claim.drop(session)
        if self._changed:
            runtime().publisher.publish(self.call.written)

    def rehearsal(self, rehearse: Callable[[sa.Connection], Any]) -> Response:
        """The answer to a dry run: the document that `rehearse` makes. Nothing begins by it, so its Idempotency-Key stays free."""
        with self.transaction() as session:
            self.answer(answer(200, rehearse(session)), changed=False)
        return self.response()

    def answer(self, response: Response, *, changed: bool = True) -> None:
        """Answer with `response`; without `changed` the request came to nothing that lasts."""
        self._first, self._changed = response, changed

    def serve(
        self,
        served: Served,
        *,
        done: int = 200,
        headers: Mapping[str, str] | None = None,
        ended_well: Callable[[Saga], bool] = completed,
    ) -> None:
        """Answer for the saga that serves the request: with `done` where it ended well, and `headers` in any case."""

        def word(seen: SagaWithOrder, applied: Mapping[str, str]) -> Response:
            named = {**(headers or {}), **applied}
            return saga_response(self._request, seen, done=done, headers=named, waited=bool(applied), ended_well=ended_well)

        note(order_id=str(served.order.order_id), saga_id=str(served.saga.saga_id))
        self._served, self._word = served, word
        self.answer(word(SagaWithOrder(served.saga, served.order), {}), changed=served.started)

    def response(self) -> Response:
        """The answer; where the request waits, after the saga's end or when its time is over. Call it when the transaction has ended.

        One that has come too late to be kept for repeats is left for the first, which they are given.
        """
        if self._first is None:
            raise LookupError("the request has no answer yet")
        if self._waiting is None or self._served is None or self._word is None:
            return self._first
        seen = wait_for(SagaWithOrder(self._served.saga, self._served.order), self._begun, self._waiting)
        final = self._word(seen, {"Preference-Applied": f"wait={self._waiting}"})
        if self._claim and self._changed:
            with runtime().database.transaction() as session:
                if not self._claim.replace(session, kept(final)):
                    return self._first
        return final
