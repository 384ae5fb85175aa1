"""The Host header as RFC 9112, section 3.2 demands it of every request, whatever server has read it off the connection."""

import ipaddress
import re
from collections.abc import Sequence
from http import HTTPStatus

from infra.gateway.problems import Problem

# RFC 3986, section 3.2: a name (IPv4 addresses look like one), or an IPv6 address in brackets; then a port. Nothing in it can backtrack.
HOST = re.compile(r"(?:\[([^\]]*+)\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})++)(?::[0-9]*+)?")
LATER_ADDRESS = re.compile(r"[vV][0-9A-Fa-f]++\.[A-Za-z0-9._~!$&'()*+,;=:-]++")


def check_host(version: tuple[int, int], lines: Sequence[str]) -> None:
    """Raise Problem 400 where a request of this version of HTTP comes without a Host header, with several, or with one that is no host.

    HTTP/1.0 knows no Host, so there it may be missing. An empty one stands for a target without a host, and is valid.
    """
    if len(lines) > 1:
        raise Problem(HTTPStatus.BAD_REQUEST, "The request has more than one Host header.")
    if not lines and version >= (1, 1):
        raise Problem(HTTPStatus.BAD_REQUEST, "The request has no Host header.")
    if not all(map(_is_host, lines)):
        raise Problem(HTTPStatus.BAD_REQUEST, "The Host header is no host with an optional port.")


def _is_host(value: str) -> bool:
    if not value:
        return True
    found = HOST.fullmatch(value)
    return found is not None and (found[1] is None or _is_bracketed_address(found[1]))


def _is_bracketed_address(text: str) -> bool:
    if LATER_ADDRESS.fullmatch(text):
        return True
    try:
        # A zone (`%eth0`) is no part of a URI's address.
        return "%" not in text and ipaddress.IPv6Address(text) is not None
    except ValueError:
        return False
