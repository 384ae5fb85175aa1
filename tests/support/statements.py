"""Counting what a piece of code asks of the database."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import sqlalchemy as sa

from chalicelib.db.connection import send_ahead
from chalicelib.db.driver import Connection, Later

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

    def ahead(statement: str, parameters: Any) -> None:
        # It goes along with the next one.
        seen.texts.append(statement)

    def begin(connection: Any) -> None:
        seen.transactions += 1

    def end(connection: Any) -> None:
        seen.round_trips += END_TRIPS

    listeners: dict[str, Callable[..., None]] = {"before_cursor_execute": execute, "begin": begin, "commit": end, "rollback": end}
    with _listening(engine, listeners, ahead):
        yield seen


@contextmanager
def _listening(engine: sa.Engine, listeners: Mapping[str, Callable[..., None]], ahead: Callable[[str, Any], None]) -> Iterator[None]:
    send_ahead = Connection.send_ahead

    def heard(connection: Connection, statement: str, parameters: Any) -> Later:
        ahead(statement, parameters)
        return send_ahead(connection, statement, parameters)

    for name, listener in listeners.items():
        sa.event.listen(engine, name, listener)
    try:
        with patch.object(Connection, "send_ahead", heard):
            yield
    finally:
        for name, listener in listeners.items():
            sa.event.remove(engine, name, listener)


@dataclass(frozen=True)
class Executed:
    """A statement as the driver got it; `ahead`: to go along with the next one."""

    text: str
    parameters: Any
    ahead: bool = False

    def plan(self, session: sa.Connection) -> str:
        """How the server would run it."""
        if not self.ahead:
            return "\n".join(session.exec_driver_sql(f"EXPLAIN {self.text}", self.parameters).scalars())
        plan = send_ahead(session, f"EXPLAIN (FORMAT JSON) {self.text}", *self.parameters)
        session.execute(sa.text("SELECT 1"))
        return "\n".join(_nodes(json.loads(plan.value or "")[0]["Plan"]))

    def rows_read(self, session: sa.Connection) -> int:
        """How many rows of tables and indexes the server looks at, those among them that it then drops; runs the statement."""
        found = session.exec_driver_sql(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {self.text}", self.parameters).scalar_one()
        return _read((json.loads(found) if isinstance(found, str) else found)[0]["Plan"])


def _read(plan: Mapping[str, Any]) -> int:
    dropped = plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
    here = (plan["Actual Rows"] + dropped) * plan["Actual Loops"] if "Scan" in plan["Node Type"] and "Alias" in plan else 0
    return round(here) + sum(map(_read, plan.get("Plans", ())))


def _nodes(plan: Mapping[str, Any]) -> Iterator[str]:
    yield f"{plan['Node Type']} on {plan.get('Relation Name')} "
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)


@contextmanager
def captured(engine: sa.Engine) -> Iterator[list[Executed]]:
    """Keep the statements of the block, with their parameters."""
    seen: list[Executed] = []

    def execute(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        seen.append(Executed(statement, parameters))

    def ahead(statement: str, parameters: Any) -> None:
        seen.append(Executed(statement, parameters, ahead=True))

    with _listening(engine, {"before_cursor_execute": execute}, ahead):
        yield seen
