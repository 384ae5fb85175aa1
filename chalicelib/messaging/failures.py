"""How often a record could not be taken for a reason that is no fault of the database: it failed, or the function died of it.

Kept in transactions of their own, because that of the record itself comes to nothing.
"""

import json
from collections.abc import Sequence

import sqlalchemy as sa

from chalicelib.messages.envelope import Incoming
from chalicelib.messaging.dead_letters import content_hash

PLACES = """jsonb_to_recordset(CAST(:places AS jsonb)) AS r(topic text, partition int, "offset" bigint, hash text)"""
OF_PLACES = """f.topic = r.topic AND f.partition = r.partition AND f."offset" = r."offset" AND f.content_hash = decode(r.hash, 'hex')"""

ADD = sa.text("""
    INSERT INTO campusg.delivery_failures (topic, partition, "offset", content_hash, failures, last_at)
    VALUES (:topic, :partition, :offset, :hash, 1, clock_timestamp())
    ON CONFLICT (topic, partition, "offset", content_hash)
        DO UPDATE SET failures = delivery_failures.failures + 1, last_at = clock_timestamp()
    RETURNING failures""")

BEGIN = sa.text(f"""
    INSERT INTO campusg.delivery_failures (topic, partition, "offset", content_hash, failures, unfinished, last_at)
    SELECT topic, partition, "offset", decode(hash, 'hex'), 0, 1, clock_timestamp() FROM {PLACES} ORDER BY topic, partition, "offset"
    ON CONFLICT (topic, partition, "offset", content_hash)
        DO UPDATE SET unfinished = delivery_failures.unfinished + 1, last_at = clock_timestamp()
    RETURNING unfinished - 1""")  # noqa: S608 - a literal of ours

FINISH = sa.text(f"UPDATE campusg.delivery_failures f SET unfinished = 0 FROM {PLACES} WHERE {OF_PLACES}")  # noqa: S608 - as above

TAKE_BACK = sa.text(f"UPDATE campusg.delivery_failures f SET failures = failures - 1 FROM {PLACES} WHERE {OF_PLACES}")  # noqa: S608 - as above

FORGET = sa.text(f"DELETE FROM campusg.delivery_failures f USING {PLACES} WHERE {OF_PLACES} AND failures = 0 AND unfinished = 0")  # noqa: S608 - as above

PURGE = sa.text("""
    DELETE FROM campusg.delivery_failures WHERE (topic, partition, "offset", content_hash) IN (
        SELECT topic, partition, "offset", content_hash FROM campusg.delivery_failures
        WHERE last_at <= (SELECT clock_timestamp() - interval '7 days') ORDER BY last_at LIMIT :most)""")


def add(session: sa.Connection, record: Incoming) -> int:
    """Count one more failed delivery of the record and return how many there were."""
    parameters = {"topic": record.topic, "partition": record.partition, "offset": record.offset, "hash": content_hash(record)}
    return int(session.execute(ADD, parameters).scalar_one())


def take_back(session: sa.Connection, record: Incoming) -> None:
    """Count one failed delivery less: it was counted before, and did not fail."""
    places = {"places": _places([record])}
    session.execute(TAKE_BACK, places)
    session.execute(FORGET, places)


def begin(session: sa.Connection, heads: Sequence[Incoming]) -> int:
    """Note that the batch with these first records is being taken; return how often, at most, that was begun in vain before."""
    return max(int(before) for before in session.execute(BEGIN, {"places": _places(heads)}).scalars())


def finish(session: sa.Connection, heads: Sequence[Incoming]) -> None:
    """Note that taking the batch came to an end, whatever became of its records."""
    places = {"places": _places(heads)}
    session.execute(FINISH, places)
    session.execute(FORGET, places)


def purge(session: sa.Connection, most: int) -> int:
    """Forget up to `most` records that nothing was heard of for seven days, and return how many there were."""
    return session.execute(PURGE, {"most": most}).rowcount


def _places(records: Sequence[Incoming]) -> str:
    return json.dumps(
        [{"topic": each.topic, "partition": each.partition, "offset": each.offset, "hash": content_hash(each).hex()} for each in records]
    )
