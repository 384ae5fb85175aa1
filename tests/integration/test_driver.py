"""The driver: each statement crosses the network once, BEGIN goes along, and errors leave the connection in order."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from chalicelib.db import driver
from chalicelib.db.connection import Database, make_engine, send_ahead
from chalicelib.db.states import sql_state
from tests.support.tcp_proxy import RESETTING


@pytest.fixture
def engine(fresh_database: str) -> Iterator[sa.Engine]:
    engine = make_engine(fresh_database, pool_size=1)
    with engine.begin() as session:
        session.execute(sa.text("CREATE TABLE campusg.things (id int PRIMARY KEY, name text NOT NULL)"))
    yield engine
    engine.dispose()


@pytest.fixture
def trips(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Grows with every crossing of the network."""
    counted: list[None] = []
    flush = driver._flush

    def counting(sock: Any) -> None:
        counted.append(None)
        flush(sock)

    monkeypatch.setattr(driver, "_flush", counting)
    return counted


INSERT = sa.text("INSERT INTO campusg.things VALUES (:id, :name)")
READ = sa.text("SELECT name FROM campusg.things WHERE id = :id")


def test_a_transaction_crosses_once_for_each_statement_and_once_for_its_commit(engine: sa.Engine, trips: list[None]) -> None:
    with Database(engine).transaction() as session:
        session.execute(INSERT, {"id": 1, "name": "a'b"})
        assert session.execute(READ, {"id": 1}).scalar_one() == "a'b"
        assert session.execute(sa.text("SELECT count(*) FROM campusg.things")).scalar_one() == 1
    assert len(trips) == 4


