"""Which errors of the database are its own state and which are the work's fault: one table."""

import pytest
import sqlalchemy as sa
from pg8000.exceptions import DatabaseError, InterfaceError

from chalicelib.db.states import STATES, Kind, kind_of, make_discreet, name_of, state_of

# PostgreSQL's documentation, appendix A ("PostgreSQL Error Codes"), of versions 15 to 18.
APPENDIX = "00 01 02 03 08 09 0A 0B 0F 0L 0P 0Z 10 20 21 22 23 24 25 26 27 28 2B 2D 2F 34 38 39 3B 3D 3F 40 42 44"
CLASSES = set(APPENDIX.split()) | {"53", "54", "55", "57", "58", "72", "F0", "HV", "P0", "XX"}


def database_error(**fields: str) -> sa.exc.DBAPIError:
    return sa.exc.DBAPIError("SELECT 'secret statement'", {"name": "secret parameter"}, DatabaseError(fields))


def test_every_class_of_postgresql_has_its_row_once_and_each_row_its_reason() -> None:
    codes = [state.code for state in STATES]
    assert len(set(codes)) == len(codes)
    assert {code for code in codes if len(code) == 2} == CLASSES
    assert {code[:2] for code in codes} == CLASSES
    assert all(len(state.reason) > 5 and state.name for state in STATES)


@pytest.mark.parametrize(
    ("kind", "codes"),
    [
        (Kind.AWAY, "08006 25006 25P03 28P01 3D000 40001 40003 42P01 42501 53000 53100 53300 55000 57P01 57P02 57P03 58000 58030 58P01"),
        (Kind.SLOW, "25P04 40P01 53200 53400 55P03 57014"),
        (Kind.FAULT, "22P02 22012 23505 23514 25001 25P02 42601 42804 54000 54001 P0001 P0004 XX000 XX001 ZZ999"),
    ],
)
def test_a_state_counts_before_its_class(kind: Kind, codes: str) -> None:
    assert {code: state_of(code).kind for code in codes.split()} == dict.fromkeys(codes.split(), kind)


def test_without_any_connection_the_database_is_away_and_what_is_not_of_the_database_is_the_works_fault() -> None:
    broken = sa.exc.DBAPIError("SELECT 1", None, InterfaceError("network error"))
    assert [kind_of(error) for error in (broken, ConnectionResetError(), TimeoutError(), sa.exc.TimeoutError())] == [Kind.AWAY] * 4
    assert [kind_of(error) for error in (ZeroDivisionError(), KeyError("x"))] == [Kind.FAULT] * 2
    assert (name_of(broken), name_of(KeyError("x"))) == ("connection_exception", "KeyError")


def test_a_discreet_error_says_state_and_constraint_and_nothing_else() -> None:
    error = database_error(
        S="ERROR", C="23514", M="row secret", D="Failing row contains (secret)", W="PL/pgSQL secret", s="campusg", t="outbox", n="bounded"
    )
    make_discreet(error)
    assert str(error) == "SQLSTATE 23514 (check_violation), constraint bounded of outbox"
    assert "secret" not in repr(error) + repr(error.orig) + repr(vars(error))
    assert (kind_of(error), name_of(error)) == (Kind.FAULT, "check_violation")
