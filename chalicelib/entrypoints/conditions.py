"""Headers that make a request conditional: If-Match and If-None-Match (RFC 9110, section 13), Idempotency-Key.

An order's entity tag is its version, quoted.
"""

import re
from collections.abc import Iterator, Mapping

from chalicelib.errors import BadHeader

# A member of a list of entity tags, which may be empty, and the comma or the end that follows. Nothing in it can backtrack.
MEMBER = re.compile(r'[ \t]*+(?:(W/)?("[\x21\x23-\x7e\x80-\xff]*"))?[ \t]*+(?:,|\Z)')
BARE_KEY = re.compile(r"[!-~]{1,255}")
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
    """The Idempotency-Key, without the quotes of a structured field; None where there is none. Raises BadHeader."""
    text = headers.get("idempotency-key")
    if text is None:
        return None
    key = text.strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    if not BARE_KEY.fullmatch(key):
        raise BadHeader("Idempotency-Key must be 1 to 255 visible ASCII characters, quoted or bare")
    return key


def check_headers(method: str, headers: Mapping[str, str]) -> None:
    """Refuse by BadHeader what the request's method reads and can't be understood."""
    if method == "POST":
        idempotency_key(headers)
    elif method == "PATCH":
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
