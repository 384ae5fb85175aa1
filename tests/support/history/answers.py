"""Which answers a client can get at all that asks only for what there is."""

from tests.support.history.model import SUCCESSES, Found, Rule, Run

# Besides: conflicts, how a saga may end badly inside a wait, and what a repeat may cure.
KNOWN = (*SUCCESSES, 304, 402, 403, 404, 409, 412, 422, 429, 502, 503)


def _answers(run: Run) -> Found:
    for request in run.requests:
        if request.status is None:
            continue
        if request.status not in KNOWN:
            yield request.names, f"{request} was answered {request.status}: {request.answer}"
        elif request.status == 502 and request.saga is None:
            yield request.names, f"{request} was answered 502 without the saga that failed"


POSSIBLE_ANSWERS = Rule("possible_answers", "no request that can be understood is answered by an unexpected error", _answers)
