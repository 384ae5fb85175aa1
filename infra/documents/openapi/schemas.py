"""How models become JSON schemas."""

from typing import Any

from pydantic.json_schema import GenerateJsonSchema


class Untitled(GenerateJsonSchema):
    """Schemas without titles, which would only repeat the names of the fields."""

    def field_title_should_be_set(self, _schema: Any) -> bool:
        return False