def test_a_connection_that_was_not_used_for_a_while_is_asked_first(
    engine: sa.Engine, trips: list[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chalicelib.db.connection.TRUSTED_SECONDS", 0)
    with Database(engine).transaction() as session:
        session.execute(sa.text("SELECT 1"))
    assert len(trips) == 3


@pytest.mark.parametrize(
    ("statement", "state"),
    [
        ("SELEC :id + :name", "42601"),
        ("INSERT INTO campusg.things VALUES (:id, CAST(:name AS text) || nowhere)", "42703"),
        ("INSERT INTO campusg.things VALUES (:id + 1 / 0, :name)", "22012"),
        ("INSERT INTO campusg.things VALUES (CAST(:name AS int), :id)", "22P02"),
    ],
)
@pytest.mark.parametrize("is_first", [True, False], ids=["first", "later"])
def test_after_an_error_the_next_transaction_gets_its_own_answers(engine: sa.Engine, statement: str, state: str, is_first: bool) -> None:
    database = Database(engine)
    with pytest.raises(sa.exc.DBAPIError) as raised, database.transaction() as session:
        if not is_first:
            session.execute(INSERT, {"id": 1, "name": "gone"})
        session.execute(sa.text(statement), {"id": 2, "name": "x"})
    assert sql_state(raised.value) == state

    with database.transaction() as session:
        assert session.execute(READ, {"id": 1}).all() == []
        session.execute(INSERT, {"id": 1, "name": "kept"})
    with database.transaction() as session:
        assert session.execute(READ, {"id": 1}).scalar_one() == "kept"


def test_what_can_not_be_sent_leaves_nothing_half_sent(engine: sa.Engine) -> None:
    database = Database(engine)
    with pytest.raises((sa.exc.StatementError, UnicodeEncodeError)), database.transaction() as session:
        session.execute(INSERT, {"id": 1, "name": "\ud800"})
    with database.transaction() as session:
        session.execute(INSERT, {"id": 2, "name": "b"})
        assert session.execute(sa.text("SELECT id, name FROM campusg.things")).all() == [(2, "b")]


def test_where_begin_is_refused_the_statements_own_answer_is_not_left_for_the_next(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(engine)
    with monkeypatch.context() as patch:
        patch.setattr(driver, "BEGIN", "begin transaction isolation level nonsense")
        connection = engine.raw_connection()
        connection.dbapi_connection._begins = True  # type: ignore[union-attr]
        with pytest.raises(Exception, match="syntax error"):
            connection.dbapi_connection.execute_simple("SELECT 'stale'")  # type: ignore[union-attr]
        connection.close()

    with database.transaction() as session:
        assert session.execute(sa.text("SELECT 'own'")).scalar_one() == "own"


def test_the_rows_of_a_rolled_back_transaction_are_gone(engine: sa.Engine) -> None:
    with pytest.raises(ZeroDivisionError), Database(engine).transaction() as session:
        session.execute(INSERT, {"id": 1, "name": "a"})
        raise ZeroDivisionError
    with Database(engine).transaction() as session:
        assert session.execute(READ, {"id": 1}).all() == []


def test_thousands_of_parameters_and_a_megabyte_pass(engine: sa.Engine) -> None:
    with Database(engine).transaction() as session:
        session.execute(INSERT, {"id": 1, "name": "ë" * 1_000_000})
        assert len(session.execute(READ, {"id": 1}).scalar_one()) == 1_000_000
        numbers = {f"p{number}": number for number in range(5_000)}
        listed = ", ".join(f"CAST(:{name} AS int)" for name in numbers)
        assert session.execute(sa.text(f"SELECT cardinality(ARRAY[{listed}])"), numbers).scalar_one() == len(numbers)


ADD = "INSERT INTO campusg.things VALUES ($1, $2)"
NAMES = "SELECT json_agg(name ORDER BY id) FROM campusg.things"


def test_statements_sent_ahead_cross_with_the_next_one_and_with_the_commit(engine: sa.Engine, trips: list[None]) -> None:
    with Database(engine).transaction() as session:
        send_ahead(session, ADD, "1", "a'ë")
        names, none = send_ahead(session, NAMES), send_ahead(session, "SELECT $1::text", None)
        with pytest.raises(LookupError):
            _ = names.value
        assert session.execute(READ, {"id": 1}).scalar_one() == "a'ë"
        assert (names.value, none.value) == ('["a\'ë"]', None)
        send_ahead(session, ADD, "2", "b")
        both = send_ahead(session, NAMES)
    assert both.value == '["a\'ë", "b"]'
    assert len(trips) == 2


def test_a_transaction_of_nothing_else_crosses_once(engine: sa.Engine, trips: list[None]) -> None:
    with Database(engine).transaction() as session:
        for number in range(50):
            send_ahead(session, ADD, str(number), "x" * 20_000)
    assert len(trips) == 1
    with Database(engine).transaction() as session:
        assert session.execute(sa.text("SELECT count(*) FROM campusg.things")).scalar_one() == 50


@pytest.mark.parametrize("ends_by", ["a statement", "the commit"])
def test_an_error_of_a_statement_sent_ahead_is_raised_by_the_next_and_takes_all_back(engine: sa.Engine, ends_by: str) -> None:
    database = Database(engine)
    with pytest.raises(sa.exc.DBAPIError) as raised, database.transaction() as session:
        kept = send_ahead(session, ADD, "1", "a")
        send_ahead(session, ADD, "1", "twice")
        never = send_ahead(session, ADD, "2", "b")
        if ends_by == "a statement":
            session.execute(READ, {"id": 1})
    assert sql_state(raised.value) == "23505"
    assert kept.value is None
    with pytest.raises(LookupError):
        _ = never.value

    with database.transaction() as session:
        assert session.execute(sa.text("SELECT count(*) FROM campusg.things")).scalar_one() == 0
        assert session.execute(sa.text("SELECT 'own'")).scalar_one() == "own"


def test_what_was_to_go_ahead_is_forgotten_when_the_transaction_is_taken_back(engine: sa.Engine, trips: list[None]) -> None:
    with pytest.raises(ZeroDivisionError), Database(engine).transaction() as session:
        send_ahead(session, ADD, "1", "a")
        raise ZeroDivisionError
    assert trips == []
    with Database(engine).transaction() as session:
        assert session.execute(READ, {"id": 1}).all() == []


def test_a_deferred_constraint_s_error_comes_from_the_commit(engine: sa.Engine) -> None:
    database = Database(engine)
    with database.transaction() as session:
        session.execute(sa.text("CREATE TABLE campusg.more (id int REFERENCES campusg.things DEFERRABLE INITIALLY DEFERRED)"))
    with pytest.raises(sa.exc.DBAPIError) as raised, database.transaction() as session:
        send_ahead(session, "INSERT INTO campusg.more VALUES ($1)", "7")
    assert sql_state(raised.value) == "23503"


def test_what_can_not_be_encoded_is_refused_before_it_is_sent(engine: sa.Engine) -> None:
    with pytest.raises(UnicodeEncodeError), Database(engine).transaction() as session:
        send_ahead(session, ADD, "1", "\ud800")
    with Database(engine).transaction() as session:
        assert session.execute(READ, {"id": 1}).all() == []


def test_small_writes_are_not_held_back(engine: sa.Engine) -> None:
    with engine.connect() as session:
        connection: Any = session.connection.dbapi_connection
        assert connection._usock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_a_server_that_resets_the_connection_at_the_first_question_gives_the_drivers_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def reset() -> None:
            client, _ = listener.accept()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESETTING)
            client.close()

        threading.Thread(target=reset, daemon=True).start()
        engine = make_engine(f"postgresql+pg8000://u:p@127.0.0.1:{listener.getsockname()[1]}/d", pool_size=1)
        with pytest.raises(sa.exc.InterfaceError):
            engine.connect()


@pytest.mark.parametrize("answers", [(b"\0",), (b"",), (b"N", b"\0\0\0\0\5\0")], ids=["no letter", "the end", "no message"])
def test_a_server_that_says_what_postgresql_does_not_gives_the_drivers_error(answers: tuple[bytes, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            client, _ = listener.accept()
            with client:
                for each in answers:
                    client.recv(1_000)
                    client.sendall(each)
                    if not each:
                        return
                client.recv(1_000)

        threading.Thread(target=answer, daemon=True).start()
        engine = make_engine(f"postgresql+pg8000://u:p@127.0.0.1:{listener.getsockname()[1]}/d", pool_size=1)
        with pytest.raises(sa.exc.InterfaceError, match="no connection to the database"):
            engine.connect()
