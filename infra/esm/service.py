"""Several pollers together, a thread each, and their end in good order."""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from .codecs import missing_codecs
from .poller import Poller

END_PATIENCE_SECONDS = 2.0
REPORT_SECONDS = 60.0
# Between two looks whether all partitions have their positions.
LOOK_SECONDS = 0.02

log = logging.getLogger(__name__)


class Service:
    """Runs pollers until `stop`, which a signal handler may call."""

    def __init__(self, pollers: Sequence[Poller], report: Callable[[], None] = lambda: None) -> None:
        """Nothing runs yet; a poller whose mapping is not enabled never will. `report` is called each minute and at the end."""
        self._pollers = [poller for poller in pollers if poller.mapping.enabled]
        self._report = report
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=poller.run, name=f"poller-{number}", daemon=True) for number, poller in enumerate(self._pollers)
        ]

    def stop(self) -> None:
        """Have `run` end."""
        self._stopping.set()

    def run(self, when_positioned: Callable[[], None] = lambda: None) -> float:
        """Poll until stopped; `when_positioned` is called once every partition of every mapping has its position.

        At the end, invocations under way get 2 s; whatever takes longer is left uncommitted. Returns the monotonic time when the
        end began.
        """
        for codec in missing_codecs():
            log.warning("records compressed with %s can't be read: install the package %s", codec.name, codec.package)
        for thread in self._threads:
            thread.start()
        self._watch(when_positioned)
        for poller in self._pollers:
            poller.stop()
        began = time.monotonic()
        for thread in self._threads:
            thread.join(max(0.0, began + END_PATIENCE_SECONDS - time.monotonic()))
            if thread.is_alive():
                log.warning("invocation did not end in time: %s", thread.name)
        self._report()
        return began

    def _watch(self, when_positioned: Callable[[], None]) -> None:
        """Until stopped. A topic that is missing must not keep the others from being reported."""
        is_positioned = False
        report_due = time.monotonic() + REPORT_SECONDS
        while not self._stopping.wait(max(0.0, report_due - time.monotonic()) if is_positioned else LOOK_SECONDS):
            if not is_positioned and all(poller.positioned.is_set() for poller in self._pollers):
                is_positioned = True
                when_positioned()
            if time.monotonic() >= report_due:
                report_due += REPORT_SECONDS
                self._report()
