"""Event patterns: the language of Amazon EventBridge as far as Lambda's event filtering takes it.

Operators are those that the AWS Lambda developer guide lists ("Control which events Lambda sends to your function"); how arrays, absent
fields and `$or` are read is documented with aws/event-ruler, EventBridge's own matcher.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import eq, ge, gt, le, lt
from typing import Any, NamedTuple

DEEPEST = 100
"""Levels of a pattern; no limit of Lambda's, but far from where a pattern of 4096 characters would exhaust the stack."""

LARGEST_NUMBER = Decimal("5e9")

_COMPARISONS: Mapping[str, Callable[[Decimal, Decimal], bool]] = {"=": eq, "<": lt, "<=": le, ">": gt, ">=": ge}


class InvalidPattern(ValueError):
    """A pattern that is not of the language; the message begins with the place in it."""


class Number(NamedTuple):
    """A JSON number as it was written: 300, 300.0 and 3.0e2 are not equal."""

    text: str


Scalar = str | bool | Number | None
Test = Callable[[Scalar], bool]


def read_json(text: str) -> Any:
    """What the JSON text says, its numbers as Number; raises ValueError for what is no JSON, and for nesting without measure."""
    try:
        return json.loads(text, parse_int=Number, parse_float=Number, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


@dataclass(frozen=True)
class FieldPattern:
    """What a field's value has to be: any of the tests holds for any of its values, or it has none where absence will do."""

    tests: tuple[Test, ...]
    absence_will_do: bool

    def holds(self, values: Iterable[Scalar]) -> bool:
        """Whether any test holds for any of these values."""
        return any(test(value) for value in values for test in self.tests)


@dataclass(frozen=True)
class ObjectPattern:
    """What an object has to be: all of its fields fit, and of each `$or` any pattern does."""

    fields: Mapping[str, "FieldPattern | ObjectPattern"]
    choices: tuple[tuple["ObjectPattern", ...], ...]

    def matches(self, document: Any) -> bool:
        """Whether the document (from `read_json`) has all that the pattern asks for."""
        objects = _objects([document])
        return self._matches_any(objects, objects)

    def _matches_any(self, here: Sequence[Mapping[str, Any]], everywhere: Sequence[Mapping[str, Any]]) -> bool:
        """Fields are found in one element of an array; what must be absent is looked for in all of them (`everywhere`)."""
        return any(self._matches(candidate, everywhere) for candidate in here or [{}])

    def _matches(self, candidate: Mapping[str, Any], everywhere: Sequence[Mapping[str, Any]]) -> bool:
        return all(_fits(pattern, name, candidate, everywhere) for name, pattern in self.fields.items()) and all(
            any(pattern._matches(candidate, everywhere) for pattern in choice) for choice in self.choices
        )


def compile_object(pattern: Any, path: str, depth: int = 0) -> ObjectPattern:
    """The pattern of an object; raises InvalidPattern, which names `path` or a place below it. `depth` counts the levels above."""
    if not isinstance(pattern, dict) or not pattern:
        raise InvalidPattern(f"{path}: an object with at least one field is needed")
    if depth > DEEPEST:
        raise InvalidPattern(f"{path[:100]}…: nested too deeply")
    fields: dict[str, FieldPattern | ObjectPattern] = {}
    choices: list[tuple[ObjectPattern, ...]] = []
    for name, rules in pattern.items():
        place = f"{path}.{name}"
        if name == "$or":
            ways = enumerate(alternatives(rules, place))
            choices.append(tuple(compile_object(way, f"{place}[{number}]", depth + 1) for number, way in ways))
        elif isinstance(rules, dict):
            fields[name] = compile_object(rules, place, depth + 1)
        else:
            fields[name] = compile_field(rules, place)
    return ObjectPattern(fields, tuple(choices))


def compile_field(rules: Any, path: str) -> FieldPattern:
    """The pattern of a value, from the list of what it may be; raises InvalidPattern."""
    if not isinstance(rules, list) or not rules:
        raise InvalidPattern(f"{path}: a list with at least one value or operator is needed")
    tests: list[Test] = []
    absence_will_do = False
    for rule in rules:
        if rule == {"exists": False}:
            absence_will_do = True
        else:
            tests.append(_test(rule, path))
    return FieldPattern(tuple(tests), absence_will_do)


def alternatives(rules: Any, path: str) -> list[Any]:
    """The patterns that a `$or` joins; raises InvalidPattern."""
    if not isinstance(rules, list) or len(rules) < 2:
        raise InvalidPattern(f"{path}: a list of at least two patterns is needed")
    return rules


def _fits(pattern: FieldPattern | ObjectPattern, name: str, candidate: Mapping[str, Any], everywhere: Sequence[Mapping[str, Any]]) -> bool:
    others = [each[name] for each in everywhere if name in each]
    own = [candidate[name]] if name in candidate else []
    if isinstance(pattern, ObjectPattern):
        return pattern._matches_any(_objects(own), _objects(others))
    return pattern.holds(_scalars(own)) or (pattern.absence_will_do and not _scalars(others))


def _objects(values: Sequence[Any]) -> list[Mapping[str, Any]]:
    return [value for value in _flat(values) if isinstance(value, dict)]


def _scalars(values: Sequence[Any]) -> list[Scalar]:
    return [value for value in _flat(values) if not isinstance(value, dict)]


def _flat(values: Sequence[Any]) -> list[Any]:
    """The values, with the elements of arrays in their place, at whatever depth."""
    flat: list[Any] = []
    waiting = list(reversed(values))
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting.extend(reversed(value))
        else:
            flat.append(value)
    return flat


def _test(rule: Any, path: str) -> Test:
    if isinstance(rule, list):
        raise InvalidPattern(f"{path}: a list inside a list")
    if not isinstance(rule, dict):
        return lambda value: value == rule
    if len(rule) != 1 or not rule.keys() <= _OPERATORS.keys():
        raise InvalidPattern(f"{path}: an operator is one of {', '.join(_OPERATORS)}, not {', '.join(rule) or 'nothing'}")
    ((operator, operand),) = rule.items()
    return _OPERATORS[operator](operand, f"{path}.{operator}")


def _exists(operand: Any, path: str) -> Test:
    # False is read with the field: it speaks of no value.
    if operand is not True:
        raise InvalidPattern(f"{path}: true or false is needed")
    return lambda _: True


def _prefix(operand: Any, path: str) -> Test:
    start = _text(operand, path)
    return lambda value: isinstance(value, str) and value.startswith(start)


def _suffix(operand: Any, path: str) -> Test:
    end = _text(operand, path)
    return lambda value: isinstance(value, str) and value.endswith(end)


def _equals_ignore_case(operand: Any, path: str) -> Test:
    text = _text(operand, path).lower()
    return lambda value: isinstance(value, str) and value.lower() == text


def _anything_but(operand: Any, path: str) -> Test:
    unwanted = operand if isinstance(operand, list) else [operand]
    if not unwanted or not (all(isinstance(each, str) for each in unwanted) or all(isinstance(each, Number) for each in unwanted)):
        raise InvalidPattern(f"{path}: a text or a number, or a list of either, is needed")
    return lambda value: value not in unwanted


def _numeric(operand: Any, path: str) -> Test:
    wrong = InvalidPattern(f"{path}: a comparison (= < <= > >=) and a number are needed, or > or >=, a number, < or <=, and a larger one")
    if not isinstance(operand, list) or len(operand) not in (2, 4):
        raise wrong
    signs, bounds = operand[::2], [_bound(number) for number in operand[1::2]]
    if not all(isinstance(sign, str) and sign in _COMPARISONS for sign in signs) or None in bounds:
        raise wrong
    limits = [(_COMPARISONS[sign], bound) for sign, bound in zip(signs, bounds, strict=True) if bound is not None]
    if len(signs) == 2 and not (signs[0].startswith(">") and signs[1].startswith("<") and limits[0][1] < limits[1][1]):
        raise wrong

    def holds(value: Scalar) -> bool:
        number = _bound(value)
        return number is not None and all(compare(number, bound) for compare, bound in limits)

    return holds


def _bound(number: Any) -> Decimal | None:
    """The number, if it is one that EventBridge compares."""
    if not isinstance(number, Number):
        return None
    try:
        value = Decimal(number.text)
    except ArithmeticError:
        # An exponent beyond all measure.
        return None
    return value if -LARGEST_NUMBER <= value <= LARGEST_NUMBER else None


def _text(operand: Any, path: str) -> str:
    if not isinstance(operand, str):
        raise InvalidPattern(f"{path}: a text is needed")
    return operand


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


_OPERATORS: Mapping[str, Callable[[Any, str], Test]] = {
    "anything-but": _anything_but,
    "equals-ignore-case": _equals_ignore_case,
    "exists": _exists,
    "numeric": _numeric,
    "prefix": _prefix,
    "suffix": _suffix,
}
