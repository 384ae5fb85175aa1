"""The outbox's rows: messages that committed together with the change that caused them.

Order needs no lock if four rules hold: (1) rows of an order are numbered under its row lock; (2) a read never has a row without
all earlier ones of that order; (3) the next row of one order and topic goes to the producer only after the one before was
acknowledged; (4) only acknowledged rows are deleted. The leases on buckets only save repeats.
"""

import base64
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chalicelib.db.bulk import inlined
from chalicelib.messages.envelope import Outgoing
from chalicelib.messages.wire import in_base64

BUCKETS = 64
BACKOFF_SECONDS = 1
LONGEST_BACKOFF_SECONDS = 60
# Of how many of the newest rows the orders go first, how many rows of each, and how long ago a row may have been written whose writer
# found its bucket leased: longer than any transaction lasts.
NEWEST_ROWS = 100
ROWS_AN_ORDER = 20
RECENT = "10 seconds"


@dataclass(frozen=True)
class Queued:
    """A message to be put into the outbox, in the order of its `ordering_key` (an order's or a dead letter's id).

    A message of ours is known by its `ce_id`; a dead letter's copy has whatever `ce_id` its record came with, and so a `message_id`.
    """

    ordering_key: UUID
    message: Outgoing
    message_id: str | None = None


@dataclass(frozen=True)
class Row:
    """A message read from the outbox."""

    id: int
    ordering_key: UUID
    message: Outgoing


def bucket_of(ordering_key: UUID) -> int:
    """The bucket in which everything of that key is kept."""
    return ordering_key.int % BUCKETS


# A row is due if nothing of its order has to wait: a failed row stops its own order, and only that.
DUE = """NOT EXISTS (SELECT 1 FROM campusg.outbox w WHERE w.ordering_key = o.ordering_key AND w.not_before > clock_timestamp())"""

INSERT = sa.text("""
    INSERT INTO campusg.outbox (ordering_key, bucket, message_id, topic, key, value, headers)
    SELECT ordering_key, bucket, message_id, topic, decode(key, 'base64'), decode(value, 'base64'), headers
    FROM jsonb_to_recordset(CAST(:rows AS jsonb))
        AS r(position int, ordering_key uuid, bucket smallint, message_id text, topic text, key text, value text, headers jsonb)
    ORDER BY position""")

# A holder that was killed took its connection with it. Where that outlives the holder, as behind a proxy, the lease runs out.
CLAIM = inlined(
    """
    WITH free AS (
        SELECT bucket FROM campusg.outbox_buckets b
        WHERE bucket IN :buckets AND (leased_until <= clock_timestamp() OR holder_pid IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM pg_stat_activity a WHERE a.pid = b.holder_pid))
        ORDER BY bucket FOR UPDATE SKIP LOCKED)
    UPDATE campusg.outbox_buckets b
    SET holder = :holder, holder_pid = pg_backend_pid(), leased_until = clock_timestamp() + make_interval(secs => :seconds)
    FROM free WHERE b.bucket = free.bucket
    RETURNING b.bucket""",
    buckets=sa.SmallInteger,
    holder=sa.Uuid,
    seconds=sa.Integer,
)

READ = inlined(
    f"""
    SELECT id, ordering_key, topic, key, value, headers FROM campusg.outbox o
    WHERE bucket IN :buckets AND {DUE}
    ORDER BY id LIMIT :most""",  # noqa: S608 - literals of ours
    buckets=sa.SmallInteger,
    most=sa.Integer,
)

# Of each order the oldest rows, so that no row comes without all earlier ones of its order. The newest rows are chosen before anything is
# asked of them, so that a long queue is not read through for them.
READ_FIRST = inlined(
    f"""
    WITH newest AS (
        SELECT ordering_key, created_at FROM campusg.outbox WHERE bucket IN :buckets ORDER BY id DESC LIMIT {NEWEST_ROWS}),
    chosen AS (
        SELECT ordering_key, ordering_key IN :keys AS own FROM campusg.outbox WHERE ordering_key IN :keys
        UNION
        SELECT ordering_key, ordering_key IN :keys AS own FROM newest WHERE created_at > clock_timestamp() - interval '{RECENT}')
    SELECT o.id, o.ordering_key, o.topic, o.key, o.value, o.headers
    FROM chosen c CROSS JOIN LATERAL (
        SELECT * FROM campusg.outbox r WHERE r.ordering_key = c.ordering_key ORDER BY r.id LIMIT {ROWS_AN_ORDER}) o
    WHERE {DUE}
    ORDER BY c.own DESC, o.id LIMIT :most""",  # noqa: S608 - literals of ours
    buckets=sa.SmallInteger,
    keys=sa.Uuid,
    most=sa.Integer,
)

