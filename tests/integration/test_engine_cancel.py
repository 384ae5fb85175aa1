"""An order is called off while it is being created: at each step, twice, and against a reply that comes at the same moment."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from chalicelib.errors import Forbidden, NotFound
from chalicelib.ids import new_id, new_id_source
from chalicelib.messages.envelope import MessageContext
from chalicelib.operations.call import Call, Served
from chalicelib.operations.cancel import cancel_order
from chalicelib.orders.access import Viewer
from tests.integration.conftest import Service
from tests.support.database import Placed, World
from tests.support.eventually import eventually
from tests.support.kafka_records import answer, refusal

OWNER = Viewer("cust_1", frozenset({"customer"}))


def cancel(world: World, placed: Placed, reason: str | None = "too long", viewer: Viewer = OWNER) -> Served:
    with world.engine.begin() as session:
        return cancel_order(session, Call(world.rules, viewer, MessageContext("c"), new_id_source()), placed.order_id, reason)


def answered(service: Service, placed: Placed, times: int = 1) -> None:
    for _ in range(times):
        assert service.on_events(answer(service.world.pending(placed))) == {"batchItemFailures": []}


def finish(service: Service, placed: Placed) -> list[str]:
    """Answer all commands to the saga's end; their types."""
    commands = []
    while service.world.order(placed)["active_saga_id"]:
        commands.append(service.world.pending(placed).type)
        answered(service, placed)
    return commands


@pytest.mark.parametrize(
    ("answers", "undone", "payment_status"),
    [(0, [], "FAILED"), (1, ["payment.release"], "FAILED"), (2, ["escrow.refund", "payment.release"], "RELEASED")],
)
def test_a_creation_is_compensated_at_once_and_undoes_what_may_have_been_done(
    brokerless: Service, answers: int, undone: list[str], payment_status: str
) -> None:
    world = brokerless.world
    placed = world.place()
    answered(brokerless, placed, answers)
    late = answer(world.pending(placed))
    cancel(world, placed)
    assert finish(brokerless, placed) == undone
    order, saga = world.order(placed), world.saga(placed)
    assert (order["order_status"], order["payment_status"], order["cancel_reason"]) == ("CANCELLED", payment_status, "too long")
    assert (saga["status"], saga["error"]["code"]) == ("COMPENSATED", "cancelled")
    assert [entry["version"] for entry in world.history(placed)] == list(range(1, order["version"] + 1))
    assert order["version"] == answers + 2
    ended = order, saga, world.outbox()
    brokerless.on_events(late)
    assert (world.order(placed), world.saga(placed), world.outbox()) == ended
    assert world.dead_letters() == []
    assert world.outbox()[-1].data["notificationType"] == "ORDER_CANCELLED"


def test_cancelling_again_while_it_compensates_joins(brokerless: Service) -> None:
    world = brokerless.world
    placed = world.place()
    answered(brokerless, placed, 2)
    cancel(world, placed, "first")
    before = world.order(placed), world.saga(placed), world.outbox()
    asked = cancel(world, placed, "second")
    assert (asked.saga.saga_id, asked.saga.status) == (placed.saga_id, "COMPENSATING")
    assert (world.order(placed), world.saga(placed), world.outbox()) == before
    finish(brokerless, placed)
    assert world.order(placed)["cancel_reason"] == "first"
    assert cancel(world, placed).saga.saga_id == placed.saga_id


def test_cancelling_joins_a_creation_that_was_refused_meanwhile(brokerless: Service) -> None:
    world = brokerless.world
    placed = world.place()
    answered(brokerless, placed, 2)
    brokerless.on_events(refusal(world.pending(placed)))
    asked = cancel(world, placed)
    assert (asked.saga.status, asked.saga.error and asked.saga.error.code) == ("COMPENSATING", "refused")


