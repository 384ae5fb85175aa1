"""Many rows in one statement: rows travel as one JSON parameter, whatever their number.

pg8000's `executemany` is a loop, a round trip a row, so few large statements pay.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson

Columns = Mapping[str, str]


def insert_statement(table: str, columns: Columns, rows: str = "$1") -> str:
    """INSERT of any number of rows given as JSON in the parameter `rows`; `columns` maps each column to its PostgreSQL type."""
    names = ", ".join(columns)
    return f"INSERT INTO {table} ({names}) SELECT {names} FROM {recordset(columns, rows)}"  # noqa: S608 - names are literals of ours


def update_statement(table: str, key: str, columns: Columns, *further: str) -> str:
    """UPDATE of any number of rows, found by `key`, given as JSON in the parameter $1; `further` assigns what comes of `t` and `r`."""
    sets = ", ".join([*(f"{name} = r.{name}" for name in columns), *further])
    rows = recordset({key: "uuid", **columns}, "$1")
    return f"UPDATE {table} t SET {sets} FROM {rows} WHERE t.{key} = r.{key}"  # noqa: S608 - names are literals of ours


def recordset(columns: Columns, rows: str) -> str:
    """The rows given as JSON in the parameter `rows`, as a table `r`."""
    typed = ", ".join(f"{name} {type}" for name, type in columns.items())
    return f"jsonb_to_recordset(CAST({rows} AS jsonb)) AS r({typed})"


def json_object(columns: Columns, table: str) -> str:
    """The columns of a row of `table` as one JSON object; decimals as text, as a JSON number may lose their digits."""
    values = (f"'{name}', {table}.{name}" + ("::text" if type == "numeric" else "") for name, type in columns.items())
    return f"json_build_object({', '.join(values)})"


def to_json(rows: Any) -> str:
    """JSON of what is written: times, UUIDs, enumerations and dataclasses as they are, decimals as text."""
    return orjson.dumps(rows, default=_plain).decode()


def from_json(text: str | None) -> Any:
    """What a statement answered as JSON."""
    return orjson.loads(text) if text is not None else None


def array(ids: Iterable[UUID | int]) -> str:
    """A list of ids or numbers as a parameter for an array."""
    return "{" + ",".join(map(str, ids)) + "}"


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"no JSON for {type(value).__name__}")
