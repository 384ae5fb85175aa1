"""The database's own states, raised for real: nothing is counted, nothing lost, and the work goes on once the state is over."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa

from chalicelib.db.states import STATES, Kind
from chalicelib.observability import logger
from chalicelib.operations.deaths import DELIVERIES
from tests.integration.conftest import Service
from tests.support.database import Placed, World
from tests.support.edge import ADMIN, NEW_ORDER, OWNER, InProcess
from tests.support.eventually import eventually
from tests.support.failing import SECRET, raising, role_set, slow
from tests.support.kafka_records import Record, failed_places

NOBODY: dict[str, Any] = {"batchItemFailures": []}
ORDERS = "/api/orders"
# One of each that a statement can meet while the connection lives; those that begin with 08 or end the session have tests of their own.
AWAY = ("25006", "40001", "42501", "42P01", "53100", "53300", "55000", "57P03", "58030", "58P01")
SLOW = ("40P01", "53200", "53400", "55P03", "57014")
SOME_AWAY, SOME_SLOW = ("25006", "53100", "58030"), ("40P01", "53200", "57014")


@contextmanager
def hasty(service: Service) -> Iterator[None]:
    """Statements of the role may take 0.1 s while the block runs."""
    with role_set(service.world, "statement_timeout", "100ms"):
        service.runtime.database.close()
        yield
    service.runtime.database.close()


def versions(world: World, placed: list[Placed]) -> list[int]:
    rows = {row["order_id"]: row["version"] for row in world.rows("SELECT order_id, version FROM campusg.orders")}
    return [rows[each.order_id] for each in placed]


def lines(caplog: pytest.LogCaptureFixture) -> str:
    """The log as it is written, tracebacks included."""
    return "\n".join(logger.registered_formatter.format(record) for record in caplog.records)


def assert_nothing_is_counted(world: World) -> None:
    assert world.rows("SELECT 1 FROM campusg.delivery_failures WHERE failures > 0") == []
    assert world.dead_letters() == []


@pytest.mark.parametrize("code", (*AWAY, *SLOW))
def test_a_request_is_503_with_retry_after_and_starts_nothing(
    brokerless: Service, offline: InProcess, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    key = {"Idempotency-Key": f"once-{code}"}
    with raising(brokerless.world, code, "outbox"):
        answered = offline.post(ORDERS, OWNER, NEW_ORDER, **key)
    answered.problem(503, "unavailable")
    assert int(answered.headers["Retry-After"]) > 0
    assert SECRET not in lines(caplog) + answered.body.decode()
    assert brokerless.world.rows("SELECT 1 FROM campusg.orders") == []
    assert offline.post(ORDERS, OWNER, NEW_ORDER, **key).status == 202


@pytest.mark.parametrize("code", SOME_AWAY)
def test_while_the_database_is_away_a_batch_is_raised_as_often_as_it_comes_and_nothing_counts(
    brokerless: Service, placed: list[Placed], records: list[Record], code: str
) -> None:
    with raising(brokerless.world, code, "sagas"):
        for _ in range(DELIVERIES + 1):
            with pytest.raises(sa.exc.DBAPIError):
                brokerless.on_events(*records)
    assert versions(brokerless.world, placed) == [1] * 4
    assert_nothing_is_counted(brokerless.world)
    assert brokerless.on_events(*records) == NOBODY
    assert versions(brokerless.world, placed) == [2] * 4


@pytest.mark.parametrize("code", SOME_SLOW)
def test_a_record_that_meets_a_slow_database_alone_comes_again_without_a_count_and_its_neighbours_are_taken(
    brokerless: Service, placed: list[Placed], records: list[Record], code: str
) -> None:
    with raising(brokerless.world, code, "sagas", placed[1]):
        for _ in range(DELIVERIES + 1):
            assert failed_places(brokerless.on_events(*records)) == [records[1].place]
    assert versions(brokerless.world, placed) == [2, 1, 2, 2]
    assert_nothing_is_counted(brokerless.world)
    assert brokerless.on_events(*records) == NOBODY
    assert versions(brokerless.world, placed) == [2] * 4


def test_statements_on_one_saga_that_outlast_statement_timeout_dead_letter_no_reply(
    brokerless: Service, placed: list[Placed], records: list[Record]
) -> None:
    with slow(brokerless.world, 0.4, "sagas", placed[2]), hasty(brokerless):
        for _ in range(DELIVERIES + 1):
            # On a busy machine others may take so long, too, and come again.
            assert records[2].place in failed_places(brokerless.on_events(*records))
    assert versions(brokerless.world, placed) == [2, 2, 1, 2]
    assert_nothing_is_counted(brokerless.world)
    assert brokerless.on_events(*records) == NOBODY


def test_a_request_that_outlasts_statement_timeout_is_503(brokerless: Service, offline: InProcess) -> None:
    with slow(brokerless.world, 0.4, "orders"), hasty(brokerless):
        answered = offline.post(ORDERS, OWNER, NEW_ORDER)
    answered.problem(503, "unavailable")
    assert answered.headers["Retry-After"]


def test_two_that_lock_each_others_orders_for_good_count_nothing(brokerless: Service, placed: list[Placed], records: list[Record]) -> None:
    """A real deadlock: somebody else takes the locks in the other order, once the batch has its own."""
    locked, lock_order = threading.Event(), "SELECT 1 FROM campusg.orders WHERE order_id = :id FOR UPDATE"
    first, last = (each(placed, key=lambda one: one.order_id) for each in (min, max))
    world = brokerless.world

    def lock_backwards() -> None:
        with world.engine.begin() as other:
            other.execute(sa.text("SELECT set_config('deadlock_timeout', '10s', true)"))
            other.execute(sa.text(lock_order), {"id": last.order_id})
            locked.set()
            other.execute(sa.text(lock_order), {"id": first.order_id})

    thread = threading.Thread(target=lock_backwards)
    thread.start()
    assert locked.wait(5)
    with role_set(world, "deadlock_timeout", "50ms"):
        brokerless.runtime.database.close()
        response = brokerless.on_events(*records)
    thread.join(10)
    again = [record for record in records if record.place in failed_places(response)]
    assert again == [] or brokerless.on_events(*again) == NOBODY
    assert versions(world, placed) == [2] * 4
    assert_nothing_is_counted(world)


@pytest.mark.parametrize("code", SOME_AWAY)
def test_a_sweep_raises_while_the_database_is_away_and_pushes_nothing_back(brokerless: Service, placed: list[Placed], code: str) -> None:
    world = brokerless.world
    world.forget_outbox()
    world.make_due()
    with raising(world, code, "outbox"), pytest.raises(sa.exc.DBAPIError):
        brokerless.app.entrypoints.schedules.sweep_timeouts()
    assert {world.saga(each)["setbacks"] for each in placed} == {0}
    brokerless.app.entrypoints.schedules.sweep_timeouts()
    assert {world.saga(each)["pending"]["attempts"] for each in placed} == {2}


@pytest.mark.parametrize("code", SOME_SLOW)
def test_a_saga_that_meets_a_slow_database_alone_waits_without_a_count_and_the_others_are_swept(
    brokerless: Service, placed: list[Placed], code: str
) -> None:
    world = brokerless.world
    world.forget_outbox()
    world.make_due()
    with raising(world, code, "outbox", placed[0]):
        brokerless.app.entrypoints.schedules.sweep_timeouts()
    assert [world.saga(each)["pending"]["attempts"] for each in placed] == [1, 2, 2, 2]
    assert world.saga(placed[0])["setbacks"] == 0


def test_a_saga_that_can_not_even_be_pushed_back_stops_no_other(brokerless: Service, placed: list[Placed]) -> None:
    world = brokerless.world
    world.forget_outbox()
    world.make_due()

    def attempts_after_a_sweep() -> list[int]:
        brokerless.app.entrypoints.schedules.sweep_timeouts()
        return [world.saga(each)["pending"]["attempts"] for each in placed]

    with slow(world, 0.4, "sagas", placed[0]), hasty(brokerless):
        # On a busy machine others may take so long, too, and are left to the next sweep.
        eventually(lambda: attempts_after_a_sweep() == [1, 2, 2, 2], what="the others' copies")
    assert attempts_after_a_sweep() == [2, 2, 2, 2]


def test_whatever_else_the_database_raises_is_the_works_fault_and_its_rows_stay_secret(
    brokerless: Service, offline: InProcess, placed: list[Placed], records: list[Record], caplog: pytest.LogCaptureFixture
) -> None:
    brokerless.world.make_due()
    with raising(brokerless.world, "23514", "sagas", placed[0]):
        for _ in range(DELIVERIES):
            brokerless.on_events(records[0])
        assert offline.post(f"{ORDERS}/{placed[0].order_id}/cancel", ADMIN, {}).status == 500
        brokerless.app.entrypoints.schedules.sweep_timeouts()
    [letter] = brokerless.world.dead_letters()
    assert (letter["error_class"], letter["error"]) == ("check_violation", "SQLSTATE 23514 (check_violation)")
    said = lines(caplog)
    assert "SQLSTATE 23514 (check_violation)" in said
    for hidden in (SECRET, "UPDATE campusg", json.dumps(SECRET)):
        assert hidden not in said


def test_every_trouble_of_the_database_is_counted_for_the_alarm(
    brokerless: Service, offline: InProcess, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("POWERTOOLS_METRICS_DISABLED")
    with raising(brokerless.world, "57014"):
        offline.post(ORDERS, OWNER, NEW_ORDER)
    assert '"DatabaseUnavailable":1' in capsys.readouterr().out


def test_the_states_tried_here_are_of_their_kind() -> None:
    kinds = {state.code: state.kind for state in STATES}
    assert {kinds.get(code, kinds[code[:2]]) for code in AWAY} == {Kind.AWAY}
    assert {kinds.get(code, kinds[code[:2]]) for code in SLOW} == {Kind.SLOW}
