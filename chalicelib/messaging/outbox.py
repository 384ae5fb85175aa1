"""The outbox's rows: messages that committed together with the change that caused them.

Order needs no lock if four rules hold: (1) rows of an order are numbered under its row lock; (2) a read never has a row without
all earlier ones of that order; (3) the next row of one order and topic goes to the producer only after the one before was
acknowledged; (4) only acknowledged rows are deleted.

Leases only save repeats. A row is written with one: so long it is left to its writer, who publishes it from memory once it has committed.
What is left is the relay's, which leases whole buckets.
"""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chalicelib.db import bulk
from chalicelib.db.connection import send_ahead
from chalicelib.db.driver import Later
from chalicelib.messages.envelope import Outgoing
from chalicelib.messages.wire import in_base64

BUCKETS = 64
BACKOFF_SECONDS = 1
LONGEST_BACKOFF_SECONDS = 60
BACKOFF = f"make_interval(secs => least({BACKOFF_SECONDS} * 2 ^ least(failures, 10), {LONGEST_BACKOFF_SECONDS}))"
# So long a row is its writer's: longer than a wave of sends may take, and not much. An order waits for it where the writer was killed and
# its connection to the database outlives it.
LEASE = timedelta(seconds=8)
# Of how many of the newest rows the orders go first, how many rows of each, and how long ago they may have been written.
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
    """A message in the outbox."""

    id: int
    ordering_key: UUID
    message: Outgoing

    @property
    def lane(self) -> tuple[UUID, str]:
        """Of rows with the same lane, the next one goes out only after the one before was acknowledged."""
        return self.ordering_key, self.message.topic


class Written:
    """What one transaction put into the outbox: its writer's to publish, once it has committed."""

    def __init__(self, queued: Sequence[Queued] = (), answer: Later | None = None) -> None:
        self._queued = queued
        self._answer = answer

    def rows(self) -> tuple[list[Row], list[Row]]:
        """The rows that may go out, and those behind others of their lane that were there before; raises LookupError before the commit."""
        if self._answer is None:
            return [], []
        answer = bulk.from_json(self._answer.value)
        ahead = {(UUID(key), topic) for key, topic in answer["ahead"] or ()}
        rows = [Row(id, each.ordering_key, each.message) for id, each in zip(answer["ids"], self._queued, strict=True)]
        return [row for row in rows if row.lane not in ahead], [row for row in rows if row.lane in ahead]


def bucket_of(ordering_key: UUID) -> int:
    """The bucket in which everything of that key is kept."""
    return ordering_key.int % BUCKETS


# A row is due unless it, or one before it of its order, was put off or is somebody's, whose connection to the database is still there.
DUE = """NOT EXISTS (
    SELECT 1 FROM campusg.outbox w
    WHERE w.ordering_key = o.ordering_key AND w.id <= o.id AND w.not_before > clock_timestamp()
      AND (w.leased_by IS NULL OR EXISTS (SELECT 1 FROM pg_stat_get_activity(w.leased_by))))"""

COLUMNS: bulk.Columns = {
    "position": "int",
    "ordering_key": "uuid",
    "bucket": "smallint",
    "message_id": "text",
    "topic": "text",
    "key": "text",
    "value": "text",
    "headers": "json",
}
# Those ahead are seen as they were before the statement.
INSERT = f"""
    WITH new AS MATERIALIZED (SELECT * FROM {bulk.recordset(COLUMNS, "$1")}),
    made AS (
        INSERT INTO campusg.outbox (ordering_key, bucket, message_id, topic, key, value, headers, not_before, leased_by)
        SELECT ordering_key, bucket, message_id, topic, decode(key, 'base64'), decode(value, 'base64'), headers,
            clock_timestamp() + make_interval(secs => CAST($2 AS int)), pg_backend_pid()
        FROM new ORDER BY position
        RETURNING id)
    SELECT json_build_object('ids', (SELECT json_agg(id ORDER BY id) FROM made), 'ahead', (
        SELECT json_agg(DISTINCT jsonb_build_array(ordering_key, topic)) FROM campusg.outbox
        WHERE ordering_key IN (SELECT ordering_key FROM new)))"""  # noqa: S608 - literals of ours