def test_who_may_not_cancel_changes_nothing(world: World) -> None:
    placed = world.place()
    before = world.order(placed), world.saga(placed), world.outbox()
    for viewer in (Viewer("cust_2", frozenset({"customer"})), Viewer("cust_1", frozenset({"runner"}))):
        with pytest.raises((NotFound, Forbidden)):
            cancel(world, placed, viewer=viewer)
    with pytest.raises(NotFound):
        cancel(world, Placed(new_id(), new_id()))
    assert (world.order(placed), world.saga(placed), world.outbox()) == before


def queued_up(world: World, placed: Placed, *runs: Callable[[], Any]) -> None:
    """Let the runs come to the order's lock one after the other, then let them through in that order."""
    waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    threads = [threading.Thread(target=run) for run in runs]
    with world.engine.begin() as holder:
        holder.execute(sa.text("SELECT 1 FROM campusg.orders WHERE order_id = :id FOR UPDATE"), {"id": placed.order_id})
        for number, thread in enumerate(threads, 1):
            thread.start()
            eventually(lambda number=number: len(world.rows(waits)) >= number, what="waiting for the lock")
    for thread in threads:
        thread.join(10)


def test_a_reply_that_comes_first_is_taken_and_then_undone(brokerless: Service) -> None:
    world = brokerless.world
    placed = world.place()
    answered(brokerless, placed)
    record = answer(world.pending(placed))
    queued_up(world, placed, lambda: brokerless.on_events(record), lambda: cancel(world, placed))
    assert world.order(placed)["order_status"] == "PAYMENT_AUTHORIZED"
    assert finish(brokerless, placed) == ["escrow.refund", "payment.release"]
    assert (world.order(placed)["order_status"], world.order(placed)["payment_status"]) == ("CANCELLED", "RELEASED")


def test_a_reply_that_comes_second_is_stale(brokerless: Service) -> None:
    world = brokerless.world
    placed = world.place()
    answered(brokerless, placed)
    record = answer(world.pending(placed))
    queued_up(world, placed, lambda: cancel(world, placed), lambda: brokerless.on_events(record))
    assert world.order(placed)["order_status"] == "PENDING_PAYMENT"
    assert finish(brokerless, placed) == ["payment.release"]
    assert (world.order(placed)["order_status"], world.order(placed)["payment_status"]) == ("CANCELLED", "FAILED")
    assert world.dead_letters() == []


def test_the_last_reply_before_a_cancellation_opens_the_order_and_it_is_cancelled_by_a_saga_of_its_own(brokerless: Service) -> None:
    world = brokerless.world
    placed = world.place()
    answered(brokerless, placed, 2)
    record = answer(world.pending(placed))
    queued_up(world, placed, lambda: brokerless.on_events(record), lambda: cancel(world, placed))
    assert world.saga(placed)["status"] == "COMPLETED"
    [cancelling] = world.rows("SELECT * FROM campusg.sagas WHERE ended_at IS NULL")
    assert cancelling["name"] == "cancel_order"
    second = Placed(placed.order_id, cancelling["saga_id"])
    assert finish(brokerless, second) == ["escrow.refund", "payment.release"]
    assert (world.order(placed)["order_status"], world.order(placed)["payment_status"]) == ("CANCELLED", "RELEASED")


def test_many_cancellations_and_replies_at_once_make_one_end(brokerless: Service) -> None:
    world = brokerless.world
    placed = world.place_many(12)
    for each in placed:
        answered(brokerless, each)
    records = [answer(command) for command in world.pending_of(placed)]
    start = threading.Barrier(4)

    def cancel_all() -> None:
        start.wait(5)
        for each in placed:
            cancel(world, each)

    def answer_all() -> None:
        start.wait(5)
        brokerless.on_events(*(record.again() for record in records))

    threads = [threading.Thread(target=run) for run in (cancel_all, cancel_all, answer_all, answer_all)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    for each in placed:
        finish(brokerless, each)
        history = world.history(each)
        assert [entry["version"] for entry in history] == list(range(1, len(history) + 1))
        assert [entry["status_to"] for entry in history].count("CANCELLED") == 1
        authorized = any(entry["payment_to"] == "AUTHORIZED" for entry in history)
        assert world.order(each)["payment_status"] == ("RELEASED" if authorized else "FAILED")
