"""Headers that make a request conditional: If-Match and If-None-Match (RFC 9110, section 13).

An order's entity tag is its version, quoted; that of a document made of many rows is a hash of it.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from chalice.app import Response

from chalicelib.entrypoints.http import Request, answer
from chalicelib.entrypoints.refusals import BadHeader

# A member of a list of entity tags, which may be empty, and the comma or the end that follows. Nothing in it can backtrack.
MEMBER = re.compile(r'[ \t]*+(?:(W/)?("[\x21\x23-\x7e\x80-\xff]*"))?[ \t]*+(?:,|\Z)')
VERSION = re.compile(r'"([1-9][0-9]{0,8})"')


def not_modified(headers: Mapping[str, str], etag: str) -> bool:
    """Whether If-None-Match names the current tag (weak comparison); one that can't be understood names nothing."""
    text = headers.get("if-none-match", "").strip()
    try:
        return text == "*" or etag in [tag for _, tag in _tags(text)]
    except ValueError:
        return False


def answer_if_changed(request: Request, document: Mapping[str, Any]) -> Response:
    """200 with a document, tagged by its content; 304 where the caller has the same already."""
    etag = f'"{hashlib.sha256(json.dumps(document).encode()).hexdigest()}"'
    if not_modified(request.headers, etag):
        return Response("", {"ETag": etag}, 304)
    return answer(200, document, {"ETag": etag})


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
