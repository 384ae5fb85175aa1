"""What one saga leaves behind, counted: rows changed beside the old ones, index entries, bytes of the log."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from chalicelib.db.connection import make_engine
from chalicelib.messaging.outbox import Written
from tests.integration.conftest import RULES
from tests.support.database import World
from tests.support.eventually import eventually
from tests.support.kafka_records import answer
from tests.support.scene import consume
from tests.support.servers import PostgresServer

SAGAS = 20
# Measured 23.0 kB: the outbox's eight rows 9.5 and their index entries 1.8, the saga's three versions 6.2.
MOST_BYTES = 24_500
TURNS = 3
CHANGED = "SELECT relname, n_tup_upd - n_tup_hot_upd AS moved, n_tup_hot_upd AS hot FROM pg_stat_user_tables WHERE schemaname = 'campusg'"


class Publishing(World):
    """Whoever places an order publishes what he wrote: nothing is given to the relay."""

    def leave(self, *written: Written) -> None:
        pass


def log_position(session: sa.Connection) -> int:
    return int(session.execute(sa.text("SELECT pg_current_wal_insert_lsn() - CAST('0/0' AS pg_lsn)")).scalar_one())


@pytest.fixture
def quiet(postgres_server: PostgresServer) -> Iterator[PostgresServer]:
    """The server, with nobody but the test writing into its log: it is one for all databases, and so is autovacuum."""
    server = postgres_server.server
    server.execute("ALTER SYSTEM SET autovacuum = off")
    server.execute("SELECT pg_reload_conf()")
    eventually(
        lambda: not server.execute("SELECT 1 FROM pg_stat_activity WHERE backend_type LIKE 'autovacuum%'"), what="the end of autovacuum"
    )
    yield postgres_server
    server.execute("ALTER SYSTEM RESET autovacuum")
    server.execute("SELECT pg_reload_conf()")


def test_a_saga_writes_few_bytes_and_only_its_end_into_indexes(quiet: PostgresServer, migrated_template: str) -> None:
    """Sagas of several orders at once, each reply by itself; whole pages in the log, after a checkpoint, don't count."""
    url = quiet.create_database(template=migrated_template)
    engine = make_engine(url, pool_size=1)
    world = Publishing(engine, RULES)
    with engine.connect() as session:
        begun, pages = log_position(session), whole_pages(session)
    placed = world.place_many(SAGAS)
    for _ in range(TURNS):
        world.forget_outbox()
        for command in world.pending_of(placed):
            consume(world, [answer(command)])
    world.forget_outbox()
    with engine.connect() as session:
        written = log_position(session) - begun
        written -= 8192 * (whole_pages(session) - pages)
        changed = {row.relname: (row.moved / SAGAS, row.hot / SAGAS) for row in session.execute(sa.text(CHANGED))}
    assert world.rows("SELECT DISTINCT status FROM campusg.sagas") == [{"status": "COMPLETED"}]
    assert changed["sagas"] == (1, 2)
    assert changed["orders"] == (3, 0)
    assert written / SAGAS < MOST_BYTES
    engine.dispose()
    quiet.drop_database(url)


def whole_pages(session: sa.Connection) -> int:
    session.execute(sa.text("SELECT pg_stat_force_next_flush()"))
    session.commit()
    return int(session.execute(sa.text("SELECT wal_fpi FROM pg_stat_wal")).scalar_one())
