"""Lists of dead letters: newest first, by cursor, narrowed, and never by reading the whole table; those that wait are counted."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa

from chalicelib.db.connection import make_engine
from chalicelib.messaging import dead_letter_queries
from chalicelib.messaging.dead_letter_queries import DeadLetterFilters, list_dead_letters, read_dead_letter, waiting
from infra.stack.clock import scheduled_event
from tests.integration.conftest import Context, Service
from tests.support.database import in_bulk
from tests.support.edge import ADMIN, InProcess
from tests.support.kafka_records import Record, answer
from tests.support.servers import PostgresServer
from tests.support.statements import captured

PATH = "/api/dead-letters"
FIELDS = [
    *("at", "deadLetterId", "deliveryCount", "dismissedAt", "error", "offset", "orderId", "partition", "redrivenAt", "sagaId"),
    *("topic", "type"),
]


def broken(topic: str = "user-events") -> Record:
    return Record(topic, b"k", b"{", ())


def listed(http: InProcess, **query: Any) -> Any:
    answered = http.get(PATH, ADMIN, query)
    assert answered.status == 200, answered
    return answered.json()


def offsets(http: InProcess, **query: Any) -> list[int]:
    return [item["offset"] for item in listed(http, **query)["items"]]


def test_the_newest_come_first_and_a_cursor_leads_through_all_of_them(brokerless: Service, offline: InProcess) -> None:
    records = [broken() for _ in range(5)]
    brokerless.on_events(*records)
    pages, cursor = [], ""
    while cursor is not None:
        page = listed(offline, limit=2, cursor=cursor)
        pages.append([item["offset"] for item in page["items"]])
        cursor = page["nextCursor"]
        brokerless.on_events(broken())

    newest_first = [record.offset for record in reversed(records)]
    assert pages == [newest_first[:2], newest_first[2:4], newest_first[4:]]


def test_an_item_has_the_fields_of_the_contract(brokerless: Service, offline: InProcess) -> None:
    placed = brokerless.world.place()
    record = answer(brokerless.world.pending(placed), customerId="cust_2")
    brokerless.on_events(record)

    page = listed(offline)
    [item] = page["items"]

    assert (sorted(page), page["limit"], page["nextCursor"]) == (["items", "limit", "nextCursor"], 10, None)
    assert sorted(item) == FIELDS
    assert (item["topic"], item["partition"], item["offset"]) == (record.topic, record.partition, record.offset)
    assert (item["orderId"], item["sagaId"], item["type"]) == (str(placed.order_id), str(placed.saga_id), "user.customer_validated")
    assert (item["error"], item["deliveryCount"]) == ("Misfit: does not fit the command", 1)
    assert item["redrivenAt"] is item["dismissedAt"] is None


def dismissed(service: Service, letter: UUID) -> None:
    """Dismissed by hand."""
    statement = (
        "UPDATE campusg.dead_letters SET dismissed_at = at, dismissed_by = 'admin:a', dismiss_reason = 'x' WHERE dead_letter_id = :id"
    )
    service.world.rows(statement, id=letter)


def test_those_dismissed_no_longer_wait_and_are_a_list_of_their_own(brokerless: Service, offline: InProcess) -> None:
    first, second, third = records = [broken() for _ in range(3)]
    brokerless.on_events(*records)
    ids = {row["offset"]: row["dead_letter_id"] for row in brokerless.world.dead_letters()}
    brokerless.world.rows("UPDATE campusg.dead_letters SET redriven_at = at WHERE dead_letter_id = :id", id=ids[first.offset])
    dismissed(brokerless, ids[second.offset])

    assert offsets(offline) == [third.offset, second.offset, first.offset]
    assert offsets(offline, redriven="false") == offsets(offline, redriven="false", dismissed="false") == [third.offset]
    assert offsets(offline, dismissed="true") == offsets(offline, redriven="false", dismissed="true") == [second.offset]
    assert offsets(offline, dismissed="false") == [third.offset, first.offset]
    assert offsets(offline, redriven="true") == offsets(offline, redriven="true", dismissed="false") == [first.offset]
    assert offsets(offline, redriven="true", dismissed="true") == []


def test_lists_are_narrowed(brokerless: Service, offline: InProcess) -> None:
    placed = brokerless.world.place()
    misfit, other = answer(brokerless.world.pending(placed), customerId="cust_2"), broken("payment-events")
    brokerless.on_events(misfit)
    brokerless.on_events(other)
    brokerless.world.rows("UPDATE campusg.dead_letters SET redriven_at = at WHERE topic = 'payment-events'")

    assert offsets(offline, errorClass="Misfit") == offsets(offline, topic="user-events") == offsets(offline, redriven="false")
    assert offsets(offline, orderId=placed.order_id) == offsets(offline, sagaId=placed.saga_id) == [misfit.offset]
    assert offsets(offline, redriven="true") == offsets(offline, errorClass="Unintelligible") == [other.offset]
    assert offsets(offline, redriven="true", errorClass="Misfit") == offsets(offline, orderId=uuid4()) == []
    assert offsets(offline) == [other.offset, misfit.offset]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in ("redriven", "dismissed") for value in ("", "True", "1", "yes")),
        *(("errorClass", value) for value in ("", "a b", "\x00", "x" * 101, "Café")),
        *(("topic", value) for value in ("", "a/b", "\x00", "x" * 250)),
        *((name, value) for name in ("orderId", "sagaId") for value in ("", "7", "0" * 36)),
        *(("limit", value) for value in ("0", "101")),
        *(("cursor", "x"), ("page", "1"), ("status", "FAILED")),
    ],
)
def test_a_parameter_that_is_not_understood_is_refused_by_name(offline: InProcess, name: str, value: str) -> None:
    problem = offline.get(PATH, ADMIN, {name: value}).problem(422, "invalid")
    assert [error["pointer"] for error in problem["errors"]] == [name]


@pytest.mark.parametrize("name", ["redriven", "dismissed", "errorClass", "topic", "orderId", "sagaId", "limit", "cursor"])
def test_a_parameter_given_twice_is_refused(offline: InProcess, name: str) -> None:
    offline.get(PATH, ADMIN, {name: ["1", "1"]}).problem(422, "invalid")


def test_those_that_wait_are_a_metric_each_minute_also_where_there_are_none(
    brokerless: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("POWERTOOLS_METRICS_DISABLED")

    def counted() -> list[int]:
        brokerless.app.audit_invariants(scheduled_event("audit_invariants", datetime.now(UTC)), Context())
        metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "DeadLettersWaiting" in line]
        return [metric["DeadLettersWaiting"] for metric in metrics]

    assert counted() == [0]
    brokerless.on_events(broken(), broken())
    assert counted() == [2]
    [one, other] = brokerless.world.dead_letters()
    brokerless.world.rows("UPDATE campusg.dead_letters SET redriven_at = at WHERE dead_letter_id = :id", id=one["dead_letter_id"])
    assert counted() == [1]
    dismissed(brokerless, other["dead_letter_id"])
    assert counted() == [0]


ROWS = 100_000
FILL = f"""
INSERT INTO campusg.dead_letters (dead_letter_id, topic, partition, "offset", content_hash, key, value, headers, type, order_id, saga_id,
    error_class, error, delivery_count, at, redriven_at, dismissed_at, dismissed_by, dismiss_reason)
