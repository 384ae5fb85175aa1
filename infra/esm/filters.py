"""Event filtering: which records of a topic reach the function.

The rules are those of the AWS Lambda developer guide ("Control which events Lambda sends to your function", "Filtering events from Amazon
MSK and self-managed Apache Kafka event sources").
"""

from collections.abc import Sequence
from typing import Any, Literal

from .patterns import (
    FieldPattern,
    InvalidPattern,
    ObjectPattern,
    alternatives,
    compile_field,
    compile_object,
    read_json,
)

MAXIMUM_PATTERNS = 10
"""Lambda's quota is 5, which it raises to 10 on request."""
MAXIMUM_PATTERN_LENGTH = 4096


class InvalidFilter(ValueError):
    """A filter pattern that Lambda would refuse; the message names the place in it."""


class Filters:
    """The filters of one mapping: a record passes if any of them lets it.

    A pattern for JSON judges values that are JSON objects or arrays, a pattern for plain text all others. Whatever doesn't fit the kind
    of its pattern passes: the guide says that such a record is filtered by its metadata only, and Kafka has no metadata to filter by.
    So a filter is no guard against malformed values.
    """

    def __init__(self, patterns: Sequence[str], tombstone: Literal["pass", "drop"] = "pass") -> None:
        """Patterns are the texts of `FilterCriteria.Filters[].Pattern`, none for no filtering; raises InvalidFilter.

        `tombstone` says what becomes of a record without value, of which the guide says nothing.
        """
        if len(patterns) > MAXIMUM_PATTERNS:
            raise InvalidFilter(f"FilterCriteria has at most {MAXIMUM_PATTERNS} filters")
        compiled = [each for number, pattern in enumerate(patterns) for each in _compile(pattern, f"Filters[{number}].Pattern")]
        self._tombstone_passes = tombstone == "pass"
        # A filter that asks nothing of the data lets every record pass.
        self._lets_all_pass = len(compiled) == 0 or None in compiled
        self._objects = [pattern for pattern in compiled if isinstance(pattern, ObjectPattern)]
        self._texts = [pattern for pattern in compiled if isinstance(pattern, FieldPattern)]

    def passes(self, value: bytes | None) -> bool:
        """Whether a record with this value reaches the function; never raises."""
        if self._lets_all_pass:
            return True
        if value is None:
            return self._tombstone_passes
        try:
            text = value.decode("utf-8")
        except UnicodeDecodeError:
            return True
        return self._judges(text)

    def _judges(self, text: str) -> bool:
        try:
            document = read_json(text)
        except ValueError:
            document = None
        if isinstance(document, dict | list):
            return bool(self._texts) or any(pattern.matches(document) for pattern in self._objects)
        return bool(self._objects) or any(pattern.holds([text]) for pattern in self._texts)


def _compile(pattern: str, path: str) -> list[FieldPattern | ObjectPattern | None]:
    """What the pattern asks of a record's data, in alternatives; None where it asks nothing."""
    if len(pattern) > MAXIMUM_PATTERN_LENGTH:
        raise InvalidFilter(f"{path}: longer than {MAXIMUM_PATTERN_LENGTH} characters")
    try:
        read = read_json(pattern)
        if isinstance(read, dict) and read.keys() == {"$or"}:
            place = f"{path}.$or"
            return [_compile_data(each, f"{place}[{number}]") for number, each in enumerate(alternatives(read["$or"], place))]
        return [_compile_data(read, path)]
    except InvalidPattern as error:
        raise InvalidFilter(str(error)) from error
    except ValueError as error:
        raise InvalidFilter(f"{path}: no JSON: {error}") from error


def _compile_data(pattern: Any, path: str) -> FieldPattern | ObjectPattern | None:
    if not isinstance(pattern, dict):
        raise InvalidPattern(f"{path}: an object is needed")
    if not pattern.keys() <= {"value"}:
        unknown = ", ".join(sorted(pattern.keys() - {"value"}))
        raise InvalidPattern(f"{path}: only the key value can be filtered by with Kafka, not {unknown}")
    if not pattern:
        return None
    data = pattern["value"]
    return compile_object(data, f"{path}.value") if isinstance(data, dict) else compile_field(data, f"{path}.value")
