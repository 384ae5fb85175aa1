"""The functions that hold the service's SQL, over the tables in memory, and who asks for them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast
from unittest.mock import patch
from uuid import UUID

from chalicelib.db.pages import Page
from chalicelib.messaging import dead_letter_queries, dead_letters, failures, outbox
from chalicelib.operations import call, give_back, sweep, take_replies
from chalicelib.orders import store as order_store
from chalicelib.orders.changes import Change
from chalicelib.orders.due import DueOrder
from chalicelib.orders.order import Order, OrderStatus, PaymentStatus
from chalicelib.orders.partner_ids import Claim, Owners
from chalicelib.sagas import store as saga_store
from chalicelib.sagas.due import Due
from chalicelib.sagas.state import Saga
from tests.simulation import letters_table, outbox_table
from tests.simulation.tables import Session

Ids = Iterable[UUID]


# Orders and sagas


def lock_orders(session: Session, *, order_ids: Ids = (), saga_ids: Ids = ()) -> dict[UUID, Order]:
    session.statement("locks its orders")
    known = dict(session.items("sagas"))
    wanted = {*order_ids, *(known[saga_id].order_id for saga_id in saga_ids if saga_id in known)}
    found = {}
    for order_id in sorted(wanted):
        if session.get("orders", order_id) is not None:
            session.lock("orders", order_id)
            found[order_id] = session.get("orders", order_id)
    return found


def read_sagas(session: Session, *, order_ids: Ids = (), saga_ids: Ids = ()) -> tuple[datetime, dict[UUID, Saga]]:
    session.statement("reads its sagas")
    sagas, orders = dict(session.items("sagas")), dict(session.items("orders"))
    named = {*order_ids, *(sagas[saga_id].order_id for saga_id in saga_ids if saga_id in sagas)}
    wanted = {*saga_ids, *(orders[order_id].active_saga_id for order_id in named if order_id in orders)}
    return session.tables.now, {saga_id: saga for saga_id, saga in sagas.items() if saga_id in wanted}


def read_latest(session: Session, order_id: UUID, names: Sequence[str] = ()) -> Saga | None:
    session.statement("reads the latest saga")
    found = [saga for _, saga in session.items("sagas") if saga.order_id == order_id and (not names or saga.name in names)]
    return max(found, key=lambda saga: saga.saga_id, default=None)


def insert_orders(session: Session, orders: Sequence[Order], changes: Sequence[Change], claims: Sequence[Claim] = ()) -> None:
    if orders:
        session.statement("inserts its orders")
        for order in orders:
            session.insert("orders", order.order_id, order)
        _leave_behind(session, changes, claims)


def update_orders(session: Session, orders: Sequence[Order], changes: Sequence[Change], claims: Sequence[Claim] = ()) -> None:
    if orders:
        session.statement("updates its orders")
        _leave_behind(session, changes, claims)
        for order in orders:
            session.put("orders", order.order_id, order)


def _leave_behind(session: Session, changes: Sequence[Change], claims: Sequence[Claim]) -> None:
    for change in changes:
        session.insert("history", (change.history["order_id"], change.history["version"]), change.history)
    for claim in sorted(claims):
        session.insert("partner_ids", (claim.kind, claim.id), claim.order_id)


def insert_sagas(session: Session, sagas: Sequence[Saga]) -> None:
    if sagas:
        session.statement("inserts its sagas")
        for saga in sagas:
            session.insert("sagas", saga.saga_id, saga)
            _check_one_unended(session, saga)


def update_sagas(session: Session, sagas: Sequence[Saga]) -> None:
    if sagas:
        session.statement("updates its sagas")
        for saga in sagas:
            session.put("sagas", saga.saga_id, saga)


def _check_one_unended(session: Session, new: Saga) -> None:
    """The partial unique index: of each order one saga that has not ended."""
    others = [saga for _, saga in session.items("sagas") if saga.order_id == new.order_id and saga.saga_id != new.saga_id]
    if not new.ended and any(not saga.ended for saga in others):
        session.violated()


def owners(session: Session, wanted: Iterable[tuple[str, str]]) -> Owners:
    made = Owners(cast(Any, session), ())
    made.__dict__["_known"] = {id: session.get("partner_ids", id) for id in wanted if session.get("partner_ids", id)}
    return made


# What is due


def first_page(session: Session, most: int) -> Page:
    session.statement("reads the clock")
    return Page(session.tables.now, most)


def read_due(session: Session, page: Page) -> list[Due]:
    session.statement("reads overdue sagas")
    waits = {(each.row.ordering_key, each.message_id) for _, each in session.items("outbox")}
    due = [
        Due(saga.saga_id, saga.pending.command_id, (saga.order_id, saga.pending.command_id) not in waits, saga.due_at)
        for _, saga in session.items("sagas")
        if not saga.ended and saga.pending and saga.due_at and saga.due_at <= page.until
    ]
    return sorted((each for each in due if each.place > page.after), key=lambda each: each.place)[: page.most]


def look_later(_session: Session, _page: Page) -> None:
    """Only spares PostgreSQL work."""


def read_unaccepted(session: Session, page: Page) -> list[DueOrder]:
    return _due_orders(
        session, page, lambda order: order.accept_by if order.order_status is OrderStatus.READY_FOR_PICKUP else None, timedelta()
    )


def read_uncompleted(session: Session, page: Page, patience: timedelta) -> list[DueOrder]:
    delivered = OrderStatus.DELIVERED, PaymentStatus.AUTHORIZED
    return _due_orders(
        session, page, lambda order: order.updated_at if (order.order_status, order.payment_status) == delivered else None, patience
    )


def _due_orders(session: Session, page: Page, since: Callable[[Order], datetime | None], patience: timedelta) -> list[DueOrder]:
    session.statement("reads due orders")
    due = []
    for _, order in session.items("orders"):
        begun, setback = since(order), session.get("setbacks", order.order_id)
        if begun is None or order.active_saga_id or begun + patience > page.until:
            continue
        at = max(begun + patience, setback[1]) if setback and setback[0] == order.version else begun + patience
        if at <= page.until and (at, order.order_id) > page.after:
            due.append(DueOrder(order.order_id, begun, (at, order.order_id)))
    return sorted(due, key=lambda each: each.place)[: page.most]


def push_back(session: Session, saga_ids: Sequence[UUID], *, counted: bool = True) -> None:
    session.statement("pushes sagas back")
    for saga_id in saga_ids:
        saga = session.get("sagas", saga_id)
        if saga and saga.due_at and session.free("orders", saga.order_id):
            session.lock("orders", saga.order_id)
            session.put("sagas", saga_id, replace(saga, due_at=session.tables.now + timedelta(seconds=2 if counted else 1)))


def put_order_off(session: Session, order_id: UUID, *, counted: bool = True) -> None:
    session.statement("puts an order off")
    session.put(
        "setbacks", order_id, (session.get("orders", order_id).version, session.tables.now + timedelta(seconds=2 if counted else 1))
    )


OUTBOX = ("insert", "read", "read_newest", "waiting", "settle_own", "put_off", "release", "behind", "claim", "settle")
# Who is asked for what, wherever its callers have it from, and who answers instead.
PATCHES: tuple[tuple[Any, str, Any], ...] = (
    (order_store, "lock_orders", lock_orders),
    (order_store, "locked", lambda answer: answer),
    (order_store, "insert_orders", insert_orders),
    (order_store, "update_orders", update_orders),
    (saga_store, "read_sagas", read_sagas),
    (saga_store, "insert_sagas", insert_sagas),
    (saga_store, "update_sagas", update_sagas),
    (call, "read_latest", read_latest),
    (give_back, "read_latest", read_latest),
    (take_replies, "Owners", owners),
    *((outbox, name, getattr(outbox_table, name)) for name in OUTBOX),
    (sweep, "first_page", first_page),
    (sweep, "read_due", read_due),
    (sweep, "look_later", look_later),
    (sweep, "read_unaccepted", read_unaccepted),
    (sweep, "read_uncompleted", read_uncompleted),
    (sweep, "push_back", push_back),
    (sweep, "put_off", put_order_off),
    (dead_letters, "insert", letters_table.keep),
    (dead_letter_queries, "read_dead_letter", letters_table.read_dead_letter),
    (dead_letter_queries, "read_letter", letters_table.read_letter),
    (dead_letter_queries, "claim", letters_table.claim_letter),
    (Session, "execute", letters_table.execute),
    (failures, "add", letters_table.add_failure),
    (failures, "take_back", letters_table.take_failure_back),
    (failures, "begin", letters_table.begin),
    (failures, "finish", letters_table.finish),
)


@contextmanager
def in_memory() -> Iterator[None]:
    """Have the service's functions work on the tables in memory until the block ends."""
    with ExitStack() as stack:
        for module, name, function in PATCHES:
            stack.enter_context(patch.object(module, name, function, create=name == "execute"))
        yield
