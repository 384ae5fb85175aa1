"""Header fields as RFC 9110, section 5 reads them, out of an event of API Gateway."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

TCHARS = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
QUOTED = r'"(?:[^"\\]|\\.)*+"'
MEDIA_TYPE = re.compile(rf"({TCHARS}/{TCHARS})(?:[ \t]*+;[ \t]*+(?:{TCHARS}=(?:{TCHARS}|{QUOTED}))?)*+[ \t]*+", re.DOTALL)
# A comma inside of quotes separates nothing; quotes that nobody closes reach to the end.
MEMBER = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*+(?:"|\\?\Z))*+', re.DOTALL)


def header_fields(event: Mapping[str, Any]) -> dict[str, str]:
    """Every header of a REST API's event by its name in lower case; of one that comes on several lines, all of them as one list.

    For a header that is no list, that gives a value it can't have, which is refused or ignored like any other such value: whoever takes
    one of several lines may take another than the next reader does. Only `multiValueHeaders` has all lines; it may be absent or null.
    """
    lines: dict[str, list[str]] = {}
    for name, values in (event.get("multiValueHeaders") or {}).items():
        lines.setdefault(name.lower(), []).extend(values or ())
    single = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    return single | {name: ", ".join(values) for name, values in lines.items() if values}


def members(text: str) -> Iterator[str]:
    """The members of a list, which may have quoted strings in them; empty ones are left out."""
    for found in MEMBER.finditer(text):
        member = found.group().strip(" \t")
        if member:
            yield member


def media_type(text: str) -> str | None:
    """The type and subtype that a Content-Type names, in lower case; None where it names none, or several."""
    found = MEDIA_TYPE.fullmatch(text.strip(" \t"))
    return found.group(1).lower() if found else None


def unquoted(word: str) -> str:
    """What a token or a quoted string stands for."""
    return re.sub(r"\\(.)", r"\1", word[1:-1], flags=re.DOTALL) if word.startswith('"') else word
