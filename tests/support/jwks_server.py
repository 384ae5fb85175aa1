"""An issuer of tokens with keys of its own: a JWKS (RFC 7517) on 127.0.0.1 that can rotate, misbehave and be counted."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ISSUER, AUDIENCE = "https://issuer.example", "orders"
Key = Any


def new_key(algorithm: str) -> Key:
    """A private key for signatures of that kind."""
    if algorithm.startswith("ES"):
        return ec.generate_private_key(ec.SECP384R1() if algorithm == "ES384" else ec.SECP256R1())
    return ed25519.Ed25519PrivateKey.generate() if algorithm == "EdDSA" else rsa.generate_private_key(65537, 2048)


def public_jwk(key: Key, kid: str, algorithm: str) -> dict[str, Any]:
    kinds: dict[type, Any] = {ec.EllipticCurvePrivateKey: ECAlgorithm, rsa.RSAPrivateKey: RSAAlgorithm}
    writer = next((kinds[kind] for kind in kinds if isinstance(key, kind)), OKPAlgorithm)
    return {**writer.to_jwk(key.public_key(), as_dict=True), "kid": kid, "alg": algorithm, "use": "sig"}


def claims(**changes: Any) -> dict[str, Any]:
    """The claims of a good token; None leaves one out."""
    now = datetime.now(UTC)
    good = {"sub": "cust_1", "roles": ["customer"], "iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + timedelta(hours=1)}
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


@dataclass
class Issuer:
    """The server: `keys` are published, `requests` is how often it was asked.

    `answers` is what it sends instead of the set of its keys, `location` where it redirects to.
    """

    url: str = ""
    keys: dict[str, tuple[Key, str]] = field(default_factory=dict)
    answers: tuple[int, bytes] | None = None
    location: str | None = None
    requests: int = 0

    def add(self, kid: str, algorithm: str = "ES256") -> None:
        self.keys[kid] = (new_key(algorithm), algorithm)

    def token(self, kid: str, **changes: Any) -> str:
        """A token signed by one of its keys."""
        key, algorithm = self.keys[kid]
        return jwt.encode(claims(**changes), key, algorithm, headers={"kid": kid})

    def response(self) -> tuple[int, bytes]:
        published = {"keys": [public_jwk(key, kid, algorithm) for kid, (key, algorithm) in self.keys.items()]}
        return self.answers or (200, json.dumps(published).encode())


@contextmanager
def issuing() -> Iterator[Issuer]:
    """An issuer with one key, `key-1`, on a free port."""
    issuer = Issuer()
    issuer.add("key-1")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.requests += 1
            status, body = issuer.response()
            self.send_response(status)
            if issuer.location:
                self.send_header("Location", issuer.location)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """It is quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        issuer.url = f"http://127.0.0.1:{server.server_port}/jwks.json"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield issuer
        server.shutdown()
        thread.join(5)
