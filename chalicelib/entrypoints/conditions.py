"""Conditional requests (RFC 9110, section 13). An order's entity tag is its version, quoted."""

import re
from collections.abc import Mapping

from chalicelib.errors import BadHeader

TAG = re.compile(r'(W/)?"([^"]*)"')


def not_modified(headers: Mapping[str, str], etag: str) -> bool:
    """Whether If-None-Match names the current tag (weak comparison)."""
    known = [tag.strip().removeprefix("W/") for tag in headers.get("if-none-match", "").split(",")]
    return etag in known or "*" in known


def if_match(headers: Mapping[str, str]) -> frozenset[int] | None:
    """The versions that If-Match allows (strong comparison); None for any. Raises BadHeader."""
    text = headers.get("if-match", "").strip()
    if not text or text == "*":
        return None
    versions = set()
    for part in text.split(","):
        tag = TAG.fullmatch(part.strip())
        if not tag:
            raise BadHeader("If-Match must be a list of entity tags")
        if not tag.group(1) and tag.group(2).isascii() and tag.group(2).isdigit() and len(tag.group(2)) < 10:
            versions.add(int(tag.group(2)))
    return frozenset(versions)
