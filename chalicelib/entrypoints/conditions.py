"""Headers that make a request conditional: If-Match and If-None-Match (RFC 9110, section 13), Idempotency-Key.

An order's entity tag is its version, quoted.
"""

import re
from collections.abc import Iterator, Mapping
from typing import cast

from chalicelib.errors import BadHeader

# A member of a list of entity tags, which may be empty, and the comma or the end that follows. Nothing in it can backtrack.
MEMBER = re.compile(r'[ \t]*+(?:(W/)?("[\x21\x23-\x7e\x80-\xff]*"))?[ \t]*+(?:,|\Z)')
VISIBLE = re.compile(r"[!-~]{1,255}")
# What every reader takes for the same key.
PLAIN_KEY = re.compile(r"[!#-+\--:<-~][!-+\--:<-~]{0,254}")
VERSION = re.compile(r'"([1-9][0-9]{0,8})"')


def not_modified(headers: Mapping[str, str], etag: str) -> bool:
    """Whether If-None-Match names the current tag (weak comparison); one that can't be understood names nothing."""
    text = headers.get("if-none-match", "").strip()
    try:
        return text == "*" or etag in [tag for _, tag in _tags(text)]
    except ValueError:
        return False


def if_match(headers: Mapping[str, str]) -> frozenset[int] | None:
    """The versions that If-Match allows (strong comparison); None for any. Raises BadHeader."""
    text = headers.get("if-match", "*").strip()
    if text == "*":
        return None
    try:
        tags = list(_tags(text))
    except ValueError:
        tags = []
    if not tags:
        raise BadHeader("If-Match must be * or a list of entity tags")
    named = [VERSION.fullmatch(tag) for weak, tag in tags if not weak]
    return frozenset(int(version.group(1)) for version in named if version)


def idempotency_key(headers: Mapping[str, str]) -> str | None:
    """The key in Idempotency-Key; None where there is none. Raises BadHeader, also for several.

    It is an Item of RFC 9651, whose parameters don't make another key. Most clients send a bare key, often a UUID, which is no Item if it
    begins with a digit: a string stands for its text, anything else for itself.
    """
    text = headers.get("idempotency-key")
    if text is None:
        return None
    text = text.strip(" \t")
    key = text if PLAIN_KEY.fullmatch(text) else _item(text)
    if not VISIBLE.fullmatch(key):
        raise BadHeader("Idempotency-Key must be one key of 1 to 255 visible ASCII characters, quoted or bare")
    return key


def _item(text: str) -> str:
    """The text of a string or a bare key, without its parameters; empty where it is neither, or several."""
    # Late, as most keys don't need it.
    import http_sf

    is_string = text.startswith('"')
    bare, _, parameters = text.partition(";")
    # Parameters are the same behind any item: a bare key that is none has them behind one that is.
    item = text if is_string else f"k;{parameters}"
    try:
        value, _ = cast("tuple[object, object]", http_sf.parse(item.encode("ascii"), tltype="item"))
    except (http_sf.StructuredFieldError, UnicodeEncodeError):
        return text if bare and not is_string and "," not in text else ""
    if is_string:
        return str(value)
    return bare if "," not in bare else ""


def check_headers(method: str, headers: Mapping[str, str]) -> None:
    """Refuse by BadHeader what the request's method reads and can't be understood."""
    if method == "POST":
        idempotency_key(headers)
    if method in ("POST", "PATCH"):
        if_match(headers)


def _tags(text: str) -> Iterator[tuple[bool, str]]:
    """The tags of a list, quotes included, and whether each is weak; raises ValueError at what is no tag."""
    place = 0
    while place < len(text):
        member = MEMBER.match(text, place)
        if not member:
            raise ValueError("no entity tag")
        if member.group(2):
            yield bool(member.group(1)), member.group(2)
        place = member.end()
