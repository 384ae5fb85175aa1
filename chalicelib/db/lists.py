"""Lists that people read by a cursor: newest first by id, narrowed to what they asked for."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa


def given(filters: object, conditions: Mapping[str, str]) -> dict[str, Any]:
    """The parameters of those `conditions` for which the filters have a value; of several values a list."""
    found = {name: getattr(filters, name) for name in conditions}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items() if value not in (None, (), "")}


def newest_first(
    session: sa.Connection, select: str, key: str, conditions: Iterable[str], parameters: Mapping[str, Any]
) -> Sequence[sa.RowMapping]:
    """Up to `parameters["limit"]` rows for which all conditions hold, in falling order of `key`; all texts are literals of ours."""
    statement = sa.text(f"{select} WHERE {' AND '.join(conditions) or 'true'} ORDER BY {key} DESC LIMIT :limit")
    return session.execute(statement, parameters).mappings().all()
