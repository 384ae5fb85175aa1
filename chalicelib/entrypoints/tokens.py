"""Who is asking: a bearer JWT, verified against a JWKS. The authorizer only says who; what they may do is decided in the app.

Source: RFC 7519, RFC 8725 (only asymmetric algorithms, issuer and audience checked).
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

import jwt
from chalice.app import AuthRequest, AuthResponse

from chalicelib.entrypoints.challenges import BEARER, BEARER_REFUSED, CHALLENGE
from chalicelib.entrypoints.jwks import Issuer, Key, choose, read_keys
from chalicelib.messages.wire import PERSON_ID
from chalicelib.observability import logger
from chalicelib.settings import TokenSettings, token_settings

LEEWAY_SECONDS = 30


def authorize(request: AuthRequest) -> AuthResponse:
    """Allow every route to whoever has a valid token; deny all to anybody else, saying which challenge the 401 is to carry.

    Raises Unavailable where the issuer's keys can't be had: not the token's fault, and a denial would be cached. The caller gets a 503 and
    may try again.
    """
    scheme, _, token = (request.token or "").strip().partition(" ")
    if scheme.lower() != "bearer" or not token:
        return _denied(BEARER)
    try:
        claims = verify(token.strip(), token_settings())
    except jwt.InvalidTokenError as error:
        logger.info("A token was refused", extra={"reason": type(error).__name__})
        return _denied(BEARER_REFUSED)
    return AuthResponse(routes=["*"], principal_id=claims["sub"], context={"roles": ",".join(claims["roles"])})


def _denied(challenge: str) -> AuthResponse:
    return AuthResponse(routes=[], principal_id="nobody", context={CHALLENGE: challenge})


def verify(token: str, settings: TokenSettings) -> dict[str, Any]:
    """The token's claims, with `sub` a valid id and `roles` a list of strings.

    Raises jwt.InvalidTokenError, and Unavailable where the issuer's keys can't be had.
    """
    algorithm, key = _key(token, settings)
    claims: dict[str, Any] = jwt.decode(
        token,
        key.public,
        algorithms=[algorithm],
        audience=settings.jwt_audience,
        issuer=settings.jwt_issuer,
        leeway=LEEWAY_SECONDS,
        options={"require": ["exp", "iss", "aud", "sub"]},
    )
    if not isinstance(claims["sub"], str) or not PERSON_ID.fullmatch(claims["sub"]):
        raise jwt.InvalidTokenError("sub is no id")
    roles = claims.get("roles")
    # They travel to the app joined by commas, so a name with a comma in it would count as several.
    if not isinstance(roles, list) or not all(isinstance(role, str) and "," not in role for role in roles):
        raise jwt.InvalidTokenError("roles is no list of names")
    return claims


def _key(token: str, settings: TokenSettings) -> tuple[str, Key]:
    """The algorithm that the token names, and the key that may verify it."""
    header = jwt.get_unverified_header(token)
    key_id, algorithm = header.get("kid"), header.get("alg")
    if not isinstance(algorithm, str):
        raise jwt.InvalidTokenError("the token's algorithm is no name")
    if settings.jwks_url:
        key = _issuer(settings.jwks_url).find(key_id, algorithm)
    else:
        key = choose(_development_keys(str(settings.dev_jwks_file)), key_id, algorithm)
    if key is None:
        raise jwt.InvalidTokenError("the token's key is not known, or not for this algorithm")
    return algorithm, key


@lru_cache(maxsize=1)
def _issuer(url: str) -> Issuer:
    return Issuer(url)


@lru_cache(maxsize=1)
def _development_keys(path: str) -> list[Key]:
    return read_keys(Path(path).read_bytes())
