"""What a rule of the audit is, and what breaks it."""

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
