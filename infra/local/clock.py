"""Calls the scheduled functions, as Amazon EventBridge does on AWS, but at an interval of one's own."""

import json
import logging
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from infra.local.esm.invoke import LOCAL_ACCOUNT, LOCAL_REGION, Function, FunctionError

log = logging.getLogger(__name__)


class Clock:
    """Calls each function every `period_seconds`, one after the other in one thread, so that none ever overlaps itself.

    Where a round takes longer than the period, the next one begins at once and what was missed is left out.
    """

    def __init__(self, functions: Sequence[Function], period_seconds: float) -> None:
        """Nothing runs yet."""
        self._functions = functions
        self._period = period_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clock", daemon=True)

    def start(self) -> None:
        """Begin, with a first round one period from now."""
        self._thread.start()

    def stop(self) -> None:
        """Call nothing any more."""
        self._stopping.set()

    def join(self, patience_seconds: float) -> None:
        """Wait for the function under way, if the clock was started."""
        if self._thread.ident is not None:
            self._thread.join(patience_seconds)

    def _run(self) -> None:
        due = time.monotonic() + self._period
        while not self._stopping.wait(max(0.0, due - time.monotonic())):
            for function in self._functions:
                if not self._stopping.is_set():
                    _call(function)
            due = max(due + self._period, time.monotonic())


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


def _call(function: Function) -> None:
    try:
        function.invoke(json.dumps(scheduled_event(function.name, datetime.now(UTC))))
    except FunctionError as error:
        # The next round calls it again, as the next minute does on AWS.
        log.warning("scheduled function failed: function=%s", function.name, exc_info=error)
