"""What requests must look like. Every error names its field by a JSON pointer; a field that nobody knows is an error."""

import re
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel

from chalicelib.entrypoints.problems import pointer_to
from chalicelib.errors import FieldError, Invalid
from chalicelib.fields import PERSON
from chalicelib.messages.numbers import amount, whole
from chalicelib.messages.wire import storable
from chalicelib.orders.order import OrderStatus
from chalicelib.orders.pricing import DEFAULT_DELIVERY_FEE, HIGHEST_TOTAL
from chalicelib.validation import found

PLAIN_DECIMAL = re.compile(r"[0-9]{1,12}(\.[0-9]{1,2})?")
# Characters that leave a text blank, as the inside of a class: white space and controls, format characters (zero-width, direction, tags),
# fillers, combining marks of the blocks for all scripts, variation selectors (Unicode categories Z, Cc, Cf, Mn, and the five letters that
# are drawn as nothing: U+115F, U+1160, U+2800, U+3164, U+FFA0).
INVISIBLE = (
    r"\u0000-\u0020\u007f-\u00a0\u00ad\u0300-\u036f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u1ab0-\u1aff\u1dc0-\u1dff"
    r"\u2000-\u200f\u2028-\u202f\u205f-\u206f\u20d0-\u20ff\u2800\u3000\u3164\ufe00-\ufe0f\ufe20-\ufe2f\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
VISIBLE = re.compile(f"[^{INVISIBLE}]")

# What the JSON Schemas of the published document say; the rules themselves are the validators below.
PRICE_TEXT = r"^0{0,9}([1-9][0-9]{0,2}(\.[0-9]{1,2})?|0\.(0[1-9]|[1-9][0-9]?))$"
FEE_TEXT = r"^0{0,10}[0-9]{1,2}(\.[0-9]{1,2})?$"
VISIBLE_TEXT = {
    "pattern": rf"^[^\u0000]*[^{INVISIBLE}][^\u0000]*$",
    "description": "Trimmed before it is measured. Needs one visible character: not only white space, control and format characters, "
    "fillers and combining marks.",
}
ANY_TEXT = {"pattern": r"^[^\u0000]*$", "description": "Trimmed before it is measured."}

# An answer that names each of thousands of unknown fields would be many times as large as the request.
MOST_ERRORS = 100

M = TypeVar("M", bound=BaseModel)


def _money(value: Any, least: Decimal, most: Decimal) -> Decimal:
    try:
        return _within(amount(value, PLAIN_DECIMAL), least, most)
    except ValueError:
        raise ValueError(f"must be an amount from {least} to {most} with at most two decimals, such as 3.99") from None


def _whole(value: Any, least: int, most: int) -> int:
    try:
        return _within(whole(value), least, most)
    except ValueError:
        raise ValueError(f"must be a whole number from {least} to {most}") from None


N = TypeVar("N", int, Decimal)


def _within(number: N, least: N, most: N) -> N:
    if not least <= number <= most:
        raise ValueError("out of bounds")
    return number


def _text(value: str) -> str:
    if not storable(value):
        raise ValueError("must not contain U+0000 or lone surrogates")
    return value


def _visible(value: str) -> str:
    if not VISIBLE.search(value):
        raise ValueError("must have at least one visible character")
    return value


def _amount(text: str, least: str, most: str) -> tuple[BeforeValidator, WithJsonSchema]:
    number = {"type": "number", "minimum": float(least), "maximum": float(most), "multipleOf": 0.01}
    return (
        BeforeValidator(partial(_money, least=Decimal(least), most=Decimal(most))),
        WithJsonSchema({"anyOf": [{"type": "string", "pattern": text}, number], "examples": ["4.50"]}),
    )


def _trimmed(least: int, most: int) -> StringConstraints:
    return StringConstraints(strip_whitespace=True, min_length=least, max_length=most, strict=True)


Price = Annotated[Decimal, *_amount(PRICE_TEXT, "0.01", "999.99")]
Fee = Annotated[Decimal, *_amount(FEE_TEXT, "0.00", "99.99")]
Quantity = Annotated[int, Field(ge=1, le=99), BeforeValidator(partial(_whole, least=1, most=99))]
Name = Annotated[str, _trimmed(1, 120), AfterValidator(_text), AfterValidator(_visible), Field(json_schema_extra=VISIBLE_TEXT)]
Place = Annotated[str, _trimmed(1, 255), AfterValidator(_text), AfterValidator(_visible), Field(json_schema_extra=VISIBLE_TEXT)]
PersonId = Annotated[str, StringConstraints(pattern=PERSON.schema["pattern"], strict=True)]
Reason = Annotated[str, _trimmed(0, 255), AfterValidator(_text), Field(json_schema_extra=ANY_TEXT)]

DryRun = Annotated[bool, Field(strict=True, description="Do all of it, say what it changes, and take it back.")]


def _nullable(schema: dict[str, Any]) -> None:
    """Say in the JSON Schema of a body that its optional fields may be null."""
    for name, field in schema.get("properties", {}).items():
        if name not in schema.get("required", ()):
            about = {word: field.pop(word) for word in ("default", "description", "examples", "title") if word in field}
            options = field["anyOf"] if set(field) == {"anyOf"} else [dict(field)]
            field.clear()
            field.update(anyOf=[*(each for each in options if each != {"type": "null"}), {"type": "null"}], **about)


class Body(BaseModel):
    """A request body. An optional field that is null counts as absent."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, hide_input_in_errors=True, json_schema_extra=_nullable)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        optional = {field.alias for field in cls.model_fields.values() if not field.is_required()}
        return {name: value for name, value in data.items() if value is not None or name not in optional}


class FoodItemBody(Body):
    name: Name
    price: Price
    quantity: Quantity


class OrderDetailsBody(Body):
    food_items: Annotated[list[FoodItemBody], Field(min_length=1, max_length=50)]
    store_location: Place
    delivery_location: Place
    delivery_fee: Fee = DEFAULT_DELIVERY_FEE

    def over_limit(self) -> bool:
        """Whether the order would cost more than an order may."""
        return bool(sum((item.price * item.quantity for item in self.food_items), self.delivery_fee) > HIGHEST_TOTAL)


class CreateOrderBody(Body):
    customer_id: PersonId | None = None
    order_details: OrderDetailsBody


class AcceptBody(Body):
    runner_id: PersonId


class StatusBody(Body):
    status: OrderStatus


class CancelBody(Body):
    reason: Reason | None = None


class OperateBody(Body):
    dry_run: DryRun = False
    reason: Reason | None = None


class DismissBody(Body):
    dry_run: DryRun = False
    reason: Annotated[str, _trimmed(1, 255), AfterValidator(_text), AfterValidator(_visible), Field(json_schema_extra=VISIBLE_TEXT)]


class NoBody(Body):
    """A request that needs no field."""


def read_body(model: type[M], data: Any) -> M:
    """Build a body from parsed JSON; raises Invalid that names the wrong fields, at most a hundred of them."""
    if not isinstance(data, dict):
        raise Invalid("the body must be a JSON object", [FieldError((), "must be an object")])
    try:
        return model.model_validate(data)
    except ValidationError as error:
        errors = [FieldError(place, sentence) for place, sentence in found(error)[:MOST_ERRORS]]
        fields = ", ".join(dict.fromkeys(pointer_to(each.place) for each in errors))
        raise Invalid(f"these fields are not valid: {fields}", errors) from None
