"""The number of SQL statements does not depend on the number of records, sagas or rows."""

import json

import pytest

from tests.integration.conftest import Service
from tests.support.edge import NEW_ORDER, OWNER, InProcess
from tests.support.kafka_records import answer, failed_places
from tests.support.scene import consume
from tests.support.statements import Statements, counted

MOST_STATEMENTS, CROSSINGS, COMMITS = 7, 3, 2
# Of which five are its clock, the readings of its three jobs, and one that goes along and has it look later at what is not due.
MOST_STATEMENTS_OF_A_SWEEP = 10


@pytest.fixture
def warm(service: Service) -> Service:
    """A container that has taken a batch before: the first one is counted, in case the function dies of it."""
    (placed,) = service.world.place_many(1)
    (command,) = service.world.pending_of([placed])
    assert failed_places(service.on_events(answer(command))) == []
    service.world.rows("TRUNCATE campusg.orders, campusg.sagas, campusg.order_history, campusg.outbox")
    return service


def taking(service: Service, number: int) -> Statements:
    """Hand over `number` replies, publishing what follows, and count."""
    placed = service.world.place_many(number)
    service.world.forget_outbox()
    records = [answer(command) for command in service.world.pending_of(placed)]
    with counted(service.runtime.database._engine) as seen:
        assert service.on_events(*records) == {"batchItemFailures": []}
    assert service.world.outbox() == []
    statuses = service.world.rows("SELECT order_status, count(*) AS number FROM campusg.orders GROUP BY 1")
    assert statuses == [{"order_status": "PENDING_PAYMENT", "number": number}]
    service.world.rows("DELETE FROM campusg.order_history")
    service.world.rows("UPDATE campusg.orders SET active_saga_id = NULL")
    service.world.rows("DELETE FROM campusg.sagas")
    service.world.rows("DELETE FROM campusg.orders")
    return seen


def test_a_batch_of_500_replies_takes_the_statements_of_one(warm: Service) -> None:
    one, many = taking(warm, 1), taking(warm, 500)
    assert many.shapes == one.shapes
    assert many.number <= MOST_STATEMENTS
    assert (one.round_trips, one.transactions) == (many.round_trips, many.transactions) == (CROSSINGS, COMMITS)


def sweeping(service: Service, number: int) -> Statements:
    """Sweep over `number` sagas that are due, publishing what they send again, and count."""
    service.world.place_many(number)
    service.world.forget_outbox()
    service.world.make_due()
    with counted(service.runtime.database._engine) as seen:
        service.app.entrypoints.schedules.sweep_timeouts()
    assert service.world.outbox() == []
    attempts = service.world.rows("SELECT (pending ->> 'attempts')::int AS attempts, count(*) AS number FROM campusg.sagas GROUP BY 1")
    assert attempts == [{"attempts": 2, "number": number}]
    service.world.rows("TRUNCATE campusg.orders, campusg.sagas, campusg.order_history")
    return seen


def test_a_sweep_of_400_sagas_takes_the_statements_of_one(service: Service) -> None:
    one, many = sweeping(service, 1), sweeping(service, 400)
    assert many.shapes == one.shapes
    assert many.number <= MOST_STATEMENTS_OF_A_SWEEP


def changing_nothing(service: Service) -> Statements:
    """Hand over 20 replies whose commands are settled already, and count."""
    records = [answer(command) for command in service.world.pending_of(service.world.place_many(20))]
    consume(service.world, [record.again() for record in records])
    with counted(service.runtime.database._engine) as seen:
        assert failed_places(service.on_events(*records)) == []
    return seen


def test_a_batch_that_changes_nothing_takes_two_statements(warm: Service) -> None:
    seen = changing_nothing(warm)
    assert (seen.number, seen.transactions) == (2, 1)


def authorizing(service: Service, number: int) -> Statements:
    """Hand over `number` replies that each bring an id of the payment service's, and count."""
    placed = service.world.place_many(number)
    consume(service.world, [answer(command) for command in service.world.pending_of(placed)])
    service.world.forget_outbox()
    records = [answer(command) for command in service.world.pending_of(placed)]
    with counted(service.runtime.database._engine) as seen:
        assert failed_places(service.on_events(*records)) == []
    service.world.rows("TRUNCATE campusg.orders, campusg.sagas, campusg.order_history")
    return seen


def test_a_batch_of_replies_with_new_ids_takes_one_statement_more_whatever_its_size(warm: Service) -> None:
    plain = taking(warm, 1)
    # The first batch of a topic is counted, as in any container.
    authorizing(warm, 1)
    one, many = authorizing(warm, 1), authorizing(warm, 100)
    assert many.shapes == one.shapes
    assert one.number == plain.number + 1 <= MOST_STATEMENTS


def test_the_first_batch_of_a_container_takes_three_statements_more(service: Service) -> None:
    seen = changing_nothing(service)
    assert (seen.number, seen.transactions) == (5, 3)


def test_placing_an_order_takes_five_statements_and_two_transactions(service: Service, http: InProcess) -> None:
    with counted(service.runtime.database._engine) as seen:
        answered = http.post("/api/orders", OWNER, NEW_ORDER)
    assert answered.status == 202, json.dumps(answered.json())
    assert (seen.number, seen.transactions) == (5, 2)


@pytest.mark.parametrize(
    ("path", "statements"),
    [
        ("/api/orders", 1),
        ("/api/orders/{order}", 1),
        ("/api/orders/{order}/history", 1),
        ("/api/orders/{order}/timeline", 1),
        ("/api/sagas/{saga}/explanation", 1),
    ],
)
def test_a_question_takes_one_statement(service: Service, http: InProcess, path: str, statements: int) -> None:
    placed = service.world.place()
    with counted(service.runtime.database._engine) as seen:
        assert http.get(path.format(order=placed.order_id, saga=placed.saga_id), OWNER).status == 200
    assert (seen.number, seen.transactions) == (statements, 1)
