"""The board: counted as things are, equal while nothing happens, and as dear with many finished orders as with few."""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from chalicelib.entrypoints.health import VERSION
from chalicelib.operations import board
from chalicelib.operations.board import read_board
from chalicelib.operations.samples import MINUTE, Measured, take_samples
from tests.integration.conftest import Service
from tests.support.database import World, in_bulk
from tests.support.edge import ADMIN, InProcess
from tests.support.fates import Fates, fates
from tests.support.kafka_records import Record
from tests.support.statements import Executed, captured

PATH = "/api/board"
QUIET = Measured(0.0, 0, 0)


@pytest.fixture
def told(brokerless: Service, database_url: str, tmp_path: Path) -> Iterator[Fates]:
    with fates(brokerless, database_url, tmp_path) as fate:
        yield fate


def shown(http: InProcess) -> dict[str, Any]:
    """The board as an admin reads it."""
    answer = http.get(PATH, ADMIN)
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.json()
    return found


def sample(world: World, now: datetime, measured: Measured = QUIET) -> int:
    with world.engine.begin() as session:
        return take_samples(session, now, measured)


def numbers(items: list[Mapping[str, Any]], *names: str) -> dict[Any, int]:
    return {tuple(item[name] for name in names): item["number"] for item in items}


def test_orders_and_sagas_under_way_are_counted_as_they_are(told: Fates, offline: InProcess) -> None:
    told.opened()
    told.accepted()
    told.refused_payout(told.delivered(told.accepted()))
    told.completed(told.delivered(told.accepted()))
    told.place()
    told.place()

    found = shown(offline)

    assert {status: number for (status,), number in numbers(found["orders"], "status").items() if number} == {
        "CREATED": 2,
        "READY_FOR_PICKUP": 1,
        "ACCEPTED": 1,
        "DELIVERED": 1,
    }
    assert len(found["orders"]) == 8, "zeros, too"
    assert numbers(found["sagas"], "name", "status") == {("create_order", "RUNNING"): 2, ("complete_order", "FAILED"): 1}
    assert not any(item["atLeast"] for item in (*found["orders"], *found["sagas"]))
    assert (found["development"], found["version"]) == (True, VERSION)


def test_what_waits_is_counted_and_the_oldest_message_told(told: Fates, offline: InProcess) -> None:
    told.place()
    [[oldest]] = [list(row.values()) for row in told.service.world.rows("SELECT min(created_at) FROM campusg.outbox")]
    told.service.on_events(*(Record("user-events", b"k", b"{", (("ce_sagaid", b"x"),)) for _ in range(2)))

    found = shown(offline)

    waiting = told.service.world.rows("SELECT count(*) AS number FROM campusg.outbox")[0]["number"]
    assert (found["outbox"]["waiting"], found["outbox"]["atLeast"]) == (waiting, False)
    assert abs(datetime.fromisoformat(found["outbox"]["oldestAt"]) - oldest) < timedelta(milliseconds=1)
    assert found["deadLetters"] == {"waiting": 2, "atLeast": False, "byError": [{"errorClass": "Unintelligible", "number": 2}]}


