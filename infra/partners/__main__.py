"""The process of the simulated partners: `python -m infra.partners` with `DATABASE_URL` and `KAFKA_BROKERS` in the environment."""

import json
import logging
import os
import signal
import sys
import threading
from types import FrameType

from infra.partners.service import run
from infra.partners.settings import BadSettings, Settings

STOP_SECONDS = 1.5
PLAIN_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class JsonLines(logging.Formatter):
    """A line of JSON a log record: timestamp, level, the constant sentence, and its fields."""

    def format(self, record: logging.LogRecord) -> str:
        """One JSON object in ASCII without line breaks: whoever reads the log at a terminal sees no character that steers it."""
        fields = {name: value for name, value in vars(record).items() if name not in PLAIN_ATTRIBUTES}
        line = {
            "timestamp": self.formatTime(record),
            "level": record.levelname,
            "service": "partners",
            "message": record.getMessage(),
            **fields,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    _log_to_stderr()
    try:
        settings = Settings.from_environment(os.environ)
    except BadSettings as error:
        sys.exit(f"partners: {error}")
    stop = threading.Event()
    _stop_on_signals(stop)
    run(settings, stop)


def _stop_on_signals(stop: threading.Event) -> None:
    def ask_to_stop(_number: int, _frame: FrameType | None) -> None:
        stop.set()
        # A database or broker that hangs must not hold the process; whatever is unfinished then is done again by the next one.
        deadline = threading.Timer(STOP_SECONDS, os._exit, (0,))
        deadline.daemon = True
        deadline.start()

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # What goes wrong with the broker reaches our own log as the error that it raises.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)


if __name__ == "__main__":
    main()
