"""Records that fail without being at fault, and databases that fail: nothing is lost, nothing half done, neighbours go on."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from chalicelib.entrypoints import kafka
from chalicelib.errors import RecordsFailed
from chalicelib.messages.topics import TRIGGERS
from chalicelib.operations.deaths import DELIVERIES
from chalicelib.sagas.engine import UnitOfWork
from tests.integration.conftest import Service
from tests.support.bugs import plant_bug
from tests.support.database import Placed, World
from tests.support.failing import raising, role_set
from tests.support.kafka_records import Record, answer, failed_places

NOBODY: dict[str, Any] = {"batchItemFailures": []}


def versions(world: World, placed: list[Placed]) -> list[int]:
    rows = {row["order_id"]: row["version"] for row in world.rows("SELECT order_id, version FROM campusg.orders")}
    return [rows[each.order_id] for each in placed]


@pytest.fixture
def placed(brokerless: Service) -> list[Placed]:
    """Eight orders whose customers are being checked."""
    return brokerless.world.place_many(8)


def test_a_record_that_raises_is_reported_with_exactly_its_place_and_its_neighbours_commit(
    brokerless: Service, placed: list[Placed], records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant_bug(monkeypatch, placed[3].saga_id)
    response = brokerless.on_events(*records)
    assert failed_places(response) == [records[3].place]
    assert versions(brokerless.world, placed) == [2, 2, 2, 1, 2, 2, 2, 2]


def test_later_records_of_its_order_are_reported_too_but_not_blamed(
    brokerless: Service, placed: list[Placed], records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant_bug(monkeypatch, placed[3].saga_id)
    later = records[3].again()
    response = brokerless.on_events(*records, later)
    assert failed_places(response) == [records[3].place, later.place]
    counted = brokerless.world.rows('SELECT "offset", failures FROM campusg.delivery_failures')
    assert counted == [{"offset": records[3].offset, "failures": 1}]


def test_after_five_deliveries_the_record_is_a_dead_letter_and_the_later_ones_of_its_order_are_not(
    brokerless: Service, placed: list[Placed], records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant_bug(monkeypatch, placed[0].saga_id)
    later = records[0].again()
    for _ in range(DELIVERIES - 1):
        assert failed_places(brokerless.on_events(records[0], later)) == [records[0].place, later.place]
        assert brokerless.world.dead_letters() == []
    assert failed_places(brokerless.on_events(records[0], later)) == [later.place]
    [letter] = brokerless.world.dead_letters()
    assert (letter["offset"], letter["error_class"], letter["error"]) == (records[0].offset, "ZeroDivisionError", "a bug")
    assert (letter["delivery_count"], letter["type"]) == (DELIVERIES, "user.customer_validated")


@pytest.mark.parametrize("table", ["orders", "sagas"])
def test_what_the_database_refuses_is_narrowed_down_to_its_record_and_the_rest_commits(
    brokerless: Service, placed: list[Placed], records: list[Record], table: str
) -> None:
    with raising(brokerless.world, "P0001", table, placed[5]):
        response = brokerless.on_events(*records)
    assert failed_places(response) == [records[5].place]
    assert versions(brokerless.world, placed) == [2, 2, 2, 2, 2, 1, 2, 2]
    assert brokerless.on_events(records[5]) == NOBODY
    assert versions(brokerless.world, placed) == [2] * 8


def test_what_the_halves_commit_is_published_once(service: Service) -> None:
    placed = service.world.place_many(8)
    service.world.forget_outbox()
    records = [answer(command) for command in service.world.pending_of(placed)]
    with raising(service.world, "P0001", only=placed[0]):
        assert failed_places(service.on_events(*records)) == [records[0].place]
    commands = service.topic("payment-commands")
    assert sorted(command.key for command in commands if command.key) == sorted(str(each.order_id).encode() for each in placed[1:])
    assert service.world.outbox() == []


def test_after_five_refusals_by_the_database_the_record_is_a_dead_letter(
    brokerless: Service, placed: list[Placed], records: list[Record]
) -> None:
    with raising(brokerless.world, "P0001", only=placed[5]):
        responses = [failed_places(brokerless.on_events(records[5])) for _ in range(DELIVERIES)]
    assert responses == [[records[5].place]] * (DELIVERIES - 1) + [[]]
    [letter] = brokerless.world.dead_letters()
    assert (letter["error_class"], letter["error"]) == ("raise_exception", "SQLSTATE P0001 (raise_exception)")


@pytest.mark.breaks_invariants("a row is spoiled")
def test_a_saga_that_can_not_be_read_is_narrowed_down_to_its_record(
    brokerless: Service, placed: list[Placed], records: list[Record]
) -> None:
    brokerless.world.rows("UPDATE campusg.sagas SET steps = '7' WHERE saga_id = :id", id=placed[2].saga_id)
    assert failed_places(brokerless.on_events(*records)) == [records[2].place]
    assert versions(brokerless.world, placed) == [2, 2, 1, 2, 2, 2, 2, 2]


def test_an_order_that_somebody_else_has_locked_is_delivered_again_and_never_a_dead_letter(
    brokerless: Service, placed: list[Placed], records: list[Record]
) -> None:
    with role_set(brokerless.world, "lock_timeout", "30ms"), brokerless.world.engine.begin() as other:
        brokerless.runtime.database.close()
        other.execute(sa.text("SELECT 1 FROM campusg.orders WHERE order_id = :id FOR UPDATE"), {"id": placed[4].order_id})
        for _ in range(DELIVERIES + 1):
            assert failed_places(brokerless.on_events(*records)) == [records[4].place]
            other.execute(sa.text("SELECT 1"))
    assert versions(brokerless.world, placed) == [2, 2, 2, 2, 1, 2, 2, 2]
    assert brokerless.world.dead_letters() == []
    assert brokerless.on_events(records[4]) == NOBODY
    assert versions(brokerless.world, placed) == [2] * 8


def killed(session: sa.Connection, world: World) -> None:
    backend = session.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
    world.rows("SELECT pg_terminate_backend(:pid)", pid=backend)


def not_serialized(session: sa.Connection, world: World) -> None:
    session.exec_driver_sql("DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = 'serialization_failure'; END $$")


def read_only(session: sa.Connection, world: World) -> None:
    session.exec_driver_sql("DO $$ BEGIN RAISE EXCEPTION 'replica' USING ERRCODE = 'read_only_sql_transaction'; END $$")


@pytest.mark.parametrize("harm", [killed, not_serialized, read_only])
def test_a_transient_failure_is_raised_and_leaves_nothing_half_done(
    brokerless: Service, placed: list[Placed], records: list[Record], harm: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    write = UnitOfWork._write

    def interrupted(self: UnitOfWork) -> Any:
        keys = write(self)
        harm(self._session, brokerless.world)
        return keys

    before = brokerless.world.outbox()
    with monkeypatch.context() as patch:
        patch.setattr(UnitOfWork, "_write", interrupted)
        with pytest.raises((sa.exc.DBAPIError, OSError)):
            brokerless.on_events(*records)
    assert versions(brokerless.world, placed) == [1] * 8
    assert brokerless.world.outbox() == before
    assert brokerless.world.rows("SELECT 1 FROM campusg.delivery_failures") == []
    assert brokerless.on_events(*records) == NOBODY
    assert versions(brokerless.world, placed) == [2] * 8


def test_what_was_committed_before_a_transient_failure_is_published(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    placed = service.world.place_many(4)
    service.world.forget_outbox()
    records = [answer(command) for command in service.world.pending_of(placed)]
    take, sizes = kafka.take_replies, []

    def interrupted(session: sa.Connection, rules: Any, deliveries: Any) -> Any:
        sizes.append(len(deliveries))
        if sizes == [4]:
            session.exec_driver_sql("SELECT 1 / 0")
        if sizes == [4, 2, 2]:
            killed(session, service.world)
        return take(session, rules, deliveries)

    monkeypatch.setattr(kafka, "take_replies", interrupted)
    with pytest.raises(sa.exc.DBAPIError):
        service.on_events(*records)
    assert versions(service.world, placed) == [2, 2, 1, 1]
    assert {command.key for command in service.topic("payment-commands")} == {str(each.order_id).encode() for each in placed[:2]}


def test_a_deadlock_is_tried_once_more(
    brokerless: Service, placed: list[Placed], records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    take, tries = kafka.take_replies, []

    def deadlocked(session: sa.Connection, rules: Any, deliveries: Any) -> Any:
        tries.append(len(deliveries))
        if len(tries) == 1:
            session.exec_driver_sql("DO $$ BEGIN RAISE EXCEPTION 'deadlock' USING ERRCODE = 'deadlock_detected'; END $$")
        return take(session, rules, deliveries)

    monkeypatch.setattr(kafka, "take_replies", deadlocked)
    assert brokerless.on_events(*records) == NOBODY
    assert tries == [8, 8]
    assert versions(brokerless.world, placed) == [2] * 8


def test_what_is_not_begun_before_the_deadline_is_reported_as_failed(
    brokerless: Service, placed: list[Placed], records: list[Record]
) -> None:
    assert failed_places(brokerless.on_events(*records, milliseconds=2_000)) == sorted(record.place for record in records)
    assert versions(brokerless.world, placed) == [1] * 8


def test_batches_of_the_same_orders_at_once_take_each_reply_once(brokerless: Service, placed: list[Placed], records: list[Record]) -> None:
    start = threading.Barrier(4)
    responses: list[Any] = []

    def run(copies: list[Record]) -> None:
        start.wait(5)
        responses.append(brokerless.on_events(*copies))

    batches = [[record.again() for record in (records if number % 2 else reversed(records))] for number in range(4)]
    threads = [threading.Thread(target=run, args=(batch,)) for batch in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert responses == [NOBODY] * 4
    assert versions(brokerless.world, placed) == [2] * 8
    assert len(brokerless.world.rows("SELECT 1 FROM campusg.order_history WHERE version = 2")) == 8


def test_where_the_mapping_reads_no_answer_a_failed_record_is_raised_and_the_others_are_taken(
    brokerless: Service,
    placed: list[Placed],
    records: list[Record],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant_bug(monkeypatch, placed[3].saga_id)
    whole_batches = tuple(replace(trigger, report_item_failures=False) for trigger in TRIGGERS)
    monkeypatch.setattr(kafka, "TRIGGERS", whole_batches)

    with pytest.raises(RecordsFailed, match="1 of 8 records"):
        brokerless.on_events(*records)
    assert versions(brokerless.world, placed) == [2, 2, 2, 1, 2, 2, 2, 2]

    for _ in range(DELIVERIES - 2):
        with pytest.raises(RecordsFailed):
            brokerless.on_events(*records)
    assert brokerless.on_events(*records) == NOBODY
    assert [letter["offset"] for letter in brokerless.world.dead_letters()] == [records[3].offset]
