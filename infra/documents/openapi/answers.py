"""The answers whose form is written for the document only: the others are written from the tables that they are made by."""

from chalicelib.fields import OBJECT, TEXT, Field, Kind, Table, among
from infra.documents.schemas import described

HEALTH = among("ok", "unavailable")

ALIVE = described("Alive", "", status=Kind({"type": "string", "const": "ok"}), version=TEXT)
DEPENDENCY = Table(
    "Dependency",
    "",
    (
        Field("status", "status", HEALTH),
        Field("milliseconds", "milliseconds", Kind({"type": "number", "minimum": 0}), optional=True),
        Field("detail", "detail", TEXT, optional=True),
    ),
)
DEPENDENCIES = {"type": "object", "propertyNames": {"enum": ["database", "kafka"]}, "additionalProperties": {"$ref": DEPENDENCY}}
READINESS = described("Readiness", "", status=HEALTH, dependencies=Kind(DEPENDENCIES))
OPEN_API = described(
    "OpenApi",
    "See the OpenAPI specification, version 3.1.",
    openapi=Kind({"type": "string", "pattern": r"^3\.1\.[0-9]+$"}),
    info=OBJECT,
    paths=OBJECT,
)
ASYNC_API = described(
    "AsyncApi",
    "See the AsyncAPI specification, version 3.0.",
    asyncapi=Kind({"type": "string", "pattern": r"^3\.0\.[0-9]+$"}),
    info=OBJECT,
    channels=OBJECT,
    operations=OBJECT,
)
