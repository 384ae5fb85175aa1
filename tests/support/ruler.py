"""The definition of EventBridge's matcher (aws/event-ruler), taken literally and far too slow for use.

A rule names paths. It matches if a value can be chosen for each path so that no two chosen values lie in different elements of one array,
and paths that may be absent are in no part of the document.
"""

import itertools
from collections.abc import Iterator
from typing import Any

Path = tuple[str, ...]
Elements = tuple[tuple[int, int], ...]
"""For each array that a value lies in: which array it is, and the number of the element."""


def ruler_matches(pattern: Any, document: Any) -> bool:
    """Whether the pattern, which has one of the simpler operators, matches the document."""
    return any(_matches(rule, document) for rule in _rules(pattern))


def _rules(pattern: Any, path: Path = ()) -> list[dict[Path, list[list[Any]]]]:
    """A pattern as a list of rules without `$or`, any of which may match."""
    alternatives: list[list[dict[Path, list[list[Any]]]]] = []
    for name, value in pattern.items():
        if name == "$or":
            alternatives.append([rule for way in value for rule in _rules(way, path)])
        elif isinstance(value, dict):
            alternatives.append(_rules(value, (*path, name)))
        else:
            alternatives.append([{(*path, name): [value]}])
    joined = []
    for parts in itertools.product(*alternatives):
        rule: dict[Path, list[list[Any]]] = {}
        for part in parts:
            for place, values in part.items():
                rule.setdefault(place, []).extend(values)
        joined.append(rule)
    return joined


def _fields(value: Any, path: Path = (), elements: Elements = (), count: Iterator[int] | None = None) -> Iterator[Any]:
    """All scalars of a document as (path, scalar, the array elements that they lie in)."""
    count = count or itertools.count()
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _fields(inner, (*path, name), elements, count)
    elif isinstance(value, list):
        array = next(count)
        for number, inner in enumerate(value):
            yield from _fields(inner, path, (*elements, (array, number)), count)
    else:
        yield path, value, elements


def _matches(rule: dict[Path, list[list[Any]]], document: Any) -> bool:
    fields = list(_fields(document))
    choices: list[list[Elements]] = []
    for path, conditions in rule.items():
        for values in conditions:
            there = [(scalar, elements) for place, scalar, elements in fields if place == path]
            fitting = [elements for scalar, elements in there if any(_fits(value, scalar) for value in values)]
            choices.append([*fitting, *([()] if not there and {"exists": False} in values else [])])
    return any(_consistent(chosen) for chosen in itertools.product(*choices))


def _fits(rule: Any, scalar: Any) -> bool:
    match rule:
        case {"prefix": start}:
            return isinstance(scalar, str) and scalar.startswith(start)
        case {"anything-but": unwanted}:
            return scalar not in unwanted
        case {"exists": wanted}:
            return bool(wanted)
    return type(rule) is type(scalar) and bool(rule == scalar)


def _consistent(chosen: tuple[Elements, ...]) -> bool:
    numbers: dict[int, int] = {}
    return all(numbers.setdefault(array, number) == number for elements in chosen for array, number in elements)
