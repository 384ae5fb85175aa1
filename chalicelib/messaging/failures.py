"""How often a record failed for a reason that is no fault of the database, kept in a transaction of its own."""

import sqlalchemy as sa

from chalicelib.messages.envelope import Incoming
from chalicelib.messaging.dead_letters import content_hash

ADD = sa.text("""
    INSERT INTO campusg.delivery_failures (topic, partition, "offset", content_hash, failures, last_at)
    VALUES (:topic, :partition, :offset, :hash, 1, clock_timestamp())
    ON CONFLICT (topic, partition, "offset", content_hash)
        DO UPDATE SET failures = delivery_failures.failures + 1, last_at = clock_timestamp()
    RETURNING failures""")


def add(session: sa.Connection, record: Incoming) -> int:
    """Count one more failed delivery of the record and return how many there were."""
    parameters = {"topic": record.topic, "partition": record.partition, "offset": record.offset, "hash": content_hash(record)}
    return int(session.execute(ADD, parameters).scalar_one())
