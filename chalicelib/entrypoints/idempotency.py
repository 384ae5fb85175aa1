"""Idempotency over HTTP: the Idempotency-Key header turned into a claim, and answers as they are kept and given again."""

import hashlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from chalice.app import Response

from chalicelib.entrypoints.refusals import BadHeader
from chalicelib.operations.once import Claim

if TYPE_CHECKING:
    from chalicelib.entrypoints.http import Request

KEPT_HEADERS = ("Content-Type", "Location", "ETag", "Preference-Applied")
# How much longer than the wait the final answer may take.
GRACE_SECONDS = 5
VISIBLE = re.compile(r"[!-~]{1,255}")
# What every reader takes for the same key.
PLAIN_KEY = re.compile(r"[!#-+\--:<-~][!-+\--:<-~]{0,254}")


def claim_of(request: "Request", sub: str, waiting: int | None) -> Claim | None:
    """The caller's claim on this POST, whose final answer may take `waiting` seconds; None without a key. Raises BadHeader."""
    key = idempotency_key(request.headers) if request.method == "POST" else None
    if key is None:
        return None
    fingerprint = hashlib.sha256()
    for part in (request.method.encode(), request.path.encode(), request.raw_body):
        fingerprint.update(len(part).to_bytes(8, "big") + part)
    return Claim(sub, key, fingerprint.digest(), 0 if waiting is None else waiting + GRACE_SECONDS)


def kept(answer: Response) -> dict[str, Any]:
    """What is kept of an answer for repeats of its request."""
    headers = {name: str(answer.headers[name]) for name in KEPT_HEADERS if name in answer.headers}
    return {"status": answer.status_code, "body": str(answer.body), "headers": headers}


def replayed(answer: Mapping[str, Any]) -> Response:
    """The answer of which this was kept."""
    return Response(answer["body"], {**answer["headers"], "Idempotency-Replayed": "true"}, answer["status"])


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
