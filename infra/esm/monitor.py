"""What a mapping tells about itself each minute, and at its end."""

import json
import logging
import time
from collections.abc import Callable, Mapping

from . import metrics as names
from .mapping import EventSourceMapping
from .metrics import Metrics
from .system_log import PartitionOffsets, SystemLog

PERIOD_SECONDS = 60.0

log = logging.getLogger(__name__)


class Monitor:
    """The metrics and the system log of one mapping; lasts as long as the mapping does, over any trouble with the broker."""

    def __init__(
        self, mapping: EventSourceMapping, metrics: Metrics, bootstrap_servers: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """The first minute begins. `clock` tells seconds."""
        self.metrics = metrics
        self.system_log = SystemLog(mapping, bootstrap_servers)
        self._mapping = mapping
        self._clock = clock
        self._due = clock() + PERIOD_SECONDS

    def tick(self, offsets: Callable[[], Mapping[int, PartitionOffsets]]) -> None:
        """Tell how things stand if a minute is over."""
        if self._clock() >= self._due:
            self._due = self._clock() + PERIOD_SECONDS
            self.tell(offsets())

    def tell(self, offsets: Mapping[int, PartitionOffsets]) -> None:
        """Tell how things stand: the offsets to the system log, and a line with the groups of metrics that the mapping asks for."""
        lags = [partition.lag for partition in offsets.values()]
        for name, lag in ((names.MAX_OFFSET_LAG, max(lags, default=0)), (names.OFFSET_LAG, max(lags, default=0))):
            self.metrics.set(name, lag)
        self.metrics.set(names.SUM_OFFSET_LAG, sum(lags))
        self.system_log.kafka_status(offsets)
        if self._mapping.metrics:
            values = self.metrics.snapshot(self._mapping.metrics)
            log.info(json.dumps({"eventSourceMapping": self._mapping.uuid, "topic": self._mapping.topic, "metrics": values}))
