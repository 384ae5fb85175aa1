"""Dead letters of the tests: how they come about, and how they are settled."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from chalicelib.ids import new_id
from chalicelib.messaging import dead_letters
from chalicelib.messaging.dead_letter_queries import read_dead_letter
from chalicelib.messaging.dead_letters import DeadLetter
from tests.integration.conftest import Service
from tests.support.answers import Answer
from tests.support.database import Placed, World
from tests.support.edge import ADMIN, InProcess
from tests.support.eventually import eventually
from tests.support.kafka_records import Record, answer

TABLES = ("orders", "sagas", "order_history", "outbox", "dead_letters", "delivery_failures", "idempotency_keys")


def letters_of(service: Service) -> list[str]:
    return [str(row["dead_letter_id"]) for row in service.world.dead_letters()]


def dead_letter_of(service: Service, *records: Record) -> str:
    """The id of the dead letter that these deliveries have come to."""
    for record in records:
        service.on_events(record)
    [letter] = letters_of(service)
    return letter


def of_a_newer_release(service: Service) -> tuple[Placed, str]:
    """A reply to a saga whose definition is not known here."""
    placed = service.world.place()
    service.world.rows("UPDATE campusg.sagas SET definition_version = 9 WHERE saga_id = :id", id=placed.saga_id)
    return placed, dead_letter_of(service, answer(service.world.pending(placed)))


def redrive(http: InProcess, letter: str, body: Any = None, **headers: str) -> Answer:
    return http.post(f"/api/dead-letters/{letter}/redrive", ADMIN, {} if body is None else body, **headers)


def everything(world: World) -> dict[str, Any]:
    """All rows of all tables, to the byte."""
    return {table: world.rows(f"SELECT t::text AS row FROM campusg.{table} t ORDER BY 1") for table in TABLES}


def while_a_batch_meets_it_again(world: World, placed: Placed, letter: str, settle: Callable[[], Answer]) -> Answer:
    """Settle a letter while a batch that met its record once more holds the order; the batch waits for nobody."""
    with world.engine.begin() as batch, ThreadPoolExecutor(1) as pool:
        found = read_dead_letter(batch, UUID(letter))
        assert found, "it is gone"
        shown, record = found
        batch.execute(sa.text("SELECT 1 FROM campusg.orders WHERE order_id = :id FOR NO KEY UPDATE"), {"id": placed.order_id})
        settling = pool.submit(settle)
        waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        eventually(lambda: bool(world.rows(waiting)), what="a transaction that waits")
        batch.execute(sa.text("SET LOCAL lock_timeout = '200ms'"))
        assert dead_letters.insert(batch, [DeadLetter(new_id(), record, shown.error_class, "again", 1)], datetime.now(UTC)) == []
        batch.commit()
        return settling.result(10)
