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

from chalicelib.observability import logger
from chalicelib.runtime import runtime
from chalicelib.settings import Settings

ALGORITHMS = ["ES256", "ES384", "RS256", "RS384", "RS512", "PS256", "EdDSA"]
LEEWAY_SECONDS = 30
SUBJECT = re.compile(r"[A-Za-z0-9_.:@|-]{1,64}")
DENIED = AuthResponse(routes=[], principal_id="nobody")


def authorize(request: AuthRequest) -> AuthResponse:
    """Allow every route to whoever has a valid token; deny all to anybody else."""
    scheme, _, token = (request.token or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        return DENIED
    try:
        claims = verify(token.strip(), runtime().settings)
    except jwt.PyJWKClientConnectionError:
        # Not the token's fault, and a denial would be cached: the caller gets a 500 and may try again.
        raise
    except (jwt.InvalidTokenError, jwt.PyJWKClientError) as error:
        logger.info("A token was refused", extra={"reason": type(error).__name__})
        return DENIED
    return AuthResponse(routes=["*"], principal_id=claims["sub"], context={"roles": ",".join(claims["roles"])})


def verify(token: str, settings: Settings) -> dict[str, Any]:
    """The token's claims, with `sub` a valid id and `roles` a list of strings; raises jwt.InvalidTokenError."""
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
    if settings.jwks_url:
        return _client(settings.jwks_url).get_signing_key_from_jwt(token)
    key_id = jwt.get_unverified_header(token).get("kid")
    for key in _development_keys(str(settings.dev_jwks_file)).keys:
        if key.key_id == key_id:
            return key
    raise jwt.InvalidTokenError("the token's key is not known")


@lru_cache(maxsize=1)
def _client(url: str) -> jwt.PyJWKClient:
    return jwt.PyJWKClient(url, cache_keys=True, lifespan=300, timeout=3)


@lru_cache(maxsize=1)
def _development_keys(path: str) -> jwt.PyJWKSet:
    return jwt.PyJWKSet.from_dict(json.loads(Path(path).read_text()))