SETTLE = inlined(
    f"""
    WITH gone AS (DELETE FROM campusg.outbox WHERE id IN :acknowledged),
         back AS (UPDATE campusg.outbox SET failures = failures + 1,
                      not_before = clock_timestamp() + make_interval(secs => least({BACKOFF_SECONDS} * 2 ^ least(failures, 10),
                                                                                   {LONGEST_BACKOFF_SECONDS}))
                  WHERE id IN :failed)
    UPDATE campusg.outbox_buckets SET leased_until = '-infinity', holder = NULL, holder_pid = NULL
    WHERE bucket IN :buckets AND holder = :holder""",  # noqa: S608 - literals of ours
    acknowledged=sa.BigInteger,
    failed=sa.BigInteger,
    buckets=sa.SmallInteger,
    holder=sa.Uuid,
)

WAITING = inlined(
    f"""
    SELECT bucket FROM campusg.outbox_buckets b
    WHERE bucket IN :buckets AND EXISTS (SELECT 1 FROM campusg.outbox o WHERE o.bucket = b.bucket AND {DUE})""",  # noqa: S608 - as above
    buckets=sa.SmallInteger,
)

WAITING_FIRST = inlined(
    f"""
    SELECT bucket FROM campusg.outbox_buckets b
    WHERE bucket IN :buckets AND EXISTS (
        SELECT 1 FROM campusg.outbox o
        WHERE o.bucket = b.bucket AND (o.created_at > clock_timestamp() - interval '{RECENT}' OR o.ordering_key IN :keys) AND {DUE})""",  # noqa: S608 - as above
    buckets=sa.SmallInteger,
    keys=sa.Uuid,
)


def insert(session: sa.Connection, queued: Sequence[Queued]) -> None:
    """Put messages into the outbox, numbered as given; the caller holds their orders' locks."""
    if queued:
        rows = [_row(position, each) for position, each in enumerate(queued)]
        session.execute(INSERT, {"rows": json.dumps(rows)})


def claim(session: sa.Connection, buckets: Iterable[int], holder: UUID, lease: timedelta) -> list[int]:
    """Lease those of `buckets` that nobody has leased, and return them; locks their bucket rows until the commit.

    A lease ends with its time, or with the connection of `session`.
    """
    parameters = {"buckets": list(buckets), "holder": holder, "seconds": int(lease.total_seconds())}
    return list(session.execute(CLAIM, parameters).scalars())


def read(session: sa.Connection, buckets: Iterable[int], most: int) -> list[Row]:
    """The oldest due rows of `buckets`, at most `most`; locks nothing."""
    rows = session.execute(READ, {"buckets": list(buckets), "most": most}).mappings()
    return [Row(row["id"], row["ordering_key"], _message(row)) for row in rows]


def read_first(session: sa.Connection, buckets: Iterable[int], keys: Iterable[UUID], most: int) -> list[Row]:
    """Due rows that go before all others of `buckets`: of these orders, then of those that were written to last; locks nothing."""
    rows = session.execute(READ_FIRST, {"buckets": list(buckets), "keys": list(keys), "most": most}).mappings()
    return [Row(row["id"], row["ordering_key"], _message(row)) for row in rows]


def settle(session: sa.Connection, *, acknowledged: Iterable[int], failed: Iterable[int], buckets: Iterable[int], holder: UUID) -> None:
    """Delete acknowledged rows, put failed ones off, and give the buckets back unless the lease has passed to somebody else."""
    session.execute(
        SETTLE,
        {
            "acknowledged": list(acknowledged),
            "failed": list(failed),
            "buckets": list(buckets),
            "holder": holder,
        },
    )


def waiting(session: sa.Connection, buckets: Iterable[int]) -> list[int]:
    """Those of `buckets` that have due rows."""
    return list(session.execute(WAITING, {"buckets": list(buckets)}).scalars())


def waiting_first(session: sa.Connection, buckets: Iterable[int], keys: Iterable[UUID]) -> list[int]:
    """Those of `buckets` that have due rows of these orders, or such as were written just now."""
    return list(session.execute(WAITING_FIRST, {"buckets": list(buckets), "keys": list(keys)}).scalars())


def _row(position: int, queued: Queued) -> dict[str, Any]:
    message = queued.message
    return {
        "position": position,
        "ordering_key": str(queued.ordering_key),
        "bucket": bucket_of(queued.ordering_key),
        "message_id": queued.message_id or dict(message.headers).get("ce_id", b"").decode(),
        "topic": message.topic,
        "key": in_base64(message.key),
        "value": in_base64(message.value),
        "headers": [[name, in_base64(value)] for name, value in message.headers],
    }


def _message(row: Any) -> Outgoing:
    headers = tuple((name, base64.b64decode(value)) for name, value in row["headers"])
    return Outgoing(row["topic"], row["key"], row["value"], headers)
