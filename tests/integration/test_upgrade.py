"""A release that finds an earlier one's sagas in its tables, and one that finds a newer one's."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.errors import HeldBySaga, WrongStatus
from chalicelib.ids import new_id_source
from chalicelib.messages.envelope import MessageContext, Outgoing, from_json
from chalicelib.operations import operate
from chalicelib.operations.audit import violations
from chalicelib.operations.call import Call
from chalicelib.operations.cancel import cancel_order
from chalicelib.operations.sweep import Sweeper
from chalicelib.orders.queries import get_order
from chalicelib.sagas.state import Saga
from chalicelib.sagas.store import AS_JSON, saga_of
from tests.support.database import Placed, World
from tests.support.interleaving import ADMIN, CUSTOMER
from tests.support.kafka_records import Record
from tests.support.released_sagas import Frozen, frozen
from tests.support.saga_language import WILLING, header, reply_to
from tests.support.scene import consume

PARTNERS_ID = re.compile(r"\b(pay|esc)_(?=\d+\b)")


def of_its_own(each: Frozen) -> Frozen:
    """Each file's partners counted their ids from one; in one database no two orders may have the same."""
    rows = PARTNERS_ID.sub(lambda found: f"{found[0]}{each.file}_", json.dumps(each.rows, default=str))
    return replace(each, rows=from_json(rows))


ROWS = [of_its_own(each) for each in frozen()]
TABLES = {"orders": "order", "sagas": "sagas", "order_history": "order_history"}


@pytest.fixture
def old(world: World) -> World:
    """A database in which an earlier release left orders at every place of every saga."""
    insert(world, ROWS)
    return world


def insert(world: World, rows: Iterable[Frozen]) -> None:
    """Put frozen rows into the tables, in one transaction per order; columns that are newer than the rows get their defaults."""
    with world.engine.begin() as session:
        for each in rows:
            for table, name in TABLES.items():
                found = each.rows[name]
                for row in [found] if isinstance(found, dict) else found:
                    columns = ", ".join(row)
                    session.exec_driver_sql(
                        f"INSERT INTO campusg.{table} ({columns}) SELECT {columns} FROM jsonb_populate_record(NULL::campusg.{table}, %s)",
                        (json.dumps(row, default=str),),
                    )


def sagas(world: World) -> list[Saga]:
    return [saga_of(row["saga"]) for row in world.rows(f"SELECT {AS_JSON} AS saga FROM campusg.sagas s ORDER BY saga_id")]


def unended(world: World) -> list[Saga]:
    return [saga for saga in sagas(world) if not saga.ended]


def willing_answer(world: World, saga: Saga) -> Record:
    """What a partner says to the command that the saga awaits."""
    assert saga.pending
    command = saga.pending.message
    with world.engine.begin() as session:
        order = get_order(session, saga.order_id)
    assert order
    type = WILLING[header(command, "ce_type")]
    named = from_json(command.value or b"{}")
    ids = {name: f"{name} of {saga.order_id}" for name in ("paymentId", "escrowId") if name not in named}
    reply = reply_to(command, order, type, **ids)
    headers = {
        "ce_specversion": "1.0",
        "ce_id": f"reply to {saga.pending.command_id}",
        "ce_type": reply.TYPE,
        "ce_source": "/campusg/partner",
        "ce_sagaid": str(saga.saga_id),
        "ce_causationid": saga.pending.command_id,
    }
    data = json.dumps(reply.data()).encode()
    return Record(reply.TOPIC, command.key, data, tuple((name, text.encode()) for name, text in headers.items()))


def sweep(world: World) -> None:
    """Let every deadline have passed, and everything be published; then the clock calls."""
    world.forget_outbox()
    world.make_due()
    Sweeper(world.database, world.rules, lambda _keys: None, new_id_source).sweep()


def retry(world: World, saga: Saga) -> None:
    with world.engine.begin() as session:
        operate.retry(session, Call(world.rules, ADMIN, MessageContext("corr"), new_id_source()), saga.saga_id)


def drive(world: World) -> None:
    """Answer whatever is awaited, in batches, until every saga has ended; an operator retries what a refusal has suspended."""
    for _ in range(20):
        left = unended(world)
        if not left:
            return
        for saga in left:
            if saga.pending is None:
                retry(world, saga)
        asked = [saga for saga in unended(world) if saga.pending and saga.pending.attempts]
        consume(world, [willing_answer(world, saga) for saga in asked])
        if any(saga.pending and not saga.pending.attempts for saga in unended(world)):
            sweep(world)
    raise AssertionError(f"stuck: {[(saga.name, saga.status, saga.current_step) for saga in unended(world)]}")


