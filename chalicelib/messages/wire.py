"""What every message's data has in common: camelCase JSON, frozen values, money as strings with two decimals."""

import binascii
import re
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PlainSerializer, StringConstraints, WithJsonSchema
from pydantic.alias_generators import to_camel

from chalicelib.messages.numbers import amount

ID_LIMIT = 128
REASON_LIMIT = 500
# What ids consist of that others choose: those of persons, and of a correlation.
ID_CHARACTER = "[A-Za-z0-9_.:@|-]"
PERSON_ID = re.compile(ID_CHARACTER + "{1,64}")
CORRELATION_ID = re.compile(ID_CHARACTER + "{1,128}")
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
UUID_TEXT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def id_of(text: str) -> UUID:
    """An id of ours as others write it, in the one form of RFC 9562; raises ValueError. `UUID` reads more: braces, no hyphens, `_`."""
    if not UUID_TEXT.fullmatch(text):
        raise ValueError("no UUID")
    return UUID(text)


def canonical(text: str) -> str:
    """An id that may be one of ours as we write it; any other text as it is."""
    return text.lower() if UUID_TEXT.fullmatch(text) else text


def in_base64(value: bytes | None) -> str | None:
    """Bytes as JSON takes them."""
    return None if value is None else binascii.b2a_base64(value, newline=False).decode("ascii")


def storable(text: str) -> bool:
    """Whether PostgreSQL's text and JSON can hold it: they can't hold U+0000 and lone surrogates."""
    return UNSTORABLE.search(text) is None


def fits(text: str) -> bool:
    """Whether it can be carried on as an id."""
    return 1 <= len(text) <= ID_LIMIT and storable(text)


def _without_unstorable(text: str) -> str:
    if not storable(text):
        raise ValueError("must not contain U+0000 or lone surrogates")
    return text


def _shortened(reason: Any) -> Any:
    """A reason is for people: cut it and mend it rather than refuse the message for it."""
    if not isinstance(reason, str):
        return reason
    return reason[:REASON_LIMIT].replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def _money(value: Any) -> Decimal:
    # Bounded, because a partner's 12.991 is not the 12.99 we asked for.
    try:
        read = amount(value, AMOUNT_TEXT)
        if abs(read) >= AMOUNT_BOUND:
            raise ValueError("too large")
        return read
    except ValueError:
        raise ValueError("must be an amount with at most ten digits and two decimals, such as 12.99") from None


AMOUNT_BOUND = 10**10
AMOUNT_TEXT = re.compile(r"-?[0-9]{1,10}(\.[0-9]{1,2}0*)?")
AMOUNT_WRITTEN = {"type": "string", "pattern": r"^-?[0-9]{1,10}\.[0-9]{2}$"}
AMOUNT_READ = {
    "anyOf": [
        {"type": "string", "pattern": f"^{AMOUNT_TEXT.pattern}$"},
        {"type": "number", "exclusiveMinimum": -AMOUNT_BOUND, "exclusiveMaximum": AMOUNT_BOUND, "multipleOf": 0.01},
    ]
}

Money = Annotated[
    Decimal,
    BeforeValidator(_money),
    PlainSerializer(lambda amount: f"{amount:.2f}", return_type=str, when_used="always"),
    WithJsonSchema(AMOUNT_WRITTEN, mode="serialization"),
    WithJsonSchema(AMOUNT_READ, mode="validation"),
]
Id = Annotated[str, StringConstraints(min_length=1, max_length=ID_LIMIT), AfterValidator(_without_unstorable)]
OwnId = Annotated[Id, AfterValidator(canonical)]
Text = Annotated[str, AfterValidator(_without_unstorable)]
Reason = Annotated[str, BeforeValidator(_shortened)]


class Wire(BaseModel):
    """Data of one message type. `TOPIC` is where it goes, `TYPE` its `ce_type`; fields that are None are left out of the JSON."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore", allow_inf_nan=False)

    TOPIC: ClassVar[str]
    TYPE: ClassVar[str]

    @property
    def sequence(self) -> int | None:
        """Its place among the messages about its order, where it has one."""
        return None

    def data(self) -> dict[str, Any]:
        """The JSON object that goes on the wire."""
        return self.model_dump(by_alias=True, exclude_none=True)

    @classmethod
    def read(cls, data: Any) -> Self:
        """Build the message from a parsed JSON value; raises pydantic's ValidationError where it doesn't fit."""
        return cls.model_validate(data)
