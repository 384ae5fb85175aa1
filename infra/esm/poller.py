"""One event source mapping at work, whatever happens to the broker."""

import logging
import threading

from kafka.errors import KafkaError

from . import metrics as names
from .consumer import TopicMissing
from .destinations import Destination
from .discard import Discard
from .disposal import Rules
from .feed import Cluster
from .filters import Filters
from .invoke import Invocable
from .mapping import EventSourceMapping
from .metrics import Metrics
from .monitor import Monitor
from .readings import DEFAULT, Readings
from .retry import Backoff
from .session import Session, Workings

RECONNECT = Backoff(first_seconds=0.1, longest_seconds=1.0)

log = logging.getLogger(__name__)


class Poller:
    """Runs one mapping in the thread that calls `run`, until `stop`; one invocation at a time, as one Lambda poller has it.

    After any trouble with the broker it begins anew from the committed offsets. A broker that forgets records in a crash may then hold
    other records at the same offsets: restart the poller together with it.
    """

    def __init__(
        self,
        mapping: EventSourceMapping,
        function: Invocable,
        cluster: Cluster,
        backoff: Backoff,
        readings: Readings = DEFAULT,
        *,
        destination: Destination | None = None,
    ) -> None:
        """Nothing is opened yet. `backoff` is how long a failed batch waits; raises ValueError for a destination that can't be.

        `destination` gets what would be dropped because the mapping has no destination of its own; it sets no limit of retries. If it
        raises another error than DeliveryFailed, the poller begins anew from what is committed, and the records come again.
        """
        self.mapping = mapping
        self.metrics = Metrics()
        """What was counted so far, also while `run` is at work."""
        self.positioned = threading.Event()
        """Set once every partition has its position: records written from now on are seen."""
        monitor = Monitor(mapping, self.metrics, cluster.bootstrap_servers)
        self._workings = Workings(
            mapping=mapping,
            cluster=cluster,
            function=function,
            rules=Rules(mapping, readings, backoff),
            filters=Filters(mapping.filter_patterns, readings.tombstone),
            discard=Discard(mapping, cluster.bootstrap_servers, readings, monitor, destination),
            monitor=monitor,
        )
        self._stopping = threading.Event()
        self._troubles = 0

    def stop(self) -> None:
        """Have `run` return after the invocation that is under way, or soon."""
        self._stopping.set()

    def run(self) -> None:
        """Poll until stopped, whatever happens to the broker; the function is closed at the end."""
        try:
            while not self._stopping.is_set():
                self._serve_until_trouble()
        finally:
            self._workings.function.close()
            self._workings.discard.close()

    def _serve_until_trouble(self) -> None:
        try:
            with Session(self._workings) as session:
                self.positioned.set()
                while not self._stopping.is_set():
                    session.turn()
                    self._troubles = 0
        except (KafkaError, OSError, TopicMissing) as error:
            self._note_trouble("broker or topic is away", error)
        except Exception as error:
            # A mapping is never given up, as on Lambda: it begins anew from what is committed.
            log.exception("polling failed")
            self._note_trouble("polling failed", error)

    def _note_trouble(self, what: str, error: Exception) -> None:
        """Say so, ever more rarely, and wait before beginning anew."""
        self._troubles += 1
        self.metrics.add(names.POLLING_ERROR)
        if self._troubles.bit_count() == 1:
            place = (self.mapping.function_name, self.mapping.topic)
            log.warning("%s, beginning anew: function=%s topic=%s times=%d error=%r", what, *place, self._troubles, error)
            self._workings.monitor.system_log.processing(str(error) or what, type(error).__name__)
        self._stopping.wait(RECONNECT.wait(self._troubles))
