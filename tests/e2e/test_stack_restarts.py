"""What dies is started again: on the same port, and it serves again."""

import os
import signal

import psutil
import pytest
from sqlalchemy import create_engine, text

from infra.stack.broker import check_reachable
from tests.support.api import AWAY
from tests.support.eventually import eventually
from tests.support.stack import PARTS, Stack, is_running

# What a loaded machine may add to the five seconds that are promised.
PATIENCE_SECONDS = 10

pytestmark = pytest.mark.embedded("it kills the embedded servers too")


@pytest.mark.parametrize("part", PARTS)
def test_a_killed_part_comes_back_where_it_was_and_orders_go_through_again(stack: Stack, part: str) -> None:
    before = stack.run_json()
    children = [child.pid for child in psutil.Process(stack.pid(part)).children(recursive=True)]

    stack.kill(part)

    after = stack.run_json()
    eventually(lambda: not any(is_running(pid) for pid in children), what="the end of what the killed part had started")
    assert after["http"]["url"] == before["http"]["url"]
    assert after["kafka"]["bootstrap"] == before["kafka"]["bootstrap"]
    assert after["postgres"]["url"] == before["postgres"]["url"]
    eventually(lambda: _order_goes_through(stack), within=PATIENCE_SECONDS, what="an order that goes through")


def test_those_who_read_from_a_killed_broker_are_started_anew(stack: Stack) -> None:
    readers = {part: stack.pid(part) for part in ("triggers", "partners")}

    stack.kill("kafka")

    eventually(lambda: all(stack.pid(part) != pid for part, pid in readers.items()), within=PATIENCE_SECONDS, what="new readers")
    assert not any(is_running(pid) for pid in readers.values())
    check_reachable(stack.run_json()["kafka"]["bootstrap"])


def test_parts_come_back_also_when_the_process_that_forks_them_is_killed(stack: Stack) -> None:
    parts = {part: stack.pid(part) for part in ("http", "triggers", "partners")}
    parents = {psutil.Process(pid).ppid() for pid in parts.values()}
    assert len(parents) == 1, "they are forked by one process"

    os.kill(parents.pop(), signal.SIGKILL)

    # Four interpreters import everything at the same time.
    eventually(lambda: all(stack.pid(part) != pid for part, pid in parts.items()), within=3 * PATIENCE_SECONDS, what="new parts")
    eventually(lambda: _order_goes_through(stack), within=PATIENCE_SECONDS, what="an order that goes through")


def test_a_part_that_is_killed_again_and_again_comes_back_each_time(stack: Stack) -> None:
    seen = {stack.pid("postgres")}
    for _ in range(4):
        os.kill(stack.pid("postgres"), signal.SIGKILL)
        eventually(lambda: stack.pid("postgres") not in seen, within=PATIENCE_SECONDS, what="the return of PostgreSQL")
        seen.add(stack.pid("postgres"))

    engine = create_engine(stack.run_json()["postgres"]["url"])
    with engine.connect() as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1
    engine.dispose()


def _order_goes_through(stack: Stack) -> bool:
    try:
        return stack.place_order(wait_seconds=5).status == 201
    except AWAY:
        return False
