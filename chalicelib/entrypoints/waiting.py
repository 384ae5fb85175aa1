"""`Prefer: wait=N` (RFC 7240): hold the answer until the saga ends, holding no connection between looks."""

import re
import time
from collections.abc import Mapping
from uuid import UUID

from chalicelib.runtime import runtime
from chalicelib.sagas.queries import SagaWithOrder, read_with_order
from chalicelib.sagas.state import SagaStatus

LONGEST_WAIT = 20
FIRST_PAUSE, LONGEST_PAUSE, GROWTH = 0.01, 0.15, 1.25
WAIT = re.compile(r"wait\s*=\s*\"?([0-9]{1,99})\"?", re.IGNORECASE)


def preferred_wait(headers: Mapping[str, str]) -> int | None:
    """The seconds that the Prefer header asks to wait, capped at 20; None where it doesn't ask."""
    for preference in headers.get("prefer", "").split(","):
        found = WAIT.fullmatch(preference.partition(";")[0].strip())
        if found:
            return min(int(found.group(1)), LONGEST_WAIT)
    return None


def wait_for(saga_id: UUID, seconds: float) -> SagaWithOrder:
    """Look with growing pauses until the saga has ended or is parked, or `seconds` passed; return the last look."""
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
