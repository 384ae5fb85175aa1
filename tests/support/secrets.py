"""What looks like a secret in a text."""

import math
import re
from collections import Counter
from collections.abc import Iterator

SHAPES = {
    "a private key": re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----"),
    "a key of AWS": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a token": re.compile(r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"),
    "a token of a service": re.compile(
        r"\b(?:gh[opsur]_\w{36}|github_pat_\w{22,}|glpat-[\w-]{20}|xox[abprs]-[\w-]{10,}|[rs]k_live_\w{16,}|AIza[\w-]{35}|npm_\w{36}|pypi-AgEI[\w-]{20,})"
    ),
    "a password in an address": re.compile(r"\b[a-z][\w+.-]*://[^\s:/@'\"`{}<>$]+:(?P<secret>[^\s:/@'\"`{}<>$]+)@"),
}
NAMED = re.compile(r"(?i)(?:passw(?:or)?d|secret|token|api_?key|credential)\w*[\"']?\s*[:=]\s*[\"'](?P<secret>[^\"'\s]{12,})[\"']")
# Bits a character of what was drawn at random from base64 or hex digits, of this length; words and names have fewer.
RANDOM_BITS = 3.7


def found_in(text: str) -> Iterator[tuple[str, str]]:
    """What each looks like, and its text."""
    for kind, shape in SHAPES.items():
        for match in shape.finditer(text):
            yield kind, match.groupdict().get("secret") or match[0]
    for match in NAMED.finditer(text):
        if entropy(match["secret"]) > RANDOM_BITS:
            yield "a value that looks drawn at random", match["secret"]


def entropy(text: str) -> float:
    """Bits a character, by how often each occurs."""
    shares = [count / len(text) for count in Counter(text).values()]
    return -sum(share * math.log2(share) for share in shares)
