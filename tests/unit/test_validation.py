"""What is wrong with a value is said in our own words, whatever is wrong with it and wherever it comes in."""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from chalicelib.entrypoints import bodies
from chalicelib.errors import SettingsError
from chalicelib.messages.commands import COMMANDS
from chalicelib.messages.replies import REPLIES
from chalicelib.settings import Settings, TokenSettings
from chalicelib.validation import OTHERWISE, SENTENCES, found, in_a_line
from tests.support.words import FOREIGN
from tests.unit.test_bodies import body
from tests.unit.test_settings import ON_AWS, TOKENS_ON_AWS

BODIES = [bodies.CreateOrderBody, bodies.AcceptBody, bodies.StatusBody, bodies.CancelBody, bodies.OperateBody, bodies.NoBody]
# One or more of every kind of value that JSON has, at and beyond every kind of limit.
VALUES: list[Any] = [
    *(None, True, 0, -1, 1, 2, 100, 10**400, 1.5, float("nan"), float("inf"), Decimal("0.001"), Decimal("1E+999999999"), Decimal("NaN")),
    *("", " ", "x", "x" * 70_000, "\x00", "\ud800", "\u200b", "a b", "1", "1E+2", "NaN", "'", "{x}", "%s"),
    *([], [None], [{}], ["x"] * 51, {}, {"x": None}, {"'": {"{x}": 1}}),
]


def wrong_bodies() -> Iterator[tuple[type[BaseModel], Any]]:
    """Each value as the body, as each field of a body, and as each field of each object within."""
    for model in BODIES:
        for value in VALUES:
            yield model, value
            for field in model.model_fields.values():
                yield model, {field.alias: value}
    inner = [bodies.OrderDetailsBody, bodies.FoodItemBody]
    for name in (str(field.alias) for model in inner for field in model.model_fields.values()):
        for value in VALUES:
            yield bodies.CreateOrderBody, body(**{name: value})


def wrong_messages() -> Iterator[tuple[type[BaseModel], Any]]:
    for model in {**COMMANDS, **REPLIES}.values():
        for value in VALUES:
            yield model, value
            yield model, {field.alias: value for field in model.model_fields.values()}


def wrong_settings() -> Iterator[tuple[type[BaseModel], Any]]:
    texts = [value for value in VALUES if isinstance(value, str)]
    for model, good in ((Settings, ON_AWS), (TokenSettings, TOKENS_ON_AWS)):
        for name in model.model_fields:
            for value in (*texts, "http://x", "postgresql+pg8000://", "1.5", "0", "9" * 5000, "inf"):
                yield model, {**{name.lower(): given for name, given in good.items()}, name: value}


def errors(model: type[BaseModel], value: Any) -> ValidationError | None:
    try:
        model.model_validate(value)
    except ValidationError as error:
        return error
    return None


@pytest.mark.parametrize("wrong", [wrong_bodies, wrong_messages, wrong_settings], ids=["bodies", "messages", "settings"])
def test_every_error_that_a_value_can_cause_has_its_sentence(wrong: Any) -> None:
    causes = [error for model, value in wrong() if (error := errors(model, value))]
    assert len(causes) > 100
    kinds = {each["type"] for error in causes for each in error.errors()}
    assert kinds - SENTENCES.keys() == ({"value_error"} if "value_error" in kinds else set())
    for error in causes:
        for _, sentence in found(error):
            assert sentence != OTHERWISE
            assert not FOREIGN.search(sentence), sentence
            assert re.match(r"(must|is|has|may) ", sentence) or error.title in ("Settings", "TokenSettings"), sentence


def test_every_sentence_is_needed() -> None:
    values = [*wrong_bodies(), *wrong_messages(), *wrong_settings()]
    kinds = {each["type"] for model, value in values if (error := errors(model, value)) for each in error.errors()}
    assert SENTENCES.keys() - kinds == set()


def test_a_kind_of_error_that_is_not_listed_is_told_without_its_own_text() -> None:
    class Other(BaseModel):
        at: Any
        date: bytes

    error = errors(Other, {"at": 1, "date": 1})
    assert error is not None
    assert in_a_line(error, whole="data", most=500) == f"date: {OTHERWISE}"


def test_a_price_of_nothing_is_answered_in_our_words() -> None:
    error = errors(bodies.CreateOrderBody, body(price=0))
    assert error is not None
    assert [sentence for _, sentence in found(error)] == ["must be an amount from 0.01 to 999.99 with at most two decimals, such as 3.99"]


def test_settings_are_refused_in_our_words() -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.read({"DATABASE_POOL_SIZE": "many", "STEP_MAX_ATTEMPTS": "0", "KAFKA_SECURITY": "x"})
    assert str(raised.value).split("; ") == [
        "STEP_MAX_ATTEMPTS: must be at least 1",
        "DATABASE_POOL_SIZE: must be a whole number",
        "KAFKA_BROKERS: is missing",
        "KAFKA_SECURITY: must be one of PLAINTEXT, TLS, MSK_IAM",
    ]
