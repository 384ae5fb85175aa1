"""`Prefer: wait=N` (RFC 7240): hold the answer until the saga ends."""

import re
from collections.abc import Mapping

from chalicelib.entrypoints.headers import QUOTED, TCHARS, members, unquoted
from chalicelib.runtime import runtime
from chalicelib.sagas.queries import SagaWithOrder, read_with_order
from chalicelib.sagas.state import RESTING

LONGEST_WAIT = 20
VALUE = rf"(?:[ \t]*+=[ \t]*+({TCHARS}|{QUOTED}))?+"
PREFERENCE = re.compile(rf"({TCHARS}){VALUE}(?:[ \t]*+;[ \t]*+(?:{TCHARS}{VALUE})?+)*+", re.DOTALL)
SECONDS = re.compile(r"0*([0-9]+)")


def preferred_wait(headers: Mapping[str, str]) -> int | None:
    """The seconds that the Prefer header asks to wait, capped at 20; None where it doesn't ask.

    Of a preference that comes more than once the first counts, and what can't be understood is left out (RFC 7240, section 2).
    """
    for found in map(PREFERENCE.fullmatch, members(headers.get("prefer", ""))):
        if found and found.group(1).lower() == "wait":
            seconds = SECONDS.fullmatch(unquoted(found.group(2) or ""))
            # More digits than three are more than the longest wait, and at some number of them no `int`.
            return min(int(seconds.group(1)[:3]), LONGEST_WAIT) if seconds else None
    return None


def wait_for(served: SagaWithOrder, begun: float, seconds: float) -> SagaWithOrder:
    """The saga that serves a request begun at `begun`, once it rests, or as it stands `seconds` after; times of the monotonic clock."""
    if served.saga.status in RESTING:
        return served
    seen = runtime().shared_wait.wait(served.saga, begun, begun + seconds)
    if seen is None:
        with runtime().database.transaction() as session:
            seen = read_with_order(session, served.saga.saga_id)
    if seen is None:
        raise LookupError(f"saga {served.saga.saga_id} is gone")
    return seen
