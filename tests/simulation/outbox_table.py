"""The outbox and its buckets over the tables in memory: the functions of `chalicelib.messaging.outbox`."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

from chalicelib.messaging import outbox
from chalicelib.messaging.outbox import LEASE, Queued, Row, Written, bucket_of
from tests.simulation.tables import GONE, Session


@dataclass(frozen=True)
class OutboxRow:
    """A row of the outbox as the table has it."""

    row: Row
    message_id: str
    not_before: datetime | None
    leased_by: int | None
    failures: int = 0


class Inserted:
    """The answer to the statement that put rows into the outbox; there only once it has committed."""

    def __init__(self, session: Session, ready: list[Row], behind: list[Row]) -> None:
        self.session, self.ready, self.behind = session, ready, behind

    def rows(self) -> tuple[list[Row], list[Row]]:
        return self.ready, self.behind


def insert(session: Session, queued: Sequence[Queued]) -> Written:
    if not queued:
        return Written()
    session.statement("puts messages into the outbox")
    ahead = {(each.row.ordering_key, each.row.message.topic) for _, each in session.items("outbox")}
    rows = [Row(session.tables.next_number(), each.ordering_key, each.message) for each in queued]
    until = session.tables.now + LEASE
    for row, each in zip(rows, queued, strict=True):
        id = each.message_id or dict(each.message.headers).get("ce_id", b"").decode()
        session.put("outbox", row.id, OutboxRow(row, id, until, session.backend))
    made = Inserted(session, [row for row in rows if row.lane not in ahead], [row for row in rows if row.lane in ahead])
    return cast(Written, made)


def _is_held(session: Session, each: OutboxRow) -> bool:
    leased = each.leased_by is None or each.leased_by in session.tables.backends
    return each.not_before is not None and each.not_before > session.tables.now and leased


def _due(session: Session, buckets: Iterable[int]) -> list[Row]:
    """The due rows of these buckets: none that is held, or behind one of its order that is."""
    wanted, held, due = set(buckets), set(), []
    for _, each in sorted(session.items("outbox")):
        if _is_held(session, each):
            held.add(each.row.ordering_key)
        if each.row.ordering_key not in held and bucket_of(each.row.ordering_key) in wanted:
            due.append(each.row)
    return due


def read(session: Session, buckets: Iterable[int], most: int) -> list[Row]:
    session.statement("reads the outbox")
    return _due(session, buckets)[:most]


def read_newest(session: Session, buckets: Iterable[int], most: int) -> list[Row]:
    return read(session, buckets, most)


def waiting(session: Session, buckets: Iterable[int]) -> list[int]:
    session.statement("looks which buckets wait")
    return sorted({bucket_of(row.ordering_key) for row in _due(session, buckets)})


def settle_own(session: Session, acknowledged: Iterable[int]) -> None:
    session.statement("deletes acknowledged rows")
    _delete(session, acknowledged)


def _delete(session: Session, ids: Iterable[int]) -> None:
    for id in sorted(ids):
        if session.get("outbox", id) is not None:
            session.put("outbox", id, GONE)


def _change(session: Session, ids: Iterable[int], change: Callable[[OutboxRow], OutboxRow]) -> None:
    for id in sorted(ids):
        session.lock("outbox", id)
        row = session.get("outbox", id)
        if row is not None:
            session.put("outbox", id, change(row))


def put_off(session: Session, failed: Iterable[int]) -> None:
    session.statement("puts refused rows off")
    _change(session, failed, lambda row: _later(session, row))


def _later(session: Session, row: OutboxRow) -> OutboxRow:
    seconds = min(outbox.BACKOFF_SECONDS * 2 ** min(row.failures, 10), outbox.LONGEST_BACKOFF_SECONDS)
    return replace(row, failures=row.failures + 1, leased_by=None, not_before=session.tables.now + timedelta(seconds=seconds))


def release(session: Session, rows: Iterable[Row]) -> None:
    session.statement("leaves rows to the relay")
    _change(session, [row.id for row in rows], lambda row: replace(row, not_before=None, leased_by=None))


def behind(session: Session, rows: Iterable[Row]) -> set[int]:
    session.statement("looks what is ahead of its rows")
    mine = list(rows)
    ids = {row.id for row in mine}
    others = [each.row for id, each in session.items("outbox") if id not in ids]
    there = {id for id, _ in session.items("outbox")}
    return {row.id for row in mine if row.id in there and any(each.lane == row.lane and each.id < row.id for each in others)}


@dataclass(frozen=True)
class Bucket:
    holder: UUID
    holder_pid: int
    leased_until: datetime


def claim(session: Session, buckets: Iterable[int], holder: UUID, lease: timedelta) -> list[int]:
    session.statement("leases buckets")
    claimed = []
    for bucket in sorted(buckets):
        has: Bucket | None = session.get("buckets", bucket)
        taken = has and has.leased_until > session.tables.now and has.holder_pid in session.tables.backends
        if not taken and session.free("buckets", bucket):
            session.put("buckets", bucket, Bucket(holder, session.backend, session.tables.now + lease))
            claimed.append(bucket)
    return claimed


def settle(session: Session, *, acknowledged: Iterable[int], failed: Iterable[int], buckets: Iterable[int], holder: UUID) -> None:
    session.statement("settles what was sent and gives buckets back")
    _delete(session, acknowledged)
    _change(session, failed, lambda row: _later(session, row))
    for bucket in sorted(buckets):
        session.lock("buckets", bucket)
        has: Bucket | None = session.get("buckets", bucket)
        if has and has.holder == holder:
            session.put("buckets", bucket, GONE)