# Its commit need not wait for the disk: a row that comes back goes out twice.
SETTLE_OWN = "SELECT campusg.settle_outbox(CAST($1 AS bigint[]))"
RELEASE = sa.text("UPDATE campusg.outbox SET not_before = NULL, leased_by = NULL WHERE id = ANY(CAST(:ids AS bigint[]))")
PUT_OFF = sa.text(f"""
    UPDATE campusg.outbox SET failures = failures + 1, leased_by = NULL,
        not_before = clock_timestamp() + {BACKOFF}
    WHERE id = ANY(CAST(:ids AS bigint[]))""")  # noqa: S608 - literals of ours
BEHIND = sa.text("""
    SELECT id FROM campusg.outbox o WHERE id = ANY(CAST(:ids AS bigint[])) AND EXISTS (
        SELECT 1 FROM campusg.outbox a WHERE a.ordering_key = o.ordering_key AND a.topic = o.topic AND a.id < o.id
          AND a.id <> ALL(CAST(:ids AS bigint[])))""")

# A holder that was killed took its connection with it. Where that outlives the holder, as behind a proxy, the lease runs out.
CLAIM = sa.text("""
    WITH free AS (
        SELECT bucket FROM campusg.outbox_buckets b
        WHERE bucket = ANY(CAST(:buckets AS smallint[])) AND (leased_until <= clock_timestamp() OR holder_pid IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM pg_stat_activity a WHERE a.pid = b.holder_pid))
        ORDER BY bucket FOR UPDATE SKIP LOCKED)
    UPDATE campusg.outbox_buckets b
    SET holder = :holder, holder_pid = pg_backend_pid(), leased_until = clock_timestamp() + make_interval(secs => :seconds)
    FROM free WHERE b.bucket = free.bucket
    RETURNING b.bucket""")

READ = sa.text(f"""
    SELECT id, ordering_key, topic, key, value, headers FROM campusg.outbox o
    WHERE bucket = ANY(CAST(:buckets AS smallint[])) AND {DUE}
    ORDER BY id LIMIT :most""")  # noqa: S608 - literals of ours

# Of each order the oldest rows, so that no row comes without all earlier ones of its order. The newest rows are chosen before anything is
# asked of them, so that a long queue is not read through for them.
READ_NEWEST = sa.text(f"""
    WITH newest AS (
        SELECT ordering_key, created_at FROM campusg.outbox
        WHERE bucket = ANY(CAST(:buckets AS smallint[])) ORDER BY id DESC LIMIT {NEWEST_ROWS}),
    chosen AS (
        SELECT DISTINCT ordering_key FROM newest WHERE created_at > clock_timestamp() - interval '{RECENT}')
    SELECT o.id, o.ordering_key, o.topic, o.key, o.value, o.headers
    FROM chosen c CROSS JOIN LATERAL (
        SELECT * FROM campusg.outbox r WHERE r.ordering_key = c.ordering_key ORDER BY r.id LIMIT {ROWS_AN_ORDER}) o
    WHERE {DUE}
    ORDER BY o.id LIMIT :most""")  # noqa: S608 - literals of ours

SETTLE = sa.text(f"""
    WITH gone AS (DELETE FROM campusg.outbox WHERE id = ANY(CAST(:acknowledged AS bigint[]))),
         back AS (UPDATE campusg.outbox SET failures = failures + 1, leased_by = NULL,
                      not_before = clock_timestamp() + {BACKOFF}
                  WHERE id = ANY(CAST(:failed AS bigint[])))
    UPDATE campusg.outbox_buckets SET leased_until = '-infinity', holder = NULL, holder_pid = NULL
    WHERE bucket = ANY(CAST(:buckets AS smallint[])) AND holder = :holder""")  # noqa: S608 - literals of ours

