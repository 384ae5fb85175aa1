"""Many rows in one statement: rows travel as one JSON parameter, whatever their number.

pg8000 takes three round trips a parametrised statement and its `executemany` is a loop, so few large statements pay twice.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

Columns = Mapping[str, str]


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
