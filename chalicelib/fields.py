"""Tables of fields: what the JSON object of an answer holds, written once for the function that makes it and for its JSON Schema.

ORDER = Table("Order", "One food order.", (Field("orderId", "order_id", ID), Field("acceptBy", "accept_by", maybe(TIME))))
ORDER.document(order)
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from operator import attrgetter
from typing import Any

from chalicelib.messages.envelope import timestamp
from chalicelib.messages.wire import CORRELATION_ID, PERSON_ID, UUID_TEXT


@dataclass(frozen=True)
class Kind:
    """A kind of value: its JSON schema, and what makes JSON of a value (None: it is JSON already).

    A `$ref` in the schema is the table or the enumeration itself, which has a schema of its own in the document.
    """

    schema: Mapping[str, Any]
    write: Callable[[Any], Any] | None = None


@dataclass(frozen=True)
class Field:
    """One field: its name in JSON, the attribute it comes from, its kind. With `optional` it is left out where the attribute is None."""

    name: str
    source: str
    kind: Kind
    description: str = ""
    optional: bool = False


@dataclass(frozen=True)
class Table:
    """The fields of one document in their order, under the name and the description that its schema has."""

    name: str
    description: str
    fields: tuple[Field, ...]

    def document(self, value: Any) -> dict[str, Any]:
        """The JSON object of a value, as HTTP answers show it."""
        made: dict[str, Any] = {}
        for (name, write, optional), part in zip(self._ways, self._parts(value), strict=True):
            if part is not None:
                made[name] = write(part) if write else part
            elif not optional:
                made[name] = None
        return made

    @cached_property
    def _ways(self) -> tuple[tuple[str, Callable[[Any], Any] | None, bool], ...]:
        return tuple((field.name, field.kind.write, field.optional) for field in self.fields)

    @cached_property
    def _parts(self) -> Callable[[Any], tuple[Any, ...]]:
        """Reads the fields' attributes of a value, all at once; a dot leads to an attribute's own."""
        sources = [field.source for field in self.fields]
        read = attrgetter(*sources)
        return read if len(sources) > 1 else lambda value: (read(value),)


TEXT = Kind({"type": "string"})
NAME = Kind({"type": "string", "minLength": 1})
ID = Kind({"type": "string", "format": "uuid", "pattern": f"^{UUID_TEXT.pattern}$"}, str)
PERSON = Kind({"type": "string", "pattern": f"^{PERSON_ID.pattern}$"})
CORRELATION = Kind({"type": "string", "pattern": f"^{CORRELATION_ID.pattern}$"})
ACTOR = Kind({"type": "string", "pattern": f"^((customer|runner|admin):{PERSON_ID.pattern}|partner:(user|payment|escrow)|system)$"})
MONEY = Kind({"type": "string", "pattern": r"^[0-9]{1,4}\.[0-9]{2}$"}, lambda amount: f"{amount:.2f}")
MOMENT = Kind(
    {
        "type": "string",
        "format": "date-time",
        "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$",
        "description": "UTC, RFC 3339.",
    }
)
TIME = Kind(MOMENT.schema, timestamp)
COUNT = Kind({"type": "integer", "minimum": 0})
NUMBER = Kind({"type": "integer", "minimum": 1})
BOOLEAN = Kind({"type": "boolean"})
TRUE = Kind({"type": "boolean", "const": True})
TEXTS = Kind({"type": "array", "items": TEXT.schema}, list)
OBJECT = Kind({"type": "object", "additionalProperties": True})
ANYTHING = Kind({})


def maybe(kind: Kind) -> Kind:
    """Null besides."""
    return Kind({"anyOf": [kind.schema, {"type": "null"}]}, kind.write)


def among(*names: str) -> Kind:
    """One of a few names."""
    return Kind({"type": "string", "enum": list(names)})


def one_of(names: type[StrEnum]) -> Kind:
    """A member of an enumeration, as its name."""
    return Kind({"$ref": names}, str)


def part(table: Table) -> Kind:
    """A document within the document."""

    def write(value: Any) -> dict[str, Any]:
        return table.document(value)

    return Kind({"$ref": table}, write)


def each(table: Table, **limits: int) -> Kind:
    """A list of documents."""

    def write(values: Iterable[Any]) -> list[dict[str, Any]]:
        document = table.document
        return [document(value) for value in values]

    return Kind({"type": "array", "items": {"$ref": table}, **limits}, write)
