"""What a rule of the audit is, and what breaks it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class Violation:
    """A broken rule, the order or saga that breaks it, and what is wrong, for people."""

    rule: str
    order_id: UUID | None
    saga_id: UUID | None
    detail: str


@dataclass(frozen=True)
class Rule:
    """`sql` selects order_id, saga_id and detail of whatever breaks the rule that `title` states."""

    name: str
    title: str
    sql: str


def array(column: str) -> str:
    """A JSON column as an array, empty where it is none: a rule must find that wrong, and not break all others."""
    return f"CASE jsonb_typeof({column}) WHEN 'array' THEN {column} ELSE '[]' END"


def pairs(rows: Iterable[Sequence[str]]) -> str:
    """VALUES of these texts, which must be literals of ours."""
    return "VALUES " + ", ".join("(" + ", ".join(f"'{text}'" for text in row) + ")" for row in rows)
