"""How work that failed together is tried again apart, down to the one item that fails alone."""

from collections.abc import Sequence
from typing import TypeVar

from chalicelib.db.states import Kind

Item = TypeVar("Item")
# A failure of the work's own shows at once. One of a slow database takes the seconds of a time limit, so fewer rounds pay.
HALVES, EIGHTHS = 2, 8


def parts(items: Sequence[Item], kind: Kind) -> list[Sequence[Item]]:
    """The items, more than one, in two parts; in up to eight where they failed because the database is slow."""
    size = -(-len(items) // (EIGHTHS if kind is Kind.SLOW else HALVES))
    return [items[begin : begin + size] for begin in range(0, len(items), size)]
