"""Calls the scheduled functions, as Amazon EventBridge does on AWS, but at an interval of one's own."""

import json
import logging
import threading
import time
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from infra.esm.function_names import LOCAL_ACCOUNT, LOCAL_REGION
from infra.esm.invoke import FunctionError, Invocable

log = logging.getLogger(__name__)


class Clock:
    """Calls a function every `period_seconds` in a thread of its own, so that it never overlaps itself and holds up no other.

    Where a call takes longer than the period, the next one begins at once and what was missed is left out.
    """

    def __init__(self, function: Invocable, period_seconds: float, first_seconds: float | None = None) -> None:
        """Nothing runs yet. The first call comes `first_seconds` (by default a period) after the start."""
        self._function = function
        self._period = period_seconds
        self._first = period_seconds if first_seconds is None else first_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"clock-{function.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Call it no more."""
        self._stopping.set()

    def join(self, patience_seconds: float) -> None:
        """Wait for the call under way, if the clock was started; the function is closed at the end."""
        if self._thread.ident is not None:
            self._thread.join(patience_seconds)

    def _run(self) -> None:
        due = time.monotonic() + self._first
        try:
            while not self._stopping.wait(max(0.0, due - time.monotonic())):
                _call(self._function)
                due = max(due + self._period, time.monotonic())
        finally:
            self._function.close()


def scheduled_event(function_name: str, at: datetime) -> dict[str, Any]:
    """The event of a schedule, as the Amazon EventBridge user guide documents it; `at` has a time zone."""
    return {
        "version": "0",
        "id": str(uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": LOCAL_ACCOUNT,
        "time": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": LOCAL_REGION,
        "resources": [f"arn:aws:events:{LOCAL_REGION}:{LOCAL_ACCOUNT}:rule/{function_name}"],
        "detail": {},
    }


def _call(function: Invocable) -> None:
    try:
        function.invoke(json.dumps(scheduled_event(function.name, datetime.now(UTC))))
    except FunctionError as error:
        # The next round calls it again, as the next minute does on AWS.
        log.warning("scheduled function failed: function=%s", function.name, exc_info=error)
