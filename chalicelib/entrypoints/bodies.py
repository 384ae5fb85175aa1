"""What requests must look like. Every error names its field by a JSON pointer; a field that nobody knows is an error."""

import re
from collections.abc import Mapping
from decimal import Decimal
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
)
from pydantic.alias_generators import to_camel

from chalicelib.errors import FieldError, Invalid
from chalicelib.orders.order import OrderStatus
from chalicelib.orders.pricing import DEFAULT_DELIVERY_FEE, HIGHEST_TOTAL

PLAIN_DECIMAL = re.compile(r"[0-9]{1,12}(\.[0-9]{1,2})?")
PERSON_ID = r"^[A-Za-z0-9_.:@|-]{1,64}$"

# What the JSON Schemas of the published document say; the rules themselves are the validators below.
PRICE_TEXT = r"^0{0,9}([1-9][0-9]{0,2}(\.[0-9]{1,2})?|0\.(0[1-9]|[1-9][0-9]?))$"
FEE_TEXT = r"^0{0,10}[0-9]{1,2}(\.[0-9]{1,2})?$"
NOT_BLANK = {"pattern": r"^[^\u0000]*[^\s\u0000\u0085][^\u0000]*$", "description": "Trimmed before it is measured."}
MAY_BE_BLANK = {"pattern": r"^[^\u0000]*$", "description": "Trimmed before it is measured."}

# An answer that names each of thousands of unknown fields would be many times as large as the request.
MOST_ERRORS = 100

M = TypeVar("M", bound=BaseModel)


def _money(value: Any) -> Decimal:
    """A string or a JSON number in plain notation with at most two decimals; read as a decimal, never as a float."""
    if isinstance(value, bool) or not isinstance(value, (str, int, Decimal)) or not PLAIN_DECIMAL.fullmatch(str(value)):
        raise ValueError("must be an amount with at most two decimals, such as 12.99")
    return Decimal(str(value))


def _text(value: str) -> str:
    if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("must not contain U+0000 or lone surrogates")
    return value


def _amount(text: str, least: float, most: float) -> WithJsonSchema:
    number = {"type": "number", "minimum": least, "maximum": most, "multipleOf": 0.01}
    return WithJsonSchema({"anyOf": [{"type": "string", "pattern": text}, number], "examples": ["4.50"]})


def _trimmed(least: int, most: int) -> StringConstraints:
    return StringConstraints(strip_whitespace=True, min_length=least, max_length=most, strict=True)


Price = Annotated[Decimal, BeforeValidator(_money), Field(ge=Decimal("0.01"), le=Decimal("999.99")), _amount(PRICE_TEXT, 0.01, 999.99)]
Fee = Annotated[Decimal, BeforeValidator(_money), Field(ge=Decimal(0), le=Decimal("99.99")), _amount(FEE_TEXT, 0, 99.99)]
Name = Annotated[str, _trimmed(1, 120), AfterValidator(_text), Field(json_schema_extra=NOT_BLANK)]
Place = Annotated[str, _trimmed(1, 255), AfterValidator(_text), Field(json_schema_extra=NOT_BLANK)]
PersonId = Annotated[str, StringConstraints(pattern=PERSON_ID, strict=True)]
Reason = Annotated[str, _trimmed(0, 255), AfterValidator(_text), Field(json_schema_extra=MAY_BE_BLANK)]


class Body(BaseModel):
    """A request body."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, hide_input_in_errors=True)


class FoodItemBody(Body):
    name: Name
    price: Price
    quantity: Annotated[int, Field(strict=True, ge=1, le=99)]


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


class RedriveBody(Body):
    dry_run: Annotated[bool, Field(strict=True, description="Do all of it, say what it changes, and take it back.")] = False


class NoBody(Body):
    """A request that needs no field."""


def read_body(model: type[M], data: Any) -> M:
    """Build a body from parsed JSON; raises Invalid that names the wrong fields, at most a hundred of them."""
    if not isinstance(data, dict):
        raise Invalid("the body must be a JSON object", [FieldError("", "must be an object")])
    try:
        return model.model_validate(data)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)[:MOST_ERRORS]
        errors = [FieldError(_pointer(each["loc"]), _sentence(each)) for each in found]
        fields = ", ".join(dict.fromkeys(each.pointer for each in errors))
        raise Invalid(f"these fields are not valid: {fields}", errors) from None


def _pointer(location: tuple[int | str, ...]) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)


def _sentence(error: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        return "is not a known field"
    if error["type"] == "missing":
        return "is missing"
    text = str(error["msg"]).removeprefix("Value error, ")
    return text[:1].lower() + text[1:]
