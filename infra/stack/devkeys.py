"""The local issuer of JSON Web Tokens: a key pair in DATA_DIR, and tokens for whoever asks (RFC 7519, RFC 7517)."""

import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from chalicelib.messages.wire import PERSON_ID
from infra.stack.files import folder_locked, make_private_folder, write_atomically

ISSUER = "campusg-local"
AUDIENCE = "campusg-orders"
ALGORITHM = "ES256"
LIFETIME = timedelta(hours=12)
ROLES = ("customer", "runner", "admin")
KEY_FILE = "jwt-key.pem"
JWKS_FILE = "jwks.json"
EXAMPLE = "for example: make -s token ROLE=customer SUB=cust_1"


class TokenRequestError(Exception):
    """The message names the variable that is missing or wrong."""


def jwks_file(data_dir: Path) -> Path:
    """The public half of the key as a JWK set; both halves are made if they are missing.

    Any number of processes may call this at once.
    """
    _private_key(data_dir)
    return data_dir.absolute() / JWKS_FILE


def token(data_dir: Path, roles: Sequence[str], subject: str, now: datetime) -> str:
    """A signed token that is good for 12 hours from `now`."""
    key = _private_key(data_dir)
    claims = {"sub": subject, "roles": list(roles), "iat": now, "exp": now + LIFETIME, "iss": ISSUER, "aud": AUDIENCE}
    return jwt.encode(claims, key, algorithm=ALGORITHM, headers={"kid": _public_jwk(key)["kid"]})


def requested_token(data_dir: Path, role: str, subject: str) -> str:
    """The token for ROLE (one or a comma list) and SUB as they were given; raises TokenRequestError if one doesn't do."""
    roles = [name.strip() for name in role.split(",")]
    if any(name not in ROLES for name in roles):
        raise TokenRequestError(f"ROLE must be {', '.join(ROLES)} or a comma list of them, not {role!r}; {EXAMPLE}")
    if PERSON_ID.fullmatch(subject) is None:
        raise TokenRequestError(f"SUB must be 1 to 64 of A-Z a-z 0-9 _ . : @ | -, not {subject!r}; {EXAMPLE}")
    return token(data_dir, list(dict.fromkeys(roles)), subject, datetime.now(UTC))


def _private_key(data_dir: Path) -> ec.EllipticCurvePrivateKey:
    make_private_folder(data_dir)
    with folder_locked(data_dir):
        pem_file, jwks = data_dir / KEY_FILE, data_dir / JWKS_FILE
        if not pem_file.exists():
            write_atomically(pem_file, _new_pem())
            jwks.unlink(missing_ok=True)
        key = serialization.load_pem_private_key(pem_file.read_bytes(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{pem_file} holds no elliptic curve key")
        if not jwks.exists():
            write_atomically(jwks, json.dumps({"keys": [_public_jwk(key)]}, indent=2).encode() + b"\n")
    return key


def _new_pem() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _public_jwk(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    jwk = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    members = {name: str(jwk[name]) for name in ("crv", "kty", "x", "y")}
    # The thumbprint of RFC 7638: the required members, sorted, without white space.
    thumbprint = hashlib.sha256(json.dumps(members, sort_keys=True, separators=(",", ":")).encode()).digest()
    return {**members, "use": "sig", "alg": ALGORITHM, "kid": urlsafe_b64encode(thumbprint).rstrip(b"=").decode()}
