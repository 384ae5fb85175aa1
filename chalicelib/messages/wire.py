"""What every message's data has in common: camelCase JSON, frozen values, money as strings with two decimals."""

from decimal import Decimal
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PlainSerializer, StringConstraints
from pydantic.alias_generators import to_camel

REASON_LIMIT = 500


def _without_unstorable(text: str) -> str:
    """Refuse what PostgreSQL's text and JSON can't hold: U+0000 and lone surrogates."""
    if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("must not contain U+0000 or lone surrogates")
    return text


def _shortened(reason: Any) -> Any:
    """A reason is for people: cut it and mend it rather than refuse the message for it."""
    if not isinstance(reason, str):
        return reason
    return reason[:REASON_LIMIT].replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def _as_decimal(value: Any) -> Any:
    if isinstance(value, (bool, float)):
        raise ValueError("must be a string or a decimal number")  # noqa: TRY004 - pydantic wants a ValueError
    return value


Money = Annotated[
    Decimal, BeforeValidator(_as_decimal), PlainSerializer(lambda amount: f"{amount:.2f}", return_type=str, when_used="always")
]
Id = Annotated[str, StringConstraints(min_length=1, max_length=128), AfterValidator(_without_unstorable)]
Text = Annotated[str, AfterValidator(_without_unstorable)]
Reason = Annotated[str, BeforeValidator(_shortened)]


class Wire(BaseModel):
    """Data of one message type. `TYPE` is its `ce_type`; fields that are None are left out of the JSON."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore", allow_inf_nan=False)

    TYPE: ClassVar[str]

    def data(self) -> dict[str, Any]:
        """The JSON object that goes on the wire."""
        return self.model_dump(by_alias=True, exclude_none=True)

    @classmethod
    def read(cls, data: Any) -> Self:
        """Build the message from a parsed JSON value; raises pydantic's ValidationError where it doesn't fit."""
        return cls.model_validate(data)
