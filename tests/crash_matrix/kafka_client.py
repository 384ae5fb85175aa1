"""What the walker asks of the broker: what waits to be taken, what was said of orders; and what it sends as if it were a partner."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient

from chalicelib.messages.topics import ORDER_EVENTS, PARTITIONS, TRIGGERS
from infra.partners.service import COMMAND_TOPICS, GROUP
from tests.support.history.model import Event
from tests.support.history.reading import event_of
from tests.support.kafka_records import Record

GROUPS = {trigger.topic: trigger.consumer_group for trigger in TRIGGERS}


def partitions_of(topics: Iterable[str]) -> list[TopicPartition]:
    """All partitions of the topics."""
    return [TopicPartition(topic, number) for topic in topics for number in range(PARTITIONS[topic])]


PARTITIONS_READ = partitions_of([*GROUPS, *COMMAND_TOPICS])


class Waiting(NamedTuple):
    """Whether replies wait for the functions, and commands for the partners."""

    replies: bool
    commands: bool


class KafkaClient:
    """Connections of a walker."""

    def __init__(self, bootstrap: str) -> None:
        """Connects at once."""
        self._consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
        self._consumer.assign(partitions_of([ORDER_EVENTS]))
        self._admin = KafkaAdminClient(bootstrap_servers=bootstrap)
        self._producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=0, acks="all", enable_idempotence=False)

    def close(self) -> None:
        """End the connections."""
        self._producer.close()
        self._consumer.close()
        self._admin.close()

    def waiting(self) -> Waiting:
        """What waits to be taken: a record counts as taken once an offset behind it is committed."""
        committed: dict[TopicPartition, Any] = {}
        for offsets in self._admin.list_group_offsets([GROUP, *GROUPS.values()]).values():
            committed.update(offsets)
        # Asked afterwards: what a consumer has written before it committed is seen.
        ends = self._consumer.end_offsets(PARTITIONS_READ)
        left = {each.topic for each, end in ends.items() if end > (committed[each].offset if each in committed else 0)}
        return Waiting(not left.isdisjoint(GROUPS), not left.isdisjoint(COMMAND_TOPICS))

    def send(self, record: Record) -> None:
        """Append a record to its topic, and wait until the broker has it."""
        self._producer.send(record.topic, key=record.key, value=record.value, headers=list(record.headers)).get(30)

    def new_events(self) -> list[Event]:
        """The events of orders that have come since this was asked last, those of a partition in their order."""
        ends, new = self._consumer.end_offsets(partitions_of([ORDER_EVENTS])), []
        while any(self._consumer.position(partition) < end for partition, end in ends.items()):
            for records in self._consumer.poll(200).values():
                new += [event_of(record) for record in records]
        return new
