"""The keys that tokens are verified with: a JSON Web Key Set (RFC 7517), published by the issuer or read from a file in development."""

import http.client
import ssl
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

import jwt

from chalicelib.errors import Unavailable
from chalicelib.messages.envelope import from_json

# Key type and curve -> the algorithms that its keys verify (RFC 7518, section 3.1, RFC 8037). Only asymmetric ones: a symmetric key in a
# set that anybody may read is no secret.
RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
ALGORITHMS: dict[tuple[str, str], tuple[str, ...]] = {
    ("RSA", ""): RSA,
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
    ("OKP", "Ed448"): ("EdDSA",),
}
# What makes a public key; a private one in the set is not read.
PUBLIC_MEMBERS = ("kty", "crv", "x", "y", "n", "e")
LEAST_RSA_BITS = 2048

KEPT_SECONDS, COOLDOWN_SECONDS, PATIENCE_SECONDS = 300, 30, 3
MOST_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Key:
    """A public key, and the algorithms that it may be used with: the one it names, else those of its type (RFC 7517, section 4.4)."""

    key_id: str | None
    algorithms: Sequence[str]
    public: Any


def read_keys(text: bytes) -> list[Key]:
    """The keys of a set that verify signatures; raises ValueError where there is none.

    A member that can't be used (another type or use, something missing) does not count, and spoils no other (RFC 7517, section 5).
    """
    found = from_json(text)
    members = found.get("keys") if isinstance(found, dict) else None
    keys = [key for member in members if isinstance(member, dict) for key in _usable(member)] if isinstance(members, list) else []
    if not keys:
        raise ValueError("no set of keys that verify signatures")
    return keys


def choose(keys: Sequence[Key], key_id: str | None, algorithm: str) -> Key | None:
    """The key that a token names; for one that names none, the only key that fits (RFC 7515, section 4.1.4)."""
    fitting = [key for key in keys if algorithm in key.algorithms and key_id in (None, key.key_id)]
    return fitting[0] if fitting and (key_id is not None or len(fitting) == 1) else None


class Issuer:
    """The keys that an issuer publishes.

    The set is kept for five minutes: so long a key that the issuer has withdrawn is believed. A key that isn't in it has it fetched at
    once, but at most twice a minute, so that made-up key ids don't turn into as many requests to the issuer.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = Lock()
        self._keys: list[Key] = []
        self._fetched_at = 0.0

    def find(self, key_id: str | None, algorithm: str) -> Key | None:
        """The key of a token with this header; raises Unavailable where the set can't be had."""
        with self._lock:
            if not self._is_younger(KEPT_SECONDS):
                self._fetch()
            key = choose(self._keys, key_id, algorithm)
            if key is None and not self._is_younger(COOLDOWN_SECONDS):
                self._fetch()
                key = choose(self._keys, key_id, algorithm)
            return key

    def _is_younger(self, seconds: float) -> bool:
        # By the wall clock, which goes on while the container is frozen.
        return 0 <= time.time() - self._fetched_at < seconds

    def _fetch(self) -> None:
        try:
            with _opener().open(self._url, timeout=PATIENCE_SECONDS) as response:
                text = response.read(MOST_BYTES + 1)
            if len(text) > MOST_BYTES:
                raise ValueError("the set is too large")
            self._keys = read_keys(text)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unavailable("the issuer's keys can't be had just now") from error
        self._fetched_at = time.time()


def _opener() -> urllib.request.OpenerDirector:
    """Opens http and https and nothing else, and follows no redirect: it could lead away from https, or from the issuer."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _usable(member: Mapping[str, Any]) -> Iterator[Key]:
    given = {name: value for name, value in member.items() if value is not None}
    public = {name: value for name, value in given.items() if name in PUBLIC_MEMBERS and isinstance(value, str)}
    key_id, algorithm, operations = given.get("kid"), given.get("alg"), given.get("key_ops", ["verify"])
    allowed = [each for each in ALGORITHMS.get((public.get("kty", ""), public.get("crv", "")), ()) if algorithm in (None, each)]
    for_signatures = given.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
    if not allowed or not for_signatures or not isinstance(key_id, str | None):
        return
    try:
        key = jwt.PyJWK(public, algorithm=allowed[0]).key
    except jwt.PyJWTError:
        return
    if public["kty"] != "RSA" or key.key_size >= LEAST_RSA_BITS:
        yield Key(key_id, allowed, key)
