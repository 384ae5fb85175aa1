"""Reading `order-events` back, as another service would."""

import time
from collections import defaultdict

from kafka import KafkaConsumer, TopicPartition

from chalicelib.messages.topics import ORDER_EVENTS, PARTITIONS


def read_sequences(bootstrap: str) -> dict[str, list[int]]:
    """The sequence numbers of each order's events in the order in which they stand in the topic."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    try:
        partitions = [TopicPartition(ORDER_EVENTS, number) for number in range(PARTITIONS[ORDER_EVENTS])]
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        sequences: defaultdict[str, list[int]] = defaultdict(list)
        deadline = time.monotonic() + 30
        while any(consumer.position(partition) < ends[partition] for partition in partitions):
            if time.monotonic() > deadline:
                raise AssertionError("order-events could not be read to its end within 30 s")
            for records in consumer.poll(200).values():
                for record in records:
                    headers = dict(record.headers)
                    sequences[headers["ce_subject"].decode()].append(int(headers["ce_sequence"]))
        return dict(sequences)
    finally:
        consumer.close()


def first_copies(sequences: list[int]) -> list[int]:
    """What a consumer sees that drops a sequence it has passed."""
    seen: list[int] = []
    for sequence in sequences:
        if not seen or sequence > seen[-1]:
            seen.append(sequence)
    return seen
