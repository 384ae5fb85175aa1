"""What goes once a time is set: orders that ended, whole and at once; everything else stays."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from chalicelib.entrypoints import schedules
from chalicelib.ids import new_id, new_id_source
from chalicelib.messages.envelope import MessageContext, Outgoing
from chalicelib.operations.purge import purge_orders
from chalicelib.orders.changes import Cause
from chalicelib.sagas.complete_order import COMPLETE_ORDER
from chalicelib.sagas.engine import unit_of_work
from tests.integration.conftest import Service
from tests.support.scene import Scene, Stage

AT_ONCE = timedelta(0)
OF_AN_ORDER = {
    "orders": "order_id",
    "order_history": "order_id",
    "sagas": "order_id",
    "partner_ids": "order_id",
    "order_setbacks": "order_id",
}


def ended(stage: Stage) -> Scene:
    """An order that was completed and of which all was published."""
    scene = stage.scene("DELIVERED", pool=3)
    with stage.world.engine.begin() as session, unit_of_work(session, stage.world.rules, order_ids=[scene.order_id]) as work:
        work.start(COMPLETE_ORDER, work.orders[scene.order_id], Cause("customer:cust_1", MessageContext("corr")), new_id_source())
    scene.settle()
    assert scene.order["order_status"] == "COMPLETED"
    return scene


def left(scene: Scene) -> list[str]:
    """The tables that still have rows of the order."""
    found = {table: f"SELECT 1 FROM campusg.{table} WHERE {column} = :id" for table, column in OF_AN_ORDER.items()}
    return [table for table, statement in found.items() if scene.stage.rows(statement, id=scene.order_id)]


def test_an_ended_order_goes_with_all_that_is_of_it(stage: Stage) -> None:
    gone, stays = ended(stage), stage.scene("DELIVERED")
    stays.publish()
    stage.rows("INSERT INTO campusg.order_setbacks VALUES (:id, 1, 1, clock_timestamp())", id=gone.order_id)
    assert left(gone) == list(OF_AN_ORDER)
    assert purge_orders(stage.world.database, AT_ONCE) == 1
    assert left(gone) == []
    assert left(stays) == ["orders", "order_history", "sagas", "partner_ids"]
    assert purge_orders(stage.world.database, AT_ONCE) == 0


def test_an_order_stays_until_its_time_is_over_and_nothing_of_it_waits(stage: Stage) -> None:
    scene = ended(stage)
    assert purge_orders(stage.world.database, timedelta(minutes=1)) == 0
    stage.world.queue(scene.order_id, Outgoing("order-events", b"key", b"value", ()))
    assert purge_orders(stage.world.database, AT_ONCE) == 0
    stage.world.forget_outbox()
    letter = new_id()
    stage.rows(
        """INSERT INTO campusg.dead_letters (dead_letter_id, topic, partition, "offset", content_hash, headers, order_id, error_class,
            error, delivery_count, at) VALUES (:id, 't', 0, 0, 'h', '[]', :order_id, 'Misfit', 'e', 1, clock_timestamp())""",
        id=letter,
        order_id=scene.order_id,
    )
    assert purge_orders(stage.world.database, AT_ONCE) == 0
    stage.rows("UPDATE campusg.dead_letters SET redriven_at = clock_timestamp()")
    assert purge_orders(stage.world.database, AT_ONCE) == 1


def test_an_order_that_somebody_has_locked_is_left_to_the_next_time(stage: Stage) -> None:
    locked, other = ended(stage), ended(stage)
    with stage.world.engine.begin() as session:
        session.execute(sa.text("SELECT 1 FROM campusg.orders WHERE order_id = :id FOR NO KEY UPDATE"), {"id": locked.order_id})
        assert purge_orders(stage.world.database, AT_ONCE) == 1
    assert (left(other), left(locked)[:1]) == ([], ["orders"])


def test_a_transaction_purges_a_few_and_a_call_all(stage: Stage) -> None:
    scenes = [ended(stage) for _ in range(5)]
    assert purge_orders(stage.world.database, AT_ONCE, most_at_once=2) == 5
    assert not any(left(scene) for scene in scenes)


def test_what_comes_later_of_a_purged_order_is_stale(stage: Stage) -> None:
    scene, young = ended(stage), stage.scene("NEW")
    young.publish()
    [reply] = [young.work(place) for place in young.unworked()]
    assert reply
    purge_orders(stage.world.database, AT_ONCE)
    scene.take(*scene.replies)
    assert stage.world.dead_letters() == []
    # One that never was is still a dead letter.
    stage.rows("UPDATE campusg.purged SET saga_id = CAST(:id AS uuid)", id=str(scene.saga_id))
    strange = tuple((name, str(new_id()).encode() if name == "ce_sagaid" else value) for name, value in reply.headers)
    scene.take(type(reply)(reply.topic, reply.key, reply.value, strange))
    assert [letter["error_class"] for letter in stage.world.dead_letters()] == ["UnknownSaga"]


@pytest.mark.parametrize(("days", "stays"), [(0, True), (-1, False)])
def test_the_scheduled_function_purges_where_a_time_is_set(stage: Stage, brokerless: Service, days: int, stays: bool) -> None:
    """A day less than none makes every ended order old enough."""
    scene = ended(stage)
    brokerless.runtime.settings = brokerless.runtime.settings.model_copy(update={"purge_after_days": days})
    schedules.purge_expired()
    assert bool(left(scene)) is stays