def test_of_a_kind_no_more_are_counted_than_the_limit(told: Fates, offline: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(board.PARAMETERS, "most", 1)
    told.place()
    assert not any(item["atLeast"] for item in (*shown(offline)["orders"], *shown(offline)["sagas"]))
    told.place()
    told.service.on_events(*(Record("user-events", b"k", b"{", (("ce_sagaid", b"x"),)) for _ in range(2)))

    found = shown(offline)

    assert [item for item in found["orders"] if item["number"]] == [{"status": "CREATED", "number": 1, "atLeast": True}]
    assert [item["atLeast"] for item in found["sagas"]] == [True]
    assert (found["outbox"]["waiting"], found["outbox"]["atLeast"]) == (1, True)
    assert (found["deadLetters"]["waiting"], found["deadLetters"]["atLeast"]) == (1, True)


def test_an_empty_board_is_whole(offline: InProcess) -> None:
    found = shown(offline)
    assert [item["number"] for item in (*found["orders"], *found["ended"])] == [0] * 11
    assert (found["sagas"], found["minutes"]) == ([], [])
    assert found["outbox"] == {"waiting": 0, "atLeast": False, "oldestAt": None}
    assert found["deadLetters"] == {"waiting": 0, "atLeast": False, "byError": []}
    assert found["invariants"] == {"violations": None, "at": None}


def test_a_board_on_which_nothing_has_changed_is_not_sent_again(told: Fates, offline: InProcess) -> None:
    told.place()
    tag = offline.get(PATH, ADMIN).headers["ETag"]
    for tags in (tag, f'"1", W/{tag}', "*"):
        again = offline.get(PATH, ADMIN, If_None_Match=tags)
        assert (again.status, again.body, again.headers["ETag"]) == (304, b"", tag)

    told.place()

    assert offline.get(PATH, ADMIN, If_None_Match=tag).status == 200


def test_one_statement_makes_the_board(told: Fates, offline: InProcess) -> None:
    told.place()
    with captured(told.service.runtime.database._engine) as executed:
        shown(offline)
    assert len(executed) == 1


FINISHED = """
SET LOCAL session_replication_role = replica;
SET LOCAL statement_timeout = 0;
CREATE TEMP TABLE copies ON COMMIT DROP AS
SELECT CAST(lpad(to_hex(i), 12, '0') || '70008000' || lpad(to_hex(i), 12, '0') AS uuid) AS id FROM generate_series(1, 6000) i;
INSERT INTO campusg.orders SELECT (jsonb_populate_record(o, jsonb_build_object('order_id', id))).*
FROM campusg.orders o, copies WHERE o.order_status = 'COMPLETED';
INSERT INTO campusg.sagas SELECT (jsonb_populate_record(s, jsonb_build_object('order_id', id, 'saga_id', id))).*
FROM copies, campusg.sagas s
WHERE s.saga_id = ANY(ARRAY(SELECT saga_id FROM campusg.sagas WHERE ended_at IS NOT NULL ORDER BY status = 'COMPENSATED' DESC LIMIT 1))
"""


@pytest.mark.breaks_invariants("finished orders are copied without their history")
def test_as_many_blocks_are_read_for_many_finished_orders_as_for_few(told: Fates) -> None:
    """Neither by the board nor by a sample; what is under way is the same."""
    world = told.service.world
    told.completed(told.delivered(told.accepted()))
    told.compensate(told.place())
    told.accepted()
    told.place()
    vacuum(world)
    few = blocks(world)
    with in_bulk(world.engine.url).begin() as session:
        for statement in FINISHED.split(";\n"):
            session.exec_driver_sql(statement)
    vacuum(world)

    many = blocks(world)

    # A tree of 6,000 entries is a block or two higher, and each of the counts goes down one.
    assert [(name, read, many[name]) for name, read in few.items() if many[name] > read + 30] == []
    assert [plan for plan in plans(world) if re.search("Seq Scan on (orders|sagas) |sagas_pkey on sagas s ", plan)] == []


def executed(world: World, session: sa.Connection) -> list[Executed]:
    with captured(world.engine) as seen:
        read_board(session)
        take_samples(session, datetime.now(UTC) + MINUTE, QUIET)
    return seen


def blocks(world: World) -> dict[str, int]:
    """How many blocks each statement of the board and of a sample reads."""
    read: dict[str, int] = {}
    with world.engine.connect() as session:
        for each in executed(world, session):
            [plan] = session.exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {each.text}", each.parameters).scalar_one()
            read[each.text.strip()[:40]] = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
        session.rollback()
    assert len(read) == 3
    return read


def plans(world: World) -> list[str]:
    with world.engine.connect() as session:
        found = [each.plan(session) for each in executed(world, session)]
        session.rollback()
    return found


def vacuum(world: World) -> None:
    with in_bulk(world.engine.url).connect().execution_options(isolation_level="AUTOCOMMIT") as session:
        session.exec_driver_sql("VACUUM ANALYZE campusg.orders, campusg.sagas, campusg.samples")
