"""How tables of fields and pydantic's models become JSON schemas."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, TypeAlias

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from chalicelib.fields import Field, Kind, Table

Json: TypeAlias = dict[str, Any]
# What has a schema of its own.
Named: TypeAlias = Table | type[StrEnum]

REFERENCE = "#/components/schemas/{model}"


class Untitled(GenerateJsonSchema):
    """Schemas without titles, which would only repeat the names of the fields."""

    def field_title_should_be_set(self, _schema: Any) -> bool:
        return False


def of_models(models: Sequence[tuple[Any, JsonSchemaMode]]) -> Json:
    """The schemas of these models and of all that they refer to, by name."""
    _, made = models_json_schema(models, by_alias=True, ref_template=REFERENCE, schema_generator=Untitled)
    schemas: Json = made["$defs"]
    for schema in schemas.values():
        schema.pop("title", None)
    return schemas


def of_tables(tables: Iterable[Table]) -> Json:
    """The schemas of these tables and of all that they refer to, by name. They allow further fields: adding one is no break."""
    schemas: Json = {}
    waiting: list[Named] = list(tables)
    while waiting:
        named = waiting.pop()
        if name_of(named) not in schemas:
            schemas[name_of(named)] = _of_table(named, waiting) if isinstance(named, Table) else _of_names(named)
    return schemas


def reference(named: Named | type[BaseModel]) -> Json:
    """Refers to its schema."""
    return {"$ref": REFERENCE.format(model=name_of(named))}


def name_of(named: Named | type[BaseModel]) -> str:
    """What its schema is called."""
    return named.name if isinstance(named, Table) else named.__name__


def described(name: str, description: str, **kinds: Kind) -> Table:
    """A table of which only the schema is needed: fields by their names in JSON."""
    return Table(name, description, tuple(Field(name, name, kind) for name, kind in kinds.items()))


def _of_table(table: Table, waiting: list[Named]) -> Json:
    described = {"description": table.description} if table.description else {}
    properties = {field.name: _of_field(field, waiting) for field in table.fields}
    required = [field.name for field in table.fields if not field.optional]
    return {**described, "properties": properties, "required": required, "type": "object"}


def _of_field(field: Field, waiting: list[Named]) -> Json:
    described = {"description": field.description} if field.description else {}
    schema: Json = _resolved({**field.kind.schema, **described}, waiting)
    return schema


def _of_names(names: type[StrEnum]) -> Json:
    return {"enum": [member.value for member in names], "type": "string"}


def _resolved(schema: Any, waiting: list[Named]) -> Any:
    """The schema, its keywords sorted, with references in place of what it refers to, all of which is put on the list that waits."""
    if isinstance(schema, list):
        return [_resolved(each, waiting) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    if "$ref" in schema:
        waiting.append(schema["$ref"])
        return reference(schema["$ref"])
    return {keyword: _resolved(schema[keyword], waiting) for keyword in sorted(schema)}
