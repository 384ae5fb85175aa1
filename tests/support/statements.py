"""Counting what a piece of code asks of the database."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

# tests/integration/test_driver.py holds these: BEGIN goes along with the first statement.
STATEMENT_TRIPS, END_TRIPS = 1, 1


@dataclass
class Statements:
    """What was executed, in order, and how often the network was crossed for it."""

    texts: list[str] = field(default_factory=list)
    transactions: int = 0
    round_trips: int = 0

    @property
    def number(self) -> int:
        return len(self.texts)

    @property
    def shapes(self) -> list[str]:
        """The statements without their literals and what stands in their innermost parentheses: ids may be written out."""
        return [re.sub(r"\([^()]*\)", "()", re.sub("'[^']*'", "''", text)) for text in self.texts]


@contextmanager
def counted(engine: sa.Engine) -> Iterator[Statements]:
    """Count the statements and transactions of the block on all connections of `engine`."""
    seen = Statements()

    def execute(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        seen.texts.append(statement)
        seen.round_trips += STATEMENT_TRIPS

    def begin(connection: Any) -> None:
        seen.transactions += 1

    def end(connection: Any) -> None:
        seen.round_trips += END_TRIPS

    listeners: dict[str, Callable[..., None]] = {"before_cursor_execute": execute, "begin": begin, "commit": end, "rollback": end}
    for name, listener in listeners.items():
        sa.event.listen(engine, name, listener)
    try:
        yield seen
    finally:
        for name, listener in listeners.items():
            sa.event.remove(engine, name, listener)


@dataclass(frozen=True)
class Executed:
    """A statement as the driver got it."""

    text: str
    parameters: Any


@contextmanager
def captured(engine: sa.Engine) -> Iterator[list[Executed]]:
    """Keep the statements of the block, with their parameters."""
    seen: list[Executed] = []

    def execute(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        seen.append(Executed(statement, parameters))

    sa.event.listen(engine, "before_cursor_execute", execute)
    try:
        yield seen
    finally:
        sa.event.remove(engine, "before_cursor_execute", execute)
