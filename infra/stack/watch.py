"""Waiting for records of a broker that never holds a fetch, as the embedded one: by looks at the ends of the log."""

import logging
import time
from collections.abc import Mapping, Sequence

from infra.stack.probe import EndProbe

# Between two looks: short after records, longer while nothing comes.
SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.001, 0.015
PAUSE_PER_IDLE_SECOND = 0.02

log = logging.getLogger(__name__)


class EndWatch:
    """Looks at the ends of one topic's partitions until one of them has records."""

    def __init__(self, probe: EndProbe) -> None:
        """The probe is closed with this object."""
        self._probe = probe
        self._last_records = time.monotonic()

    def wait(self, positions: Mapping[int, int], wait_seconds: float) -> bool:
        """Whether the log of one of these partitions ends elsewhere than at its position, after `wait_seconds` at most; raises OSError."""
        deadline = time.monotonic() + wait_seconds
        while True:
            ends = self._probe.ends()
            now = time.monotonic()
            if any(ends[number] != position for number, position in positions.items()):
                self._last_records = now
                return True
            if now >= deadline:
                return False
            idle = (now - self._last_records) * PAUSE_PER_IDLE_SECOND
            time.sleep(min(deadline - now, max(SHORTEST_PAUSE_SECONDS, min(LONGEST_PAUSE_SECONDS, idle))))

    def ends(self) -> dict[int, int]:
        """For each partition, the offset that its next record will have; raises OSError."""
        return self._probe.ends()

    def close(self) -> None:
        """End the connection."""
        self._probe.close()


def watch_ends(bootstrap_servers: str, topic: str, partitions: Sequence[int]) -> EndWatch | None:
    """A watch over these partitions, None where the broker holds fetches; raises OSError where none answers."""
    probe = EndProbe(bootstrap_servers.split(",", maxsplit=1)[0].strip(), topic, partitions)
    try:
        if not probe.broker_holds_fetches():
            log.info("broker answers empty fetches at once; looking at the ends of the log instead: topic=%s", topic)
            return EndWatch(probe)
    except OSError as error:
        # A cluster of several brokers, or one that wants TLS: such ones hold fetches.
        log.info("no look at the ends of the log: topic=%s reason=%s", topic, error)
    probe.close()
    return None
