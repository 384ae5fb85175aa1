"""Many rows in one statement: rows travel as one JSON parameter, whatever their number.

pg8000's `executemany` is a loop, a round trip a row, so few large statements pay.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

Columns = Mapping[str, str]


def inlined(statement: str, **types: sa.types.TypeEngine[Any] | type[sa.types.TypeEngine[Any]]) -> sa.TextClause:
    """A statement whose parameters SQLAlchemy writes into the text, so that it goes as one plain query.

    For values of our own making only: numbers and UUIDs. A list stands behind IN.
    """
    lists = {name for name in types if f"IN :{name}" in statement}
    binds = [sa.bindparam(name, type_=type, literal_execute=True, expanding=name in lists) for name, type in types.items()]
    return sa.text(statement).bindparams(*binds)


def insert_statement(table: str, columns: Columns) -> sa.TextClause:
    """INSERT of any number of rows given as JSON in `:rows`; `columns` maps each column to its PostgreSQL type."""
    names = ", ".join(columns)
    return sa.text(f"INSERT INTO {table} ({names}) SELECT {names} FROM {_recordset(columns)}")  # noqa: S608 - names are literals of ours


def update_statement(table: str, key: str, columns: Columns) -> sa.TextClause:
    """UPDATE of any number of rows, found by `key`, given as JSON in `:rows`."""
    sets = ", ".join(f"{name} = r.{name}" for name in columns)
    recordset = _recordset({key: "uuid", **columns})
    return sa.text(f"UPDATE {table} t SET {sets} FROM {recordset} WHERE t.{key} = r.{key}")  # noqa: S608 - names are literals of ours


def execute(session: sa.Connection, statement: sa.TextClause, rows: Sequence[Mapping[str, Any]]) -> None:
    """Run a statement of this module on `rows`; nothing is sent for no rows."""
    if rows:
        session.execute(statement, {"rows": json.dumps(rows, ensure_ascii=False)})


def _recordset(columns: Columns) -> str:
    typed = ", ".join(f"{name} {type}" for name, type in columns.items())
    return f"jsonb_to_recordset(CAST(:rows AS jsonb)) AS r({typed})"
