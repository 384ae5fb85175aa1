"""`Prefer: wait=N` (RFC 7240): hold the answer until the saga ends, holding no connection between looks."""

import re
import time
from collections.abc import Mapping
from uuid import UUID

from chalicelib.entrypoints.headers import QUOTED, TCHARS, members, unquoted
from chalicelib.runtime import runtime
from chalicelib.sagas.queries import SagaWithOrder, read_with_order
from chalicelib.sagas.state import SagaStatus

LONGEST_WAIT = 20
FIRST_PAUSE, LONGEST_PAUSE, GROWTH = 0.01, 0.15, 1.25
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


def wait_for(saga_id: UUID, seconds: float) -> SagaWithOrder:
    """Look with growing pauses until the saga has ended or is suspended, or `seconds` passed; return the last look."""
    deadline = time.monotonic() + seconds
    pause = FIRST_PAUSE
    while True:
        with runtime().database.transaction() as session:
            seen = read_with_order(session, saga_id)
        if seen is None:
            raise LookupError(f"saga {saga_id} is gone")
        remaining = deadline - time.monotonic()
        if seen.saga.ended or seen.saga.status is SagaStatus.FAILED or remaining <= 0:
            return seen
        time.sleep(min(pause, remaining))
        pause = min(pause * GROWTH, LONGEST_PAUSE)
