"""W3C Trace Context (https://www.w3.org/TR/trace-context/): one trace from a request to all messages and log lines that follow from it.

Every message is a span of its own. Its parent-id is made of the message's id, so a message that is written again has the same one.
"""

import hashlib
import re
from uuid import UUID

# A later version may have more fields behind these, which are not for us; 00 has none, and ff is no version.
TRACEPARENT = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-(?P<parent>(?!0{16})[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
# Sampled, and random trace-id; the others are not defined and must be sent as zero.
KNOWN_FLAGS = 0b11


def traceparent_of(text: str | None) -> str | None:
    """The `traceparent` that a header holds, as version 00 writes it; None where it holds none."""
    found = TRACEPARENT.fullmatch(text or "")
    if found is None or (found["version"] == "00" and found["more"]):
        return None
    return f"00-{found['trace']}-{found['parent']}-{int(found['flags'], 16) & KNOWN_FLAGS:02x}"


def begin_trace(id: UUID) -> str:
    """A `traceparent` for what nobody traced so far, sampled; `id` must be new."""
    return f"00-{id.hex}-{id.hex[16:]}-01"


def trace_id(traceparent: str) -> str:
    """The part of a `traceparent` that all of one trace have in common."""
    return traceparent.split("-")[1]


def span_of(traceparent: str, message_id: str) -> str:
    """The `traceparent` that a message carries: trace and flags as given, its own parent-id."""
    version, trace, _, flags = traceparent.split("-")
    span = hashlib.blake2b(message_id.encode(), digest_size=8).hexdigest()
    return f"{version}-{trace}-{span}-{flags}"
