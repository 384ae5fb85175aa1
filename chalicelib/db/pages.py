"""Reading what is due page by page: each page begins behind the last one, and what falls due meanwhile is left to the next sweep."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeAlias
from uuid import UUID

import sqlalchemy as sa

# Since when an item is due, and its id.
Place: TypeAlias = tuple[datetime, UUID]
BEGINNING: Place = (datetime(1, 1, 1, tzinfo=UTC), UUID(int=0))


@dataclass(frozen=True)
class Page:
    """At most `most` items that were due at `until`, behind the place `after`."""

    until: datetime
    most: int
    after: Place = BEGINNING

    @property
    def parameters(self) -> dict[str, Any]:
        """As statements take them."""
        return {"until": self.until, "most": self.most, "after": self.after[0], "after_id": self.after[1]}


def first_page(session: sa.Connection, most: int) -> Page:
    """The page with what has been due longest, by the database's clock."""
    return Page(session.execute(sa.text("SELECT clock_timestamp()")).scalar_one(), most)
