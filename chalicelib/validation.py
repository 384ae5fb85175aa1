"""What is wrong with a value, in our own words: one sentence for each kind of error that pydantic finds in our models."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

# By pydantic's name of the error; what stands in braces is its context.
SENTENCES: dict[str, str] = {
    "missing": "is missing",
    "extra_forbidden": "is not a known field",
    "model_type": "must be an object",
    "list_type": "must be a list",
    "too_short": "has too few members: there must be at least {min_length}",
    "too_long": "has too many members: there may be at most {max_length}",
    "string_type": "must be text",
    "string_unicode": "must not contain U+0000 or lone surrogates",
    "string_too_short": "is too short: its length must be at least {min_length}",
    "string_too_long": "is too long: its length may be at most {max_length}",
    "string_pattern_mismatch": "must match the pattern {pattern}",
    "enum": "must be one of {expected}",
    "literal_error": "must be one of {expected}",
    "bool_type": "must be true or false",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number of fewer digits",
    "float_parsing": "must be a number",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
}
# For an error that is not listed; a test holds that our models raise none.
OTHERWISE = "is not valid"


def found(error: ValidationError) -> list[tuple[tuple[int | str, ...], str]]:
    """What is wrong, one place and one sentence each. The sentences neither show a value nor name anything of Python's."""
    return [(each["loc"], _sentence(each)) for each in error.errors(include_url=False, include_input=False)]


def _sentence(error: Mapping[str, Any]) -> str:
    context = error.get("ctx", {})
    # A validator of ours has worded it.
    if error["type"] == "value_error":
        return str(context["error"])
    # A limit of a float is one itself: nobody writes 3600.0.
    words = {name: str(value).removesuffix(".0").replace("'", "").replace(" or ", ", ") for name, value in context.items()}
    return SENTENCES.get(error["type"], OTHERWISE).format(**words)


def in_a_line(error: ValidationError, *, whole: str, most: int) -> str:
    """All that is wrong, in one line of at most `most` characters; `whole` names the value where the error is not in one of its fields."""
    return "; ".join(f"{'.'.join(map(str, place)) or whole}: {sentence}" for place, sentence in found(error))[:most]
