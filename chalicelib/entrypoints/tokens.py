"""Who is asking: a bearer JWT, verified against a JWKS. The authorizer only says who; what they may do is decided in the app.

Source: RFC 7519, RFC 8725 (only asymmetric algorithms, issuer and audience checked).
"""

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import jwt
from chalice.app import AuthRequest, AuthResponse

from chalicelib.entrypoints.challenges import BEARER, BEARER_REFUSED, CHALLENGE
from chalicelib.errors import Unavailable
from chalicelib.observability import logger
from chalicelib.runtime import runtime
from chalicelib.settings import Settings

ALGORITHMS = ["ES256", "ES384", "RS256", "RS384", "RS512", "PS256", "EdDSA"]
LEEWAY_SECONDS = 30
SUBJECT = re.compile(r"[A-Za-z0-9_.:@|-]{1,64}")


def authorize(request: AuthRequest) -> AuthResponse:
    """Allow every route to whoever has a valid token; deny all to anybody else, saying which challenge the 401 is to carry.

    Raises Unavailable where the issuer's keys can't be had: not the token's fault, and a denial would be cached. The caller gets a 503 and
    may try again.
    """
    scheme, _, token = (request.token or "").strip().partition(" ")
    if scheme.lower() != "bearer" or not token:
        return _denied(BEARER)
    try:
        claims = verify(token.strip(), runtime().settings)
    except jwt.InvalidTokenError as error:
        logger.info("A token was refused", extra={"reason": type(error).__name__})
        return _denied(BEARER_REFUSED)
    return AuthResponse(routes=["*"], principal_id=claims["sub"], context={"roles": ",".join(claims["roles"])})


def _denied(challenge: str) -> AuthResponse:
    return AuthResponse(routes=[], principal_id="nobody", context={CHALLENGE: challenge})


def verify(token: str, settings: Settings) -> dict[str, Any]:
    """The token's claims, with `sub` a valid id and `roles` a list of strings.

    Raises jwt.InvalidTokenError, and Unavailable where the issuer's keys can't be had.
    """
    claims: dict[str, Any] = jwt.decode(
        token,
        _key(token, settings),
        algorithms=ALGORITHMS,
        audience=settings.jwt_audience,
        issuer=settings.jwt_issuer,
        leeway=LEEWAY_SECONDS,
        options={"require": ["exp", "iss", "aud", "sub"]},
    )
    if not isinstance(claims["sub"], str) or not SUBJECT.fullmatch(claims["sub"]):
        raise jwt.InvalidTokenError("sub is no id")
    roles = claims.get("roles")
    # They travel to the app joined by commas, so a name with a comma in it would count as several.
    if not isinstance(roles, list) or not all(isinstance(role, str) and "," not in role for role in roles):
        raise jwt.InvalidTokenError("roles is no list of names")
    return claims


def _key(token: str, settings: Settings) -> jwt.PyJWK:
    key_id = jwt.get_unverified_header(token).get("kid")
    if settings.jwks_url:
        return _published_key(settings.jwks_url, str(key_id))
    for key in _development_keys(str(settings.dev_jwks_file)).keys:
        if key.key_id == key_id:
            return key
    raise jwt.InvalidTokenError("the token's key is not known")


def _published_key(url: str, key_id: str) -> jwt.PyJWK:
    client = _client(url)
    try:
        # Asked for first, as the client raises the same error for a set that is none as for a key that isn't in it.
        client.get_signing_keys()
    except (jwt.PyJWTError, ValueError) as error:
        raise Unavailable("the issuer's keys can't be had") from error
    try:
        return client.get_signing_key(key_id)
    except jwt.PyJWKClientConnectionError as error:
        raise Unavailable("the issuer's keys can't be had") from error
    except jwt.PyJWKClientError as error:
        raise jwt.InvalidTokenError("the token's key is not known") from error


@lru_cache(maxsize=1)
def _client(url: str) -> jwt.PyJWKClient:
    """Keeps the set for five minutes: so long a key that the issuer has withdrawn is believed. An unknown key has it fetched at once, but
    at most twice a minute, so that made-up key ids don't turn into as many requests to the issuer.
    """
    return jwt.PyJWKClient(url, lifespan=300, cooldown_duration=30, timeout=3)


@lru_cache(maxsize=1)
def _development_keys(path: str) -> jwt.PyJWKSet:
    return jwt.PyJWKSet.from_dict(json.loads(Path(path).read_text()))
