"""What the simulation takes for granted of PostgreSQL: each test runs on the tables in memory and on PostgreSQL itself."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from chalicelib.db.connection import make_engine
from chalicelib.db.pages import Page
from chalicelib.db.states import sql_state
from chalicelib.ids import new_id, new_id_source
from chalicelib.messages.envelope import Incoming, MessageContext
from chalicelib.messaging import dead_letters, failures, outbox
from chalicelib.messaging.dead_letters import DeadLetter
from chalicelib.operations import sweep
from chalicelib.operations.call import Call
from chalicelib.operations.create import create_order
from chalicelib.orders.access import Viewer
from chalicelib.orders.changes import Cause
from chalicelib.orders.order import OrderStatus, PaymentStatus
from chalicelib.orders.partner_ids import Claim
from chalicelib.sagas import engine, store
from chalicelib.sagas.engine import UnitOfWork, unit_of_work
from tests.simulation.ports import in_memory
from tests.simulation.tables import Alone, Session, Tables
from tests.support.database import NEW_ORDER
from tests.support.examples import RULES

CONTEXT = MessageContext("corr-1")
CAUSE = Cause("system", CONTEXT)
LATER = datetime(2126, 1, 1, tzinfo=UTC)
EVERYTHING = Page(LATER, 100)
RECORD = Incoming("user-events", 1, 7, b"key", b"value", ())


@dataclass
class Ground:
    """Where transactions come from, two of which may be open at once."""

    open: Callable[[], Any]

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """One transaction of its own."""
        session = self.open()
        yield session
        session.commit()

    def placed(self) -> UUID:
        """A new order, committed."""
        order_id = new_id()
        with self.transaction() as session:
            place(session, order_id)
        return order_id

    def changed(self, order_id: UUID, **changes: Any) -> None:
        with self.transaction() as session, unit_of_work(session, RULES, order_ids=[order_id]) as work:
            change(work, order_id, **changes)


@pytest.fixture(params=["in memory", "PostgreSQL"])
def ground(request: pytest.FixtureRequest) -> Iterator[Ground]:
    if request.param == "in memory":
        tables = Tables(Alone())
        tables.backends.update(range(100))
        with in_memory():
            yield Ground(lambda: Session(tables, next(backends)))
        return
    engine = make_engine(request.getfixturevalue("fresh_database"), pool_size=10, discreet=False)
    opened: list[sa.Connection] = []

    def begin() -> sa.Connection:
        opened.append(engine.connect())
        opened[-1].execute(sa.text("SET LOCAL lock_timeout = '100ms'"))
        return opened[-1]

    yield Ground(begin)
    for session in opened:
        session.close()
    engine.dispose()


backends = iter(range(100))


def place(session: Any, order_id: UUID) -> Call:
    call = Call(RULES, Viewer("cust_1", frozenset({"customer"})), CONTEXT, new_id_source())
    create_order(session, call, order_id, NEW_ORDER)
    return call


def change(work: UnitOfWork, order_id: UUID, **changes: Any) -> None:
    work.change(replace(work.orders[order_id], **changes), CAUSE, new_id_source())


def seen(session: Any, order_id: UUID) -> UnitOfWork:
    return engine.lock(session, RULES, order_ids=[order_id])


@contextmanager
def refused(code: str) -> Iterator[None]:
    with pytest.raises(sa.exc.DBAPIError) as raised:
        yield
    assert sql_state(raised.value) == code


# Transactions


def test_each_statement_sees_what_had_committed_when_it_began(ground: Ground) -> None:
    order_id, writer, reader = new_id(), ground.open(), ground.open()
    place(writer, order_id)
    assert order_id not in seen(reader, order_id).orders

    writer.commit()

    assert order_id in seen(reader, order_id).orders


def test_what_is_rolled_back_was_never_there(ground: Ground) -> None:
    order_id, writer = new_id(), ground.open()
    place(writer, order_id)
    writer.rollback()

    with ground.transaction() as session:
        assert order_id not in seen(session, order_id).orders


def test_a_transaction_sees_its_own_changes(ground: Ground) -> None:
    order_id = new_id()
    with ground.transaction() as session:
        place(session, order_id)
        work = seen(session, order_id)
        assert work.orders[order_id].active_saga_id in work.sagas


def test_a_locked_order_is_waited_for_and_others_are_not(ground: Ground) -> None:
    mine, other = ground.placed(), ground.placed()
    holder, waiter = ground.open(), ground.open()
    seen(holder, mine)

    assert other in seen(waiter, other).orders
    with refused("55P03"):
        seen(waiter, mine)
    waiter.rollback()
    holder.commit()

    with ground.transaction() as session:
        assert mine in seen(session, mine).orders


def test_who_gets_a_lock_sees_what_its_last_holder_wrote(ground: Ground) -> None:
    order_id = ground.placed()
    ground.changed(order_id, cancel_reason="because")

    with ground.transaction() as session:
        order = seen(session, order_id).orders[order_id]
    assert (order.cancel_reason, order.version) == ("because", 2)


# Keys


def test_an_order_has_one_saga_that_has_not_ended(ground: Ground) -> None:
    order_id, session = ground.placed(), ground.open()
    [saga] = seen(session, order_id).sagas.values()

    with refused("23505"):
        store.insert_sagas(session, [replace(saga, saga_id=new_id())])
        session.commit()


def test_a_version_of_an_order_has_one_entry(ground: Ground) -> None:
    order_id, session = ground.placed(), ground.open()
    work = seen(session, order_id)
    work._orders[order_id] = replace(work.orders[order_id], version=0)

    change(work, order_id, cancel_reason="once more")

    with refused("23505"):
        work._write()
        session.commit()


def test_a_partners_id_belongs_to_one_order(ground: Ground) -> None:
    one, other = ground.placed(), ground.placed()

    def claim(session: Any, order_id: UUID) -> None:
        with unit_of_work(session, RULES, order_ids=[order_id]) as work:
            change(work, order_id, cancel_reason="any change")
            work.claim([Claim("payment", "pay_1", order_id)])

    with ground.transaction() as session:
        claim(session, one)
    session = ground.open()
    with refused("23505"):
        claim(session, other)
        session.commit()


# The outbox


def test_rows_are_their_writers_until_they_are_given_to_the_relay(ground: Ground) -> None:
    order_id, writer = new_id(), ground.open()
    [written] = place(writer, order_id).written
    writer.commit()
    ready, behind = written.rows()
    buckets = range(outbox.BUCKETS)

    with ground.transaction() as session:
        assert (outbox.waiting(session, buckets), outbox.read(session, buckets, 10)) == ([], [])
        outbox.release(session, ready)
    with ground.transaction() as session:
        assert outbox.waiting(session, buckets) == [outbox.bucket_of(order_id)]
        assert outbox.read(session, buckets, 10) == outbox.read_newest(session, buckets, 10) == ready
        outbox.settle_own(session, [row.id for row in ready])
    with ground.transaction() as session:
        assert outbox.read(session, buckets, 10) == []
    assert (len(ready), behind) == (2, [])


def test_rows_are_numbered_as_given_and_know_what_was_ahead_of_them(ground: Ground) -> None:
    order_id, writer = new_id(), ground.open()
    [first] = place(writer, order_id).written
    writer.commit()
    with ground.transaction() as session, unit_of_work(session, RULES, order_ids=[order_id]) as work:
        change(work, order_id, cancel_reason="because")
    [second] = work.written
    ready, behind = second.rows()

    assert (ready, [row.lane for row in behind]) == ([], [(order_id, "order-events")])
    assert [row.id for row in first.rows()[0] + behind] == sorted(row.id for row in first.rows()[0] + behind)
    with ground.transaction() as session:
        assert outbox.behind(session, behind) == {behind[0].id}
        outbox.settle_own(session, [row.id for row in first.rows()[0]])
    with ground.transaction() as session:
        assert outbox.behind(session, behind) == set()


def test_a_row_that_was_put_off_holds_the_later_ones_of_its_order(ground: Ground) -> None:
    order_id, writer = new_id(), ground.open()
    [written] = place(writer, order_id).written
    writer.commit()
    first, *later = written.rows()[0]

    with ground.transaction() as session:
        outbox.release(session, later)
        outbox.put_off(session, [first.id])
    with ground.transaction() as session:
        assert outbox.read(session, range(outbox.BUCKETS), 10) == []


def test_a_bucket_has_one_holder_at_a_time(ground: Ground) -> None:
    one, other, mine = ground.open(), ground.open(), new_id()
    assert outbox.claim(one, [3, 4], mine, timedelta(seconds=60)) == [3, 4]
    assert outbox.claim(other, [3, 4, 5], new_id(), timedelta(seconds=60)) == [5]
    other.commit()
    one.commit()

    with ground.transaction() as session:
        assert outbox.claim(session, [3, 4], new_id(), timedelta(seconds=60)) == []
        outbox.settle(session, acknowledged=[], failed=[], buckets=[3], holder=new_id())
        outbox.settle(session, acknowledged=[], failed=[], buckets=[4], holder=mine)
    with ground.transaction() as session:
        assert outbox.claim(session, [3, 4], new_id(), timedelta(seconds=60)) == [4]


# What is due


def test_an_overdue_saga_says_whether_its_command_has_left_the_outbox(ground: Ground) -> None:
    order_id, writer = new_id(), ground.open()
    [written] = place(writer, order_id).written
    writer.commit()

    with ground.transaction() as session:
        [before] = sweep.read_due(session, EVERYTHING)
        assert sweep.read_due(session, Page(datetime(2000, 1, 1, tzinfo=UTC), 100)) == []
        assert sweep.read_due(session, replace(EVERYTHING, after=before.place)) == []
        outbox.settle_own(session, [row.id for row in written.rows()[0]])
    with ground.transaction() as session:
        [after] = sweep.read_due(session, EVERYTHING)
    assert (before.published, replace(before, published=True)) == (False, after)


def test_orders_are_due_by_status_time_and_nobody_who_holds_them(ground: Ground) -> None:
    open_one, delivered, held = ground.placed(), ground.placed(), ground.placed()
    opened = {
        "payment_status": PaymentStatus.AUTHORIZED,
        "payment_id": "p",
        "escrow_id": "e",
        "accept_by": datetime(2100, 1, 1, tzinfo=UTC),
    }
    for order_id in (open_one, delivered):
        end_saga(ground, order_id)
    ground.changed(open_one, order_status=OrderStatus.READY_FOR_PICKUP, **opened)
    ground.changed(held, order_status=OrderStatus.READY_FOR_PICKUP, **opened)
    ground.changed(delivered, order_status=OrderStatus.DELIVERED, runner_id="run_1", **opened)

    with ground.transaction() as session:
        assert [due.order_id for due in sweep.read_unaccepted(session, EVERYTHING)] == [open_one]
        assert sweep.read_unaccepted(session, Page(datetime(2099, 1, 1, tzinfo=UTC), 100)) == []
        assert [due.order_id for due in sweep.read_uncompleted(session, EVERYTHING, timedelta(days=1))] == [delivered]
        assert sweep.read_uncompleted(session, EVERYTHING, timedelta(days=365 * 200)) == []


def end_saga(ground: Ground, order_id: UUID) -> None:
    with ground.transaction() as session, unit_of_work(session, RULES, order_ids=[order_id]) as work:
        [saga] = work.sagas.values()
        ended = replace(saga, status=engine.SagaStatus.COMPLETED, pending=None, due_at=None, ended_at=work.moment.now)
        store.update_sagas(session, [ended])
        change(work, order_id, active_saga_id=None)


# Records that fail


def test_a_record_is_kept_once(ground: Ground) -> None:
    letters = [DeadLetter(new_id(), RECORD, "Unintelligible", "no JSON", 1) for _ in range(2)]
    now = datetime(2026, 1, 1, tzinfo=UTC)

    with ground.transaction() as session:
        [copy] = dead_letters.insert(session, letters[:1], now)
    with ground.transaction() as session:
        assert dead_letters.insert(session, letters[1:], now) == []
    assert copy.message.topic == "orders-dlq"


def test_failures_of_a_record_add_up(ground: Ground) -> None:
    with ground.transaction() as session:
        assert failures.add(session, RECORD) == 1
    with ground.transaction() as session:
        assert failures.add(session, RECORD) == 2
        failures.take_back(session, RECORD)
    with ground.transaction() as session:
        assert failures.add(session, RECORD) == 2


def test_a_batch_that_was_begun_and_not_finished_is_known(ground: Ground) -> None:
    for before in (0, 1):
        with ground.transaction() as session:
            assert failures.begin(session, [RECORD]) == before
    with ground.transaction() as session:
        failures.finish(session, [RECORD])
    with ground.transaction() as session:
        assert failures.begin(session, [RECORD]) == 0
