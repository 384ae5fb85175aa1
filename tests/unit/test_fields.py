"""Tables of fields: one row a field makes the JSON object and its schema."""

from dataclasses import dataclass
from enum import StrEnum

from chalicelib.fields import ANYTHING, COUNT, ID, MONEY, TEXT, TIME, Field, Table, among, each, maybe, one_of, part
from infra.documents.schemas import of_tables
from tests.support.examples import NOW, ORDER_ID


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Pot:
    """Something with a value of every kind."""

    id: object
    colour: Colour
    at: object
    price: object
    inner: object
    all: object
    note: object = None
    none: object = None


INNER = Table("Inner", "", (Field("depth", "real", COUNT),))
POT = Table(
    "Pot",
    "For tests.",
    (
        Field("potId", "id", ID),
        Field("colour", "colour", one_of(Colour)),
        Field("name", "colour.name", among("RED")),
        Field("at", "at", maybe(TIME)),
        Field("price", "price", MONEY, "In dollars."),
        Field("inner", "inner", maybe(part(INNER))),
        Field("all", "all", each(INNER, minItems=1)),
        Field("note", "note", TEXT, optional=True),
        Field("none", "none", ANYTHING),
    ),
)


def test_each_field_is_read_from_its_source_and_written_as_its_kind_is() -> None:
    document = POT.document(Pot(ORDER_ID, Colour.RED, NOW, 4.5, 7, (1, 2), "x"))

    assert list(document) == [field.name for field in POT.fields]
    assert (document["potId"], type(document["colour"]), document["colour"], document["name"]) == (str(ORDER_ID), str, "red", "RED")
    assert (document["price"], document["inner"], document["all"]) == ("4.50", {"depth": 7}, [{"depth": 1}, {"depth": 2}])
    assert document["at"].endswith("Z")


def test_null_is_shown_where_it_is_allowed_and_an_optional_field_is_left_out() -> None:
    document = POT.document(Pot(ORDER_ID, Colour.RED, None, 0, None, ()))

    assert (document["at"], document["inner"], document["none"]) == (None, None, None)
    assert "note" not in document


def test_the_schema_has_every_field_and_a_schema_of_its_own_for_what_has_a_name() -> None:
    schemas = of_tables([POT])

    assert set(schemas) == {"Pot", "Inner", "Colour"}
    assert schemas["Colour"] == {"enum": ["red"], "type": "string"}
    assert list(schemas["Pot"]["properties"]) == [field.name for field in POT.fields]
    assert schemas["Pot"]["required"] == [field.name for field in POT.fields if field.name != "note"]
    assert schemas["Pot"]["properties"]["inner"] == {"anyOf": [{"$ref": "#/components/schemas/Inner"}, {"type": "null"}]}
    assert schemas["Pot"]["properties"]["all"] == {"items": {"$ref": "#/components/schemas/Inner"}, "minItems": 1, "type": "array"}
    assert schemas["Pot"]["properties"]["price"]["description"] == "In dollars."
