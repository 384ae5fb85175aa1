"""A reply must fit what was asked and what stands: nothing or the whole, ids that no other order has, a command that was sent."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib import import_module

import pytest
import sqlalchemy as sa

from chalicelib.ids import new_id, new_id_source
from chalicelib.messages.envelope import Incoming
from chalicelib.messaging.decode import receive
from chalicelib.operations.take_replies import Delivery, take_replies
from tests.integration.conftest import RULES, Service
from tests.support.database import Placed, World
from tests.support.edge import ADMIN, InProcess
from tests.support.eventually import eventually
from tests.support.interleaving import complete
from tests.support.kafka_records import Record, answer
from tests.support.scene import Stage, consume


def asked_to(service: Service, type: str, number: int = 1) -> list[Placed]:
    """Orders whose sagas await an answer to that command of `create_order`."""
    placed = service.world.place_many(number)
    while (commands := service.world.pending_of(placed))[0].type != type:
        consume(service.world, [answer(command) for command in commands])
    service.world.forget_outbox()
    return placed


def maybe_held(service: Service) -> Placed:
    """An order whose hold may have been made: its saga awaits what undoes whatever stands."""
    [placed] = asked_to(service, "escrow.hold")
    service.world.rows("UPDATE campusg.sagas SET pending = jsonb_set(pending, '{attempts}', '5')")
    service.world.make_due()
    service.app.entrypoints.schedules.sweep_timeouts()
    service.world.forget_outbox()
    assert "escrowId" not in service.world.pending(placed).data
    return placed


def errors(service: Service) -> list[tuple[str, str]]:
    return [(letter["error_class"], letter["error"]) for letter in service.world.dead_letters()]


ANOTHERS = ("Misfit", "does not fit the command: its {}Id is that of another order")


@pytest.mark.parametrize("amount", ["5.00", "12.98", "13.00", "0.01", "-12.99", "25.98"])
def test_what_undoes_a_hold_gives_back_nothing_or_the_whole(brokerless: Service, amount: str) -> None:
    placed = maybe_held(brokerless)
    awaited = brokerless.world.pending(placed)

    consume(brokerless.world, [answer(awaited, amount=amount, escrowId="esc_1")])

    assert errors(brokerless) == [("Misfit", "does not fit the command")]
    assert brokerless.world.pending(placed) == awaited


@pytest.mark.parametrize("said", [{"amount": "0.00"}, {"amount": "12.99", "escrowId": "esc_1"}, {"amount": "12.99"}])
def test_what_undid_nothing_or_the_whole_of_a_hold_is_taken(brokerless: Service, said: dict[str, str]) -> None:
    placed = maybe_held(brokerless)

    consume(brokerless.world, [answer(brokerless.world.pending(placed), **said)])

    assert brokerless.world.dead_letters() == []
    assert brokerless.world.pending(placed).type == "payment.release"


@pytest.mark.parametrize("amount", ["0.00", "5.00", "12.98"])
def test_a_runner_is_paid_the_whole(world: World, amount: str) -> None:
    stage = Stage(world)
    scene = stage.scene("DELIVERED", pool=1)
    complete()(scene)
    while world.pending(place := Placed(scene.order_id, scene.holder["saga_id"])).type != "escrow.release":
        scene.answer_next()
    record = scene.work(scene.unworked()[0])
    assert record

    consume(world, [replace(record.again(), value=(record.value or b"").replace(b'"12.99"', f'"{amount}"'.encode()))])
    assert [letter["error_class"] for letter in world.dead_letters()] == ["Misfit"]
    assert world.pending(place).type == "escrow.release"

    scene.take(record)
    assert scene.order["order_status"] == "COMPLETED"
    stage.close()


@pytest.mark.parametrize(("type", "name"), [("payment.authorize", "payment"), ("escrow.hold", "escrow")])
def test_an_id_that_another_order_has_is_a_dead_letter_and_the_right_one_is_taken_later(brokerless: Service, type: str, name: str) -> None:
    first, second = asked_to(brokerless, type, 2)
    consume(brokerless.world, [answer(brokerless.world.pending(first))])
    taken = brokerless.world.order(first)[f"{name}_id"]
    awaited = brokerless.world.pending(second)

    consume(brokerless.world, [answer(awaited, **{f"{name}Id": taken})])
    assert errors(brokerless) == [(ANOTHERS[0], ANOTHERS[1].format(name))]
    assert brokerless.world.pending(second) == awaited

    consume(brokerless.world, [answer(awaited)])
    assert brokerless.world.order(second)[f"{name}_id"] == f"{taken[:4]}{second.order_id}"


def test_of_two_replies_with_one_id_in_a_batch_the_first_is_taken_and_the_rest_of_the_batch_goes_on(brokerless: Service) -> None:
    placed = asked_to(brokerless, "payment.authorize", 6)
    commands = brokerless.world.pending_of(placed)
    records = [answer(command, **({"paymentId": "pay_one"} if number in (1, 4) else {})) for number, command in enumerate(commands)]

    assert brokerless.on_events(*records) == {"batchItemFailures": []}

    statuses = [brokerless.world.order(each)["payment_status"] for each in placed]
    assert statuses == ["AUTHORIZED"] * 4 + ["PENDING", "AUTHORIZED"]
    [letter] = brokerless.world.dead_letters()
    assert (letter["error_class"], letter["order_id"], letter["delivery_count"]) == ("Misfit", placed[4].order_id, 1)


def test_a_reply_that_is_not_taken_takes_no_id(brokerless: Service) -> None:
    first, second = asked_to(brokerless, "payment.authorize", 2)
    wrong = answer(brokerless.world.pending(first), paymentId="pay_one", amount="1.00")
    consume(brokerless.world, [wrong])

    consume(brokerless.world, [answer(brokerless.world.pending(second), paymentId="pay_one")])

    assert brokerless.world.order(second)["payment_id"] == "pay_one"
    assert brokerless.world.order(first)["payment_id"] is None


def test_what_undoes_a_hold_of_another_order_is_a_dead_letter(brokerless: Service) -> None:
    [other] = asked_to(brokerless, "escrow.hold")
    consume(brokerless.world, [answer(brokerless.world.pending(other))])
    placed = maybe_held(brokerless)

    theirs = brokerless.world.order(other)["escrow_id"]
    consume(brokerless.world, [answer(brokerless.world.pending(placed), escrowId=theirs, amount="12.99")])

    assert errors(brokerless) == [(ANOTHERS[0], ANOTHERS[1].format("escrow"))]


def test_of_two_transactions_that_take_one_id_the_later_waits_and_refuses_it(brokerless: Service) -> None:
    world = brokerless.world
    first, second = asked_to(brokerless, "payment.authorize", 2)
    one, other = (answer(world.pending(each), paymentId="pay_one") for each in (first, second))
    waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%campusg.partner_ids%'"
    with ThreadPoolExecutor(1) as pool, world.engine.connect() as session:
        taken = take_replies(session, RULES, [delivery_of(one)])
        # With which what was written goes along.
        session.execute(sa.text("SELECT 1"))
        later = pool.submit(consume, world, [other])
        eventually(lambda: world.rows(waiting), what="waiting for the id")
        session.commit()
        later.result(10)

    assert taken.counts["RepliesTaken"] == 1
    assert [letter["order_id"] for letter in world.dead_letters()] == [second.order_id]
    assert world.order(first)["payment_id"] == "pay_one"


def delivery_of(record: Record) -> Delivery:
    incoming = Incoming(record.topic, record.partition, record.offset, record.key, record.value, record.headers)
    return Delivery(receive(incoming), new_id_source(), new_id())


def test_a_letter_with_another_orders_id_can_not_be_redriven(brokerless: Service, offline: InProcess) -> None:
    first, second = asked_to(brokerless, "payment.authorize", 2)
    consume(brokerless.world, [answer(brokerless.world.pending(each), paymentId="pay_one") for each in (first, second)])
    [letter] = brokerless.world.dead_letters()

    for body in ({}, {"dryRun": True}):
        refused = offline.post(f"/api/dead-letters/{letter['dead_letter_id']}/redrive", ADMIN, body)
        assert refused.status == 409
        assert "still can't be taken: Misfit" in refused.json()["detail"]


# Commands that a saga sent, and others


def test_a_reply_to_a_command_that_the_saga_sent_is_stale_whatever_became_of_it(brokerless: Service) -> None:
    world = brokerless.world
    [placed] = asked_to(brokerless, "payment.authorize")
    authorize = world.pending(placed)
    maybe_done = answer(authorize)
    world.rows("UPDATE campusg.sagas SET pending = jsonb_set(pending, '{attempts}', '5')")
    world.make_due()
    brokerless.app.entrypoints.schedules.sweep_timeouts()
    undo = answer(world.pending(placed))
    assert undo.topic == "payment-events"

    consume(world, [maybe_done])
    consume(world, [undo])
    consume(world, [undo.again(), maybe_done.again()])

    assert world.dead_letters() == []
    assert world.order(placed)["payment_status"] == "FAILED"


def test_a_reply_to_a_command_without_a_reply_or_of_another_saga_names_none_that_was_sent(brokerless: Service) -> None:
    world = brokerless.world
    first, second = asked_to(brokerless, "escrow.hold", 2)
    hold, others = world.pending(first), world.pending(second)
    consume(world, [answer(hold)])
    [notice] = [sent for sent in world.outbox(first) if sent.type == "notification.send"]

    late = answer(hold)
    consume(world, [late.having(ce_causationid=notice.id), late.again().having(ce_causationid=others.id)])

    assert errors(brokerless) == [("UnknownCommand", "answers a command that its saga never sent")] * 2
    assert {letter["saga_id"] for letter in world.dead_letters()} == {first.saga_id}


def test_a_letter_of_an_unknown_command_can_not_be_redriven(brokerless: Service, offline: InProcess) -> None:
    placed = brokerless.world.place()
    consume(brokerless.world, [answer(brokerless.world.pending(placed)).having(ce_causationid=str(new_id()))])
    [letter] = brokerless.world.dead_letters()

    refused = offline.post(f"/api/dead-letters/{letter['dead_letter_id']}/redrive", ADMIN, {})

    assert refused.status == 409
    assert "UnknownCommand" in refused.json()["detail"]


def test_orders_that_share_an_id_already_are_no_hindrance_to_an_upgrade_and_the_older_has_it(brokerless: Service) -> None:
    world = brokerless.world
    older, newer = world.place(), world.place()
    migration = import_module("chalicelib.db.migrations.versions.0007_partner_ids")
    with world.engine.connect() as session:
        session.execute(sa.text("DROP TABLE campusg.partner_ids"))
        session.execute(sa.text("UPDATE campusg.orders SET payment_id = 'pay_one', escrow_id = 'esc_' || order_id"))
        for statement in migration.STATEMENTS.strip().split(";\n"):
            session.execute(sa.text(statement))
        found = session.execute(sa.text("SELECT kind, id, order_id FROM campusg.partner_ids")).all()
        session.rollback()
    owned = [("escrow", f"esc_{each.order_id}", each.order_id) for each in (older, newer)]
    assert {tuple(row) for row in found} == {("payment", "pay_one", older.order_id), *owned}
