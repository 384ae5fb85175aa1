"""Whether commands wait at a broker that never holds a fetch, as the embedded one: by looks at the ends of the logs."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from kafka import TopicPartition

from infra.stack.probe import EndProbe


class CommandWatch:
    """Spares the consumer its empty fetches, of which each costs 2 ms of processor time: looking costs a tenth of that."""

    def __init__(self, brokers: Sequence[str], partitions: Sequence[TopicPartition]) -> None:
        """Connect once a topic; raises OSError. A cluster of several brokers holds fetches, and is not looked at."""
        self._probes: dict[str, EndProbe] = {}
        topics = dict.fromkeys(partition.topic for partition in partitions)
        with ExitStack() as opened:
            for topic in topics if len(brokers) == 1 else ():
                numbers = [partition.partition for partition in partitions if partition.topic == topic]
                self._probes[topic] = opened.enter_context(EndProbe(brokers[0], topic, numbers))
                if len(self._probes) == 1 and self._probes[topic].broker_holds_fetches():
                    self._probes.clear()
                    return
            opened.pop_all()

    def shows_more(self, positions: Mapping[TopicPartition, int]) -> bool:
        """Whether a log ends elsewhere than at its position; always where the broker holds fetches. Raises OSError."""
        return not self._probes or any(
            positions[TopicPartition(topic, number)] != end for topic, probe in self._probes.items() for number, end in probe.ends().items()
        )

    def close(self) -> None:
        """End the connections."""
        for probe in self._probes.values():
            probe.close()
