"""The end of what is given up: the mapping's on-failure destination, else nowhere."""

import logging

from . import metrics as names
from .destinations import DeliveryFailed, Destination, open_destination
from .disposal import GivenUp
from .event import EventFrame
from .failures import Failure
from .mapping import EventSourceMapping
from .monitor import Monitor
from .readings import Readings

log = logging.getLogger(__name__)


class Discard:
    """Takes what a mapping gives up; afterwards it may be committed, come what may."""

    def __init__(
        self,
        mapping: EventSourceMapping,
        bootstrap_servers: str,
        readings: Readings,
        monitor: Monitor,
        destination: Destination | None = None,
    ) -> None:
        """Nothing is connected yet. `destination` stands in where the mapping has none."""
        self._mapping = mapping
        self._bootstrap_servers = bootstrap_servers
        self._monitor = monitor
        self._frame = EventFrame.of(mapping, bootstrap_servers)
        self._destination = destination
        if mapping.on_failure is not None:
            self._destination = open_destination(mapping.on_failure, bootstrap_servers, readings.exhausted_condition)

    def close(self) -> None:
        """End connections."""
        if self._destination is not None:
            self._destination.close()

    def take(self, given_up: GivenUp) -> None:
        """Deliver the records to the destination; without one, and where it fails, they are dropped and counted, as on Lambda."""
        number = len(given_up.records)
        if self._destination is None:
            self._drop(given_up, number, "no on-failure destination")
            return
        try:
            self._destination.deliver(self._failure(given_up))
        except DeliveryFailed as error:
            self._monitor.metrics.add(names.DESTINATION_ERROR)
            self._monitor.metrics.add(names.DESTINATION_FAILURES)
            self._drop(given_up, error.lost, f"the on-failure destination failed: {error}")
            return
        self._monitor.metrics.add(names.DESTINATION_DELIVERED, number)
        log.warning("%d records went to the on-failure destination: %s", number, self._describe(given_up))

    def _drop(self, given_up: GivenUp, number: int, reason: str) -> None:
        self._monitor.metrics.add(names.DROPPED, number)
        what = f"{number} records are dropped, {reason}: {self._describe(given_up)}"
        self._monitor.system_log.processing(what, given_up.condition)
        log.error("%s", what)

    def _describe(self, given_up: GivenUp) -> str:
        first = given_up.records[0]
        function, topic = self._mapping.function_name, self._mapping.topic
        return f"function={function} topic={topic} partition={first.partition} offset={first.offset} condition={given_up.condition}"

    def _failure(self, given_up: GivenUp) -> Failure:
        return Failure(
            frame=self._frame,
            records=given_up.records,
            condition=given_up.condition,
            invoke_count=given_up.invocations,
            function=self._mapping.function_name,
            error=given_up.error,
            source_arn=self._mapping.event_source_arn,
            bootstrap_servers=self._bootstrap_servers,
            mapping_id=self._mapping.uuid,
        )
