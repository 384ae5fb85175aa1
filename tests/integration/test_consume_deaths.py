"""Records of which the function dies: nothing can be counted afterwards, and still they don't block their partition for ever."""

import os
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from chalicelib.entrypoints import kafka, schedules
from chalicelib.operations.deaths import DEATHS, DELIVERIES
from chalicelib.runtime import forget
from tests.integration.conftest import Service
from tests.support.bugs import plant_bug
from tests.support.database import Placed
from tests.support.kafka_records import Record, failed_places

DIED = 137


@dataclass
class Trap:
    """While it is set, the process that takes a record of the second order ends, as the kernel has it where memory runs out."""

    is_set: bool = True

    def spring(self) -> None:
        if self.is_set:
            os._exit(DIED)


@pytest.fixture
def trap(monkeypatch: pytest.MonkeyPatch, placed: list[Placed]) -> Trap:
    made = Trap()
    plant_bug(monkeypatch, placed[1].saga_id, fault=made.spring)
    return made


def in_a_new_container(service: Service, *batches: list[Record]) -> int:
    """Take the batches in a process of its own, as Lambda does after a function died; its exit status: 0 if all were taken whole."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        # The connections are the parent's, and the runtime is not a new container's.
        service.runtime.database._engine.dispose(close=False)
        forget()
        failed = [failed_places(service.on_events(*batch)) for batch in batches]
        sys.stdout.flush()
        os._exit(1 if any(failed) else 0)
    finally:
        os._exit(2)


def test_a_record_that_kills_the_function_becomes_a_dead_letter_and_its_neighbours_go_on(
    brokerless: Service, records: list[Record], placed: list[Placed], trap: Trap
) -> None:
    statuses: list[int] = []
    while not statuses or statuses[-1] == DIED:
        assert len(statuses) < DEATHS + DELIVERIES + 1, "the partition is blocked"
        statuses.append(in_a_new_container(brokerless, records))

    assert statuses == [DIED] * (DEATHS + DELIVERIES) + [0]
    [letter] = brokerless.world.dead_letters()
    assert (letter["offset"], letter["error_class"], letter["delivery_count"]) == (records[1].offset, "FunctionDied", DELIVERIES)
    versions = [brokerless.world.order(each)["version"] for each in placed]
    assert versions == [2, 1, 2, 2]
    counted = brokerless.world.rows('SELECT "offset", failures, unfinished FROM campusg.delivery_failures')
    assert counted == [{"offset": records[1].offset, "failures": DELIVERIES, "unfinished": 0}]


def test_records_before_the_deadly_one_commit_as_soon_as_they_are_taken_one_at_a_time(
    brokerless: Service, records: list[Record], placed: list[Placed], trap: Trap
) -> None:
    for _ in range(DEATHS + 1):
        assert in_a_new_container(brokerless, records) == DIED

    assert [brokerless.world.order(each)["version"] for each in placed] == [2, 1, 1, 1]


def test_a_container_that_finished_a_batch_counts_nothing_more(brokerless: Service, records: list[Record], trap: Trap) -> None:
    for _ in range(DEATHS + 1):
        assert in_a_new_container(brokerless, records[2:], records) == DIED

    assert brokerless.world.rows("SELECT 1 FROM campusg.delivery_failures") == []


def test_what_was_counted_is_forgotten_once_the_batch_is_finished(brokerless: Service, records: list[Record], trap: Trap) -> None:
    assert in_a_new_container(brokerless, records) == DIED
    counted = brokerless.world.rows('SELECT "offset", failures, unfinished FROM campusg.delivery_failures')
    assert counted == [{"offset": records[0].offset, "failures": 0, "unfinished": 1}]

    trap.is_set = False
    assert failed_places(brokerless.on_events(*records)) == []
    assert brokerless.world.rows("SELECT 1 FROM campusg.delivery_failures") == []


def test_an_error_that_the_container_survives_is_no_death(
    brokerless: Service, records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant_bug(monkeypatch)
    for _ in range(DEATHS + 1):
        assert failed_places(brokerless.on_events(records[0])) == [records[0].place]

    counted = brokerless.world.rows("SELECT failures, unfinished FROM campusg.delivery_failures")
    assert counted == [{"failures": DEATHS + 1, "unfinished": 0}]


def test_an_outage_met_while_records_are_taken_one_at_a_time_is_no_death(
    brokerless: Service, records: list[Record], monkeypatch: pytest.MonkeyPatch, trap: Trap
) -> None:
    for _ in range(DEATHS):
        assert in_a_new_container(brokerless, records) == DIED

    def away(*arguments: Any, **named: Any) -> None:
        raise ConnectionResetError("the database is away")

    with monkeypatch.context() as patch:
        patch.setattr(kafka, "take_replies", away)
        with pytest.raises(ConnectionResetError):
            brokerless.on_events(*records)
    assert brokerless.world.rows("SELECT 1 FROM campusg.delivery_failures") == []


def test_counts_of_records_that_nothing_was_heard_of_for_a_week_are_purged(
    brokerless: Service, records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant_bug(monkeypatch)
    brokerless.on_events(*records[:2])
    age = 'UPDATE campusg.delivery_failures SET last_at = clock_timestamp() - CAST(:age AS interval) WHERE "offset" = :offset'
    brokerless.world.rows(age, age="7 days 1 minute", offset=records[0].offset)
    brokerless.world.rows(age, age="6 days 23 hours", offset=records[1].offset)

    schedules.purge_expired()

    left = brokerless.world.rows('SELECT "offset" FROM campusg.delivery_failures')
    assert left == [{"offset": records[1].offset}]