SELECT ('01920000-0000-7000-a000-' || lpad(to_hex(i), 12, '0'))::uuid,
    (ARRAY['user-events', 'payment-events', 'escrow-events'])[i % 3 + 1], i % 3, i, '\\x00', 'k', repeat('v', 200)::bytea, '[]',
    'payment.authorized', ('01920000-0000-7000-8000-' || lpad(to_hex(i / 2), 12, '0'))::uuid,
    ('01920000-0000-7000-9000-' || lpad(to_hex(i / 2), 12, '0'))::uuid,
    CASE WHEN i % 1000 = 0 THEN 'UnknownSaga' ELSE 'Misfit' END, 'x', 1, clock_timestamp(),
    CASE WHEN i % 50 NOT IN (0, 1) THEN clock_timestamp() END, CASE WHEN i % 50 = 1 THEN clock_timestamp() END,
    CASE WHEN i % 50 = 1 THEN 'admin:a' END, CASE WHEN i % 50 = 1 THEN 'x' END
FROM generate_series(1, {ROWS}) i"""
LAST = UUID(f"01920000-0000-7000-a000-{500:012x}")


@pytest.fixture(scope="module")
def full(postgres_server: PostgresServer, migrated_template: str) -> Iterator[sa.Engine]:
    """A database with 100,000 dead letters, most of them redriven."""
    url = postgres_server.create_database(template=migrated_template)
    engine = make_engine(url, pool_size=1)
    with in_bulk(url).begin() as session:
        session.exec_driver_sql(FILL)
    with sa.create_engine(url, isolation_level="AUTOCOMMIT").connect() as session:
        session.exec_driver_sql("VACUUM ANALYZE campusg.dead_letters")
    yield engine
    engine.dispose()
    postgres_server.drop_database(url)


Run = Callable[[sa.Connection], object]
FILTERS = {
    "none": DeadLetterFilters(),
    "a further page": DeadLetterFilters(after=LAST),
    "a common class": DeadLetterFilters(error_class="Misfit"),
    "a rare class": DeadLetterFilters(error_class="UnknownSaga"),
    "a class of none": DeadLetterFilters(error_class="KeyError"),
    "a topic": DeadLetterFilters(topic="user-events"),
    "a topic without any": DeadLetterFilters(topic="orders-dlq"),
    "an order": DeadLetterFilters(order_id=UUID("01920000-0000-7000-8000-000000000007")),
    "a saga": DeadLetterFilters(saga_id=UUID("01920000-0000-7000-9000-000000000007")),
    "those that wait": DeadLetterFilters(redriven=False),
    "those that wait, of a rare class": DeadLetterFilters(redriven=False, error_class="UnknownSaga"),
    "those redriven": DeadLetterFilters(redriven=True),
    "those dismissed": DeadLetterFilters(dismissed=True),
    "all but those dismissed": DeadLetterFilters(dismissed=False),
}
STATEMENTS: dict[str, Run] = {
    **{f"list: {name}": lambda session, filters=filters: list_dead_letters(session, filters, 10) for name, filters in FILTERS.items()},
    "read one": lambda session: read_dead_letter(session, LAST),
    "claim one": lambda session: dead_letter_queries.claim(session, LAST, datetime.now(UTC)),
    "count those that wait": waiting,
}


@pytest.mark.parametrize("run", STATEMENTS.values(), ids=STATEMENTS.keys())
def test_at_a_hundred_thousand_nothing_reads_the_whole_table(full: sa.Engine, run: Run) -> None:
    with full.connect() as session:
        with captured(full) as executed:
            run(session)
        plans = ["\n".join(session.exec_driver_sql(f"EXPLAIN {each.text}", each.parameters).scalars()) for each in executed]
        session.rollback()
    assert plans
    assert [plan for plan in plans if "Seq Scan" in plan] == []
