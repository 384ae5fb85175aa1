"""Logging for the processes that run mappings."""

import logging
import time
from collections.abc import Callable

QUIET_SECONDS = 10.0
# Their lines are JSON and stand alone.
BARE = (f"{__package__}.system_log", f"{__package__}.monitor")


class OnceInAWhile(logging.Filter):
    """Lets one record of the Kafka client through, then none for some seconds: it repeats itself at every try to reconnect."""

    def __init__(self, quiet_seconds: float = QUIET_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` tells seconds."""
        super().__init__()
        self._quiet_seconds = quiet_seconds
        self._clock = clock
        self._next = clock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
        if not record.name.startswith("kafka."):
            return True
        if record.levelno < logging.WARNING or self._clock() < self._next:
            return False
        self._next = self._clock() + self._quiet_seconds
        return True


class Lines(logging.Formatter):
    """One line a record with time, level and source; lines that are JSON by themselves are left alone."""

    def __init__(self) -> None:
        """Times are local."""
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return record.getMessage() if record.name in BARE else super().format(record)


def configure() -> None:
    """Write log records to stderr: warnings, as Lambda's runtime does, and the emulator's own notes; the Kafka client's once in a while."""
    handler = logging.StreamHandler()
    handler.addFilter(OnceInAWhile())
    handler.setFormatter(Lines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    # The emulator's own notes, and those of the application that it is a part of.
    logging.getLogger(__name__.partition(".")[0]).setLevel(logging.INFO)
