"""The Idempotency-Key header: read, and turned into a claim; the answer as it is kept for repeats."""

import hashlib

from chalice.app import Response

from chalicelib.entrypoints.conditions import idempotency_key
from chalicelib.entrypoints.http import Request
from chalicelib.operations.once import Claim, Kept
from chalicelib.orders.access import Viewer

KEPT_HEADERS = ("Content-Type", "Location", "ETag", "Preference-Applied")
# How much longer than the wait the final answer may take.
GRACE_SECONDS = 5


def claim_of(request: Request, caller: Viewer, waiting: int | None) -> Claim | None:
    """The caller's claim on this request; None without a key. Raises BadHeader."""
    key = idempotency_key(request.headers)
    if key is None:
        return None
    fingerprint = hashlib.sha256()
    for part in (request.method.encode(), request.path.encode(), request.raw_body):
        fingerprint.update(len(part).to_bytes(8, "big") + part)
    return Claim(caller.sub, key, fingerprint.digest(), 0 if waiting is None else waiting + GRACE_SECONDS)


def kept(answer: Response) -> Kept:
    """What a repeat of the request is answered."""
    return Kept(answer.status_code, str(answer.body), {name: str(answer.headers[name]) for name in KEPT_HEADERS if name in answer.headers})
