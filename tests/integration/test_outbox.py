"""The outbox's statements: leases, what is due, what is put off."""

from datetime import timedelta
from uuid import UUID

import sqlalchemy as sa

from chalicelib.db.connection import make_engine
from chalicelib.ids import new_id
from chalicelib.messages.envelope import Outgoing
from chalicelib.messaging import outbox
from tests.support.database import World
from tests.support.eventually import eventually

LEASE = timedelta(seconds=15)
EVERY = range(outbox.BUCKETS)


def message(text: str, topic: str = "order-events") -> Outgoing:
    return Outgoing(topic, b"k", text.encode(), (("ce_id", text.encode()),))


def values(world: World, most: int = 100) -> list[bytes | None]:
    with world.engine.begin() as session:
        return [row.message.value for row in outbox.read(session, EVERY, most)]


def claim(world: World, *buckets: int, holder: UUID | None = None, lease: timedelta = LEASE) -> list[int]:
    with world.engine.begin() as session:
        return outbox.claim(session, buckets, holder or new_id(), lease)


def settle(world: World, holder: UUID, *buckets: int, acknowledged: tuple[int, ...] = (), failed: tuple[int, ...] = ()) -> None:
    with world.engine.begin() as session:
        outbox.settle(session, acknowledged=acknowledged, failed=failed, buckets=buckets, holder=holder)


def ids(world: World) -> list[int]:
    return [row["id"] for row in world.rows("SELECT id FROM campusg.outbox ORDER BY id")]


def test_messages_come_out_as_they_went_in_and_in_their_order(world: World) -> None:
    order_id = new_id()
    binary = Outgoing("t", None, b"\x00\xff", (("ce_id", b"1"), ("n", b"\xff\x00"), ("n", b"")))
    tombstone = Outgoing("t", b"\xfe", None, ())
    world.queue(order_id, binary, tombstone, *(message(str(number)) for number in range(50)))
    with world.engine.begin() as session:
        rows = outbox.read(session, EVERY, 100)
    assert [row.message for row in rows[:2]] == [binary, tombstone]
    assert [row.message.value for row in rows[2:]] == [str(number).encode() for number in range(50)]
    assert {row.ordering_key for row in rows} == {order_id}


def test_a_leased_bucket_is_nobody_elses_until_it_is_given_back_by_its_holder(world: World) -> None:
    holder = new_id()
    assert sorted(claim(world, 1, 2, 3, holder=holder)) == [1, 2, 3]
    assert claim(world, 2, 3, 4) == [4]
    settle(world, new_id(), 1, 2, 3)
    assert claim(world, 1, 2, 3) == []
    settle(world, holder, 1, 2)
    assert sorted(claim(world, 1, 2, 3)) == [1, 2]


def test_the_lease_of_a_dead_holder_runs_out(world: World) -> None:
    dead = new_id()
    assert claim(world, 7, holder=dead, lease=timedelta(0)) == [7]
    assert claim(world, 7) == [7]
    settle(world, dead, 7)
    assert claim(world, 7) == []


def test_the_lease_of_a_holder_whose_connection_is_gone_is_over(world: World) -> None:
    killed = make_engine(world.engine.url.render_as_string(hide_password=False), pool_size=1)
    with killed.begin() as session:
        assert sorted(outbox.claim(session, [7, 8], new_id(), LEASE)) == [7, 8]
    assert claim(world, 7) == [], "its connection is idle, but there"

    killed.dispose()

    eventually(lambda: claim(world, 7) == [7])
    assert claim(world, 7, 8) == [8]


def test_a_lease_of_which_nobody_knows_the_connection_runs_its_time(world: World) -> None:
    with world.engine.begin() as session:
        session.exec_driver_sql("UPDATE campusg.outbox_buckets SET leased_until = 'infinity', holder_pid = NULL WHERE bucket = 7")

    assert claim(world, 7, 8) == [8]


def test_a_bucket_that_is_being_claimed_is_skipped_without_waiting(world: World) -> None:
    with world.engine.begin() as session:
        assert outbox.claim(session, [5], new_id(), LEASE) == [5]
        assert claim(world, 5, 6) == [6]


def test_a_read_with_a_limit_has_no_row_without_the_earlier_ones_of_its_order(world: World) -> None:
    first, second = new_id(), new_id()
    for number in range(4):
        world.queue(first, message(f"a{number}"))
        world.queue(second, message(f"b{number}"))
    assert values(world, most=5) == [b"a0", b"b0", b"a1", b"b1", b"a2"]


def test_a_failed_row_stops_its_own_order_only_and_longer_each_time(world: World) -> None:
    failing, other = new_id(), new_id()
    world.queue(failing, message("a0"), message("a1", "user-commands"))
    world.queue(other, message("b0"))
    holder, first = new_id(), ids(world)[0]
    for failures, pause in ((1, 1), (2, 2), (3, 4), (20, 60)):
        world.rows("UPDATE campusg.outbox SET failures = :failures, not_before = NULL WHERE id = :id", failures=failures - 1, id=first)
        before = world.now()
        settle(world, holder, failed=(first,))
        [row] = world.rows(
            "SELECT failures, not_before - make_interval(secs => :pause) AS at FROM campusg.outbox WHERE id = :id", id=first, pause=pause
        )
        assert row["failures"] == failures
        assert before <= row["at"] <= world.now()
    # The longest pause is the one that no test outlasts.
    assert values(world) == [b"b0"]
    world.rows("UPDATE campusg.outbox SET not_before = clock_timestamp()")
    assert values(world) == [b"a0", b"a1", b"b0"]


def test_only_acknowledged_rows_are_deleted(world: World) -> None:
    world.queue(new_id(), *(message(str(number)) for number in range(4)))
    first, second, *_ = ids(world)
    settle(world, new_id(), acknowledged=(first,), failed=(second,))
    assert len(ids(world)) == 3
    assert second in ids(world)


def test_waiting_names_the_buckets_that_have_something_due(world: World) -> None:
    due, put_off = UUID(int=3), UUID(int=4)
    world.queue(due, message("a"))
    world.queue(put_off, message("b"))
    world.rows("UPDATE campusg.outbox SET failures = 10")
    settle(world, new_id(), failed=(ids(world)[1],))
    with world.engine.begin() as session:
        assert outbox.waiting(session, EVERY) == [3]
        assert outbox.waiting(session, [4, 5]) == []


def test_an_empty_outbox_is_read_once_a_look_and_not_once_a_bucket(world: World) -> None:
    scans = sa.text("SELECT seq_scan + idx_scan FROM pg_stat_xact_user_tables WHERE relname = 'outbox'")
    with world.engine.begin() as session:
        before = session.execute(scans).scalar_one()
        assert outbox.waiting(session, EVERY) == []
        assert session.execute(scans).scalar_one() - before == 1
