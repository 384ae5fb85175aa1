"""What a change came to, as a diff of JSON documents before and after it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from chalicelib.fields import ANYTHING, TEXT, Field, Table, among

Subject: TypeAlias = Literal["order", "saga", "message"]


@dataclass(frozen=True)
class Difference:
    """One place that differs: `pointer` is a JSON pointer (RFC 6901) into the document of that id; a message is new as a whole."""

    what: Subject
    id: str
    pointer: str
    before: Any
    after: Any


POINTER = "A JSON pointer (RFC 6901) into the order or saga, as HTTP answers show it."
DIFFERENCE = Table(
    "Difference",
    "One place that differs. A saga or a message that begins by it differs as a whole.",
    (
        Field("what", "what", among(*get_args(Subject))),
        Field("id", "id", TEXT),
        Field("pointer", "pointer", TEXT, POINTER),
        Field("from", "before", ANYTHING),
        Field("to", "after", ANYTHING),
    ),
)


def differences(what: Subject, id: str, before: Any, after: Any) -> list[Difference]:
    """Where two documents differ, as deep as both have the same members; `before` is None where there was none."""
    return [Difference(what, id, pointer, old, new) for pointer, old, new in _places("", before, after)]


def _places(pointer: str, before: Any, after: Any) -> Iterator[tuple[str, Any, Any]]:
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict) and before.keys() == after.keys():
        for name in before:
            yield from _places(f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}", before[name], after[name])
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for position, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _places(f"{pointer}/{position}", old, new)
    else:
        yield pointer, before, after
