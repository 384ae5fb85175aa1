"""Copies of finished orders, row by row as COPY writes and reads them: other ids, other people, at another time, otherwise the same."""

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeAlias

# In an order in which foreign keys hold.
TABLES = ("orders", "sagas", "order_history", "partner_ids")
# By how many customers and runners the copies are.
PEOPLE = {"anna": ("cust_", 5_000), "ravi": ("run_", 300)}
CHANGING = re.compile(
    r"(?P<uuid>(?<![0-9a-f])[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?![0-9a-f]))"
    r"|(?P<trace>(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f]))"
    r"|(?P<time>\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|\+00)(?!\d))"
    rf"|(?P<person>\b(?:{'|'.join(PEOPLE)})\b)"
)
Rows: TypeAlias = Mapping[str, str]


@dataclass
class Template:
    """The rows of one order, by table, with a place for each text that is another one in each copy; the same text stays the same."""

    begun: datetime
    _texts: dict[str, str] = field(default_factory=dict)
    _places: dict[tuple[str, str], int] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: Rows, begun: datetime) -> "Template":
        """From the rows as COPY writes them in UTC, of an order that was made at `begun`."""
        template = cls(begun)
        template._texts = {table: template._with_places(text) for table, text in rows.items()}
        return template

    def copy(self, number: int, at: datetime) -> dict[str, str]:
        """The rows of the copy with this number, made at that time."""
        moved = timedelta(milliseconds=(at - self.begun) // timedelta(milliseconds=1))
        values = [_new(kind, old, number, moved) for kind, old in self._places]
        return {table: text.format(*values) for table, text in self._texts.items()}

    def _with_places(self, text: str) -> str:
        return "".join(self._pieces(text))

    def _pieces(self, text: str) -> Iterator[str]:
        behind = 0
        for found in CHANGING.finditer(text):
            place = self._places.setdefault((str(found.lastgroup), found.group()), len(self._places))
            yield f"{_literal(text[behind : found.start()])}{{{place}}}"
            behind = found.end()
        yield _literal(text[behind:])


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _new(kind: str, old: str, number: int, moved: timedelta) -> str:
    if kind == "uuid":
        return _uuid(old, moved)
    if kind == "trace":
        return f"{random.getrandbits(128):032x}"
    if kind == "person":
        prefix, people = PEOPLE[old]
        return f"{prefix}{number % people}"
    time = datetime.fromisoformat(old) + moved
    return f"{time.isoformat(timespec='milliseconds')[:-6]}Z" if old.endswith("Z") else time.isoformat(" ")


def _uuid(old: str, moved: timedelta) -> str:
    chance = f"{random.getrandbits(120):030x}"
    if old[14] != "7":
        return f"{chance[:8]}-{chance[8:12]}-{old[14]}{chance[12:15]}-{old[19]}{chance[15:18]}-{chance[18:]}"
    made = f"{int(old[:8] + old[9:13], 16) + moved // timedelta(milliseconds=1):012x}"
    return f"{made[:8]}-{made[8:]}-7{chance[:3]}-{old[19]}{chance[3:6]}-{chance[6:18]}"
