"""Tables are made once, whoever asks how often."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from alembic import command

from chalicelib.db import migrations
from chalicelib.db.connection import make_engine
from chalicelib.db.migrations import upgrade
from chalicelib.db.roles import ROLE_SETTINGS

TABLES = {"alembic_version", "dead_letters", "delivery_failures", "order_history", "orders", "outbox", "outbox_buckets", "sagas"}


def look(url: str, statement: str) -> list[str]:
    """The first column of what the statement finds, over a new connection."""
    engine = make_engine(url, pool_size=1)
    try:
        with engine.connect() as session:
            return [str(value) for value in session.execute(sa.text(statement)).scalars()]
    finally:
        engine.dispose()


def tables(url: str) -> set[str]:
    return set(look(url, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'campusg'"))


def test_an_empty_database_gets_all_tables_and_a_second_upgrade_changes_nothing(empty_database: str) -> None:
    upgrade(empty_database)
    assert tables(empty_database) >= TABLES
    upgrade(empty_database)
    assert len(look(empty_database, "SELECT bucket FROM campusg.outbox_buckets")) == 64


def test_upgrades_at_once_take_turns(empty_database: str) -> None:
    start = threading.Barrier(4)

    def run() -> None:
        start.wait(5)
        upgrade(empty_database)

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(run) for _ in range(4)]:
            future.result(20)
    assert tables(empty_database) >= TABLES


@pytest.mark.parametrize(("name", "value"), ROLE_SETTINGS.items())
def test_new_connections_of_the_role_are_set_up_so(empty_database: str, name: str, value: str) -> None:
    upgrade(empty_database)
    assert look(empty_database, f"SHOW {name}") == [value]


def test_an_upgrade_that_fails_leaves_nothing_behind(empty_database: str) -> None:
    engine = make_engine(empty_database, pool_size=1)
    with engine.begin() as session:
        session.execute(sa.text("CREATE SCHEMA campusg"))
        session.execute(sa.text("CREATE TABLE campusg.outbox (id int)"))
    engine.dispose()
    with pytest.raises(sa.exc.ProgrammingError, match="already exists"):
        upgrade(empty_database)
    assert tables(empty_database) == {"outbox"}


def test_there_is_no_way_back(fresh_database: str) -> None:
    engine = make_engine(fresh_database, pool_size=1)
    with pytest.raises(RuntimeError, match="taken back"), engine.begin() as connection:
        command.downgrade(migrations._config(connection), "base")
    engine.dispose()
    assert tables(fresh_database) >= TABLES
