"""Many requests that wait, in real threads on a real database: they ask it together, and hold no connection between looks."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa

from chalicelib.db.connection import Database, make_engine
from chalicelib.runtime import runtime
from chalicelib.sagas.engine import lock
from chalicelib.sagas.queries import SagaWithOrder
from tests.integration.conftest import Service
from tests.support.database import Placed
from tests.support.statements import counted

NUMBER = 30
SECONDS = 0.4
SUSPEND = sa.text("""
    UPDATE campusg.sagas SET status = 'FAILED', due_at = NULL, error = '{"code": "silent", "detail": "no answer"}'
    WHERE saga_id = ANY(CAST(:ids AS uuid[]))""")


def test_thirty_waiting_requests_cost_hardly_more_statements_than_one(brokerless: Service) -> None:
    world, built = brokerless.world, runtime()
    placed = world.place_many(NUMBER)
    with world.engine.begin() as session:
        sagas = list(lock(session, built.rules, order_ids=[each.order_id for each in placed]).sagas.values())
    # One connection is enough: nobody holds it between looks.
    database = Database(make_engine(world.engine.url.render_as_string(hide_password=False), pool_size=1))
    built.database = database
    begun = threading.Barrier(NUMBER + 1)

    def wait(number: int) -> tuple[SagaWithOrder | None, float]:
        begun.wait(10)
        now = time.monotonic()
        return built.shared_wait.wait(sagas[number], now, now + 10), time.monotonic() - now

    with counted(database._engine) as asked, ThreadPoolExecutor(NUMBER) as threads:
        waiting = [threads.submit(wait, number) for number in range(NUMBER)]
        begun.wait(10)
        time.sleep(SECONDS)
        _suspend(world.engine, placed)
        seen = [each.result() for each in waiting]
    database.close()
    assert [each.saga.saga_id for each, _ in seen if each] == [saga.saga_id for saga in sagas]
    # Before their time is over.
    assert max(took for _, took in seen) < 10
    # One request alone takes about 40, and each for itself would take thirty times as many.
    assert asked.number <= 400
    assert asked.round_trips == asked.transactions == asked.number


def _suspend(engine: sa.Engine, placed: list[Placed]) -> None:
    with engine.begin() as session:
        session.execute(SUSPEND, {"ids": [each.saga_id for each in placed]})
