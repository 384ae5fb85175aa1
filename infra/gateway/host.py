"""Hosts as RFC 9112, section 3.2 demands them of a request's target and of its Host header."""

import ipaddress
import re
from http import HTTPStatus

from infra.gateway.problems import Problem

# RFC 3986, section 3.2: a name (IPv4 addresses look like one), or an IPv6 address in brackets; then a port. Nothing in it can backtrack.
HOST = re.compile(r"(?:\[([^\]]*+)\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})++)(?::[0-9]*+)?")
LATER_ADDRESS = re.compile(r"[vV][0-9A-Fa-f]++\.[A-Za-z0-9._~!$&'()*+,;=:-]++")


def check_host(value: str) -> None:
    """Raise Problem 400 for anything but a host with an optional port."""
    found = HOST.fullmatch(value)
    if found is None or not (found[1] is None or _is_bracketed_address(found[1])):
        raise Problem(HTTPStatus.BAD_REQUEST, "The Host header or the request's target has no valid host.")


def _is_bracketed_address(text: str) -> bool:
    if LATER_ADDRESS.fullmatch(text):
        return True
    try:
        # A zone (`%eth0`) is no part of a URI's address.
        return "%" not in text and ipaddress.IPv6Address(text) is not None
    except ValueError:
        return False
