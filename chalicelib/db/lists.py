"""Lists that people read by a cursor: newest first by id, narrowed to what they asked for."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

# An id has the time of whoever made it, a row that of the database. No clock of a working service is further off: tokens would have expired
# and AWS would refuse its signatures.
CLOCKS_APART = timedelta(hours=1)


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


def first_id_of(moment: datetime, apart: timedelta = timedelta(0)) -> UUID:
    """The lowest UUID that sorts with the UUIDv7s of a moment `apart` from this one."""
    milliseconds = int((moment.timestamp() + apart.total_seconds()) * 1000)
    return UUID(int=max(0, milliseconds) << 80)