# Nothing is asked of the buckets while the outbox is empty, as it mostly is: each would read through the rows that were deleted.
WAITING = sa.text(f"""
    SELECT bucket FROM campusg.outbox_buckets b
    WHERE (SELECT min(id) FROM campusg.outbox) IS NOT NULL AND bucket = ANY(CAST(:buckets AS smallint[]))
        AND EXISTS (SELECT 1 FROM campusg.outbox o WHERE o.bucket = b.bucket AND {DUE})""")  # noqa: S608 - as above

# Of each bucket the oldest, which an index finds.
OLDEST = sa.text("""
    SELECT CAST(coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0) AS double precision) FROM campusg.outbox_buckets b,
        LATERAL (SELECT created_at FROM campusg.outbox o WHERE o.bucket = b.bucket ORDER BY o.id LIMIT 1) oldest""")


def insert(session: sa.Connection, queued: Sequence[Queued]) -> Written:
    """Put messages into the outbox, numbered as given and leased to the caller, who holds their orders' locks."""
    if not queued:
        return Written()
    rows = [_row(position, each) for position, each in enumerate(queued)]
    return Written(queued, send_ahead(session, INSERT, bulk.to_json(rows), str(int(LEASE.total_seconds()))))


def settle_own(session: sa.Connection, acknowledged: Iterable[int]) -> None:
    """Delete acknowledged rows; a transaction of nothing else does not wait for the disk."""
    send_ahead(session, SETTLE_OWN, bulk.array(acknowledged))


def put_off(session: sa.Connection, failed: Iterable[int]) -> None:
    """Let rows that the broker refused wait, longer each time."""
    session.execute(PUT_OFF, {"ids": bulk.array(failed)})


def release(session: sa.Connection, rows: Iterable[Row]) -> None:
    """Give leased rows to the relay."""
    session.execute(RELEASE, {"ids": bulk.array(row.id for row in rows)})


def behind(session: sa.Connection, rows: Iterable[Row]) -> set[int]:
    """The ids of those of these rows that still have somebody else's row of their lane before them."""
    return set(session.execute(BEHIND, {"ids": bulk.array(row.id for row in rows)}).scalars())


def claim(session: sa.Connection, buckets: Iterable[int], holder: UUID, lease: timedelta) -> list[int]:
    """Lease those of `buckets` that nobody has leased, and return them; locks their bucket rows until the commit.

    A lease ends with its time, or with the connection of `session`.
    """
    parameters = {"buckets": bulk.array(buckets), "holder": holder, "seconds": int(lease.total_seconds())}
    return list(session.execute(CLAIM, parameters).scalars())


def read(session: sa.Connection, buckets: Iterable[int], most: int) -> list[Row]:
    """The oldest due rows of `buckets`, at most `most`; locks nothing."""
    rows = session.execute(READ, {"buckets": bulk.array(buckets), "most": most}).mappings()
    return [Row(row["id"], row["ordering_key"], _message(row)) for row in rows]


def read_newest(session: sa.Connection, buckets: Iterable[int], most: int) -> list[Row]:
    """Due rows of those orders of `buckets` that were written to last; locks nothing."""
    rows = session.execute(READ_NEWEST, {"buckets": bulk.array(buckets), "most": most}).mappings()
    return [Row(row["id"], row["ordering_key"], _message(row)) for row in rows]


def settle(session: sa.Connection, *, acknowledged: Iterable[int], failed: Iterable[int], buckets: Iterable[int], holder: UUID) -> None:
    """Delete acknowledged rows, put failed ones off, and give the buckets back unless the lease has passed to somebody else."""
    session.execute(
        SETTLE,
        {
            "acknowledged": bulk.array(acknowledged),
            "failed": bulk.array(failed),
            "buckets": bulk.array(buckets),
            "holder": holder,
        },
    )


def waiting(session: sa.Connection, buckets: Iterable[int]) -> list[int]:
    """Those of `buckets` that have due rows."""
    return list(session.execute(WAITING, {"buckets": bulk.array(buckets)}).scalars())


def oldest_age(session: sa.Connection) -> float:
    """For how many seconds the oldest message has waited; 0 where none waits."""
    return float(session.execute(OLDEST).scalar_one())


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