def audited(world: World) -> list[Any]:
    with world.engine.begin() as session:
        return list(violations(session))


def test_frozen_orders_fit_into_todays_tables_and_are_driven_to_their_end_by_the_batch_consumer(old: World) -> None:
    assert len(unended(old)) == len(ROWS)

    drive(old)

    sagas = old.rows("SELECT status, count(*) AS number FROM campusg.sagas GROUP BY status")
    assert {row["status"] for row in sagas} == {"COMPLETED", "COMPENSATED"}
    assert old.rows("SELECT order_id FROM campusg.orders WHERE active_saga_id IS NOT NULL") == []
    assert old.dead_letters() == []
    assert audited(old) == []


def test_the_clock_sends_what_an_old_release_has_written_down_again_as_it_was(old: World) -> None:
    awaited = {saga.saga_id: saga.pending for saga in unended(old) if saga.due_at and saga.pending}

    sweep(old)

    last_copies = {saga.pending.command_id for saga in sagas(old) if saga.pending}
    sent = {message.id: message for message in old.outbox() if message.topic.endswith("-commands")}
    again = [pending for pending in awaited.values() if pending.command_id in last_copies]
    assert len(again) == len(awaited)
    for pending in again:
        message = sent[pending.command_id]
        assert Outgoing(message.topic, message.key, message.value, message.headers) == pending.message
    drive(old)


# A newer release's saga, as this one sees it


@pytest.fixture
def newer(world: World) -> Iterator[Saga]:
    """A `create_order` under way whose version this release doesn't know; after the test the release that does brings it to its end."""
    insert(world, [row for row in ROWS if str(row) == "create_order-1: authorize_payment"])
    world.rows("UPDATE campusg.sagas SET definition_version = 99")
    [saga] = unended(world)
    yield saga
    world.rows("UPDATE campusg.sagas SET definition_version = 1")
    drive(world)
    assert audited(world) == []


def state(world: World) -> Any:
    return [world.rows(f"SELECT * FROM campusg.{table}") for table in ("orders", "sagas", "order_history", "outbox")]


def test_a_reply_to_a_version_that_is_not_known_is_a_dead_letter_that_says_so(world: World, newer: Saga) -> None:
    before = world.rows("SELECT * FROM campusg.orders"), world.rows("SELECT * FROM campusg.sagas")

    consume(world, [willing_answer(world, newer)])

    [letter] = world.dead_letters()
    assert (letter["error_class"], letter["error"]) == ("UnknownDefinition", "create_order version 99 is not known here")
    assert (letter["saga_id"], letter["order_id"]) == (newer.saga_id, newer.order_id)
    assert (world.rows("SELECT * FROM campusg.orders"), world.rows("SELECT * FROM campusg.sagas")) == before


def test_the_clock_leaves_a_version_that_is_not_known_alone(world: World, newer: Saga) -> None:
    world.make_due()
    before = state(world)

    Sweeper(world.database, world.rules, lambda _keys: None, new_id_source).sweep()

    assert state(world) == before


def test_neither_operator_nor_customer_undoes_a_version_that_is_not_known(world: World, newer: Saga) -> None:
    before = state(world)
    with pytest.raises(WrongStatus, match="version 99 is not known"), world.engine.begin() as session:
        operate.compensate(session, Call(world.rules, ADMIN, MessageContext("corr"), new_id_source()), newer.saga_id)
    with pytest.raises(HeldBySaga), world.engine.begin() as session:
        cancel_order(session, Call(world.rules, CUSTOMER, MessageContext("corr"), new_id_source()), newer.order_id, None)
    assert state(world) == before


def test_an_expiry_during_a_version_that_is_not_known_is_noted_for_whoever_ends_the_saga(world: World, newer: Saga) -> None:
    headers = {"ce_specversion": "1.0", "ce_id": "expiry-1", "ce_type": "payment.authorization_expired", "ce_source": "/bank"}
    data = {"orderId": str(newer.order_id), "paymentId": "pay_1"}
    record = Record(
        "payment-events",
        str(newer.order_id).encode(),
        json.dumps(data).encode(),
        tuple((name, text.encode()) for name, text in headers.items()),
    )

    consume(world, [record])

    order = world.order(Placed(newer.order_id, newer.saga_id))
    assert (order["authorization_expired"], order["active_saga_id"], order["version"]) == (True, newer.saga_id, 3)
    assert [saga.pending for saga in unended(world)] == [newer.pending]
    assert world.dead_letters() == []
    # The release that knows the version ends the saga, and cancels at once.
    world.rows("UPDATE campusg.sagas SET definition_version = 1")
    drive(world)
    assert world.order(Placed(newer.order_id, newer.saga_id))["order_status"] == "CANCELLED"
