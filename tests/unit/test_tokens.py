"""Bearer tokens: what is believed, and everything that is not."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from chalice.app import AuthRequest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import ECAlgorithm

from chalicelib.entrypoints import jwks, tokens
from chalicelib.entrypoints.challenges import BEARER, BEARER_REFUSED, CHALLENGE
from chalicelib.settings import TokenSettings
from tests.support.jwks_server import public_jwk

KEY, STRANGER = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
LEEWAY = timedelta(seconds=tokens.LEEWAY_SECONDS)


@pytest.fixture
def settings(tmp_path: Path) -> TokenSettings:
    file = tmp_path / "jwks.json"
    jwk = ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
    file.write_text(json.dumps({"keys": [{**jwk, "kid": "key-1", "alg": "ES256", "use": "sig"}]}))
    return TokenSettings.read({"DEV_JWKS_FILE": str(file)})


def claims(**changes: Any) -> dict[str, Any]:
    """The claims of a good token; None leaves one out."""
    now = datetime.now(UTC)
    good = {
        "sub": "cust_1",
        "roles": ["customer"],
        "iss": "campusg-local",
        "aud": "campusg-orders",
        "iat": now,
        "exp": now + timedelta(hours=1),
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def signed(key: Any = KEY, algorithm: str = "ES256", kid: str | None = "key-1", **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, algorithm=algorithm, headers={"kid": kid} if kid else {})


def by_hand(header: dict[str, Any], sign: Callable[[bytes], bytes]) -> str:
    """A token that no library would make."""
    moment = {name: int(value.timestamp()) if isinstance(value, datetime) else value for name, value in claims().items()}
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, moment)]
    text = b".".join(parts)
    return (text + b"." + base64.urlsafe_b64encode(sign(text)).rstrip(b"=")).decode()


def test_a_good_token_is_believed(settings: TokenSettings) -> None:
    believed = tokens.verify(signed(sub="aZ0_.:@|-", roles=["customer", "runner"]), settings)

    assert (believed["sub"], believed["roles"]) == ("aZ0_.:@|-", ["customer", "runner"])


def test_one_audience_of_several_and_no_role_at_all_are_good_too(settings: TokenSettings) -> None:
    assert tokens.verify(signed(aud=["other", "campusg-orders"], roles=[]), settings)["roles"] == []


def test_clocks_may_differ_a_little(settings: TokenSettings) -> None:
    assert tokens.verify(signed(exp=datetime.now(UTC) - LEEWAY / 2), settings)


BAD_CLAIMS: dict[str, dict[str, Any]] = {
    "expired": {"exp": datetime.now(UTC) - 2 * LEEWAY},
    "not valid yet": {"nbf": datetime.now(UTC) + timedelta(hours=1)},
    "no expiry": {"exp": None},
    "another issuer": {"iss": "somebody-else"},
    "no issuer": {"iss": None},
    "another audience": {"aud": "campusg-users"},
    "no audience": {"aud": None},
    "no subject": {"sub": None},
    "an empty subject": {"sub": ""},
    "a subject with a space": {"sub": "cust 1"},
    "a subject with a line end": {"sub": "cust_1\n"},
    "a long subject": {"sub": "x" * 65},
    "no roles": {"roles": None},
    "roles as text": {"roles": "admin"},
    "roles as an object": {"roles": {"admin": True}},
    "a role that is no text": {"roles": ["customer", 7]},
    "a role that would count as two": {"roles": ["guest,admin"]},
}


@pytest.mark.parametrize("what", BAD_CLAIMS)
def test_a_signed_token_with_bad_claims_is_refused(settings: TokenSettings, what: str) -> None:
    with pytest.raises(jwt.InvalidTokenError):
        tokens.verify(signed(**BAD_CLAIMS[what]), settings)


def public_pem() -> bytes:
    return KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


FORGED: dict[str, Callable[[], str]] = {
    "a stranger's key": lambda: signed(STRANGER),
    "an unknown key id": lambda: signed(kid="key-2"),
    "no key id and a stranger's key": lambda: signed(STRANGER, kid=None),
    "an empty key id": lambda: by_hand({"alg": "ES256", "kid": ""}, lambda _: b"x"),
    "a critical extension": lambda: jwt.encode(claims(), KEY, "ES256", headers={"kid": "key-1", "crit": ["exp2"], "exp2": 1}),
    "no signature": lambda: by_hand({"alg": "none", "typ": "JWT", "kid": "key-1"}, lambda _: b""),
    "no signature, spelled otherwise": lambda: by_hand({"alg": "nOnE", "kid": "key-1"}, lambda _: b""),
    "no algorithm": lambda: by_hand({"typ": "JWT", "kid": "key-1"}, lambda _: b""),
    "the public key as a shared secret": lambda: by_hand(
        {"alg": "HS256", "typ": "JWT", "kid": "key-1"}, lambda text: hmac.new(public_pem(), text, hashlib.sha256).digest()
    ),
    "another algorithm than the key's": lambda: signed(rsa.generate_private_key(65537, 2048), "RS256"),
    "a key that the token brings along": lambda: jwt.encode(
        claims(), STRANGER, "ES256", headers={"jwk": ECAlgorithm.to_jwk(STRANGER.public_key(), as_dict=True)}
    ),
    "a changed payload": lambda: ".".join([signed().split(".")[0], signed(sub="root").split(".")[1], signed().split(".")[2]]),
    "a cut signature": lambda: signed()[:-8],
    "a key id that is no text": lambda: by_hand({"alg": "ES256", "kid": 7}, lambda _: b"x"),
    "two parts": lambda: "a.b",
    "no token at all": lambda: "hello",
    "nothing": lambda: "",
    "other characters": lambda: "ä.ö.ü",
}


@pytest.mark.parametrize("what", FORGED)
def test_a_forged_token_is_refused(settings: TokenSettings, what: str) -> None:
    with pytest.raises(jwt.InvalidTokenError):
        tokens.verify(FORGED[what](), settings)


def test_only_asymmetric_algorithms_are_known() -> None:
    assert {name[:2] for names in jwks.ALGORITHMS.values() for name in names} == {"RS", "PS", "ES", "Ed"}


RSA_KEY = rsa.generate_private_key(65537, 2048)
PRIVATE: dict[str, Any] = {"ec": KEY, "p384": ec.generate_private_key(ec.SECP384R1()), "rsa": RSA_KEY, "ed": Ed25519PrivateKey.generate()}


def member(name: str, **changes: Any) -> dict[str, Any]:
    """A member of a key set; None leaves one of its own members out."""
    key = {"kid": name, "use": "sig", **public_jwk(PRIVATE[name], name, ""), "alg": None, **changes}
    return {word: value for word, value in key.items() if value is not None}


def of_set(tmp_path: Path, *members: Any) -> TokenSettings:
    file = tmp_path / "set.json"
    file.write_text(json.dumps({"keys": members}))
    return TokenSettings.read({"DEV_JWKS_FILE": str(file)})


BELIEVED: dict[str, tuple[str, str, str | None, list[Any]]] = {
    "by a key without an algorithm": ("ec", "ES256", "ec", [member("ec")]),
    "by a key without an id, where the token names none": ("ec", "ES256", None, [member("ec", kid=None)]),
    "by a key of an id, where the token names none": ("ec", "ES256", None, [member("ec")]),
    "by the only key for its algorithm": ("ec", "ES256", None, [member("rsa"), member("ec"), member("p384"), member("ed")]),
    "by the only key for signatures": ("ec", "ES256", None, [member("ec", use="enc", kid="other"), member("ec")]),
    "by another curve": ("p384", "ES384", "p384", [member("ec"), member("p384")]),
    "by Ed25519": ("ed", "EdDSA", "ed", [member("ec"), member("ed")]),
    **{f"by {name}, as the key is RSA": ("rsa", name, "rsa", [member("rsa")]) for name in jwks.RSA},
    "by one of two keys of one id": ("rsa", "RS256", "k", [member("ec", kid="k"), member("rsa", kid="k")]),
    "by a key for two operations": ("ec", "ES256", "ec", [member("ec", use=None, key_ops=["sign", "verify"])]),
    "by a key that was published whole": ("ec", "ES256", "ec", [{**ECAlgorithm.to_jwk(KEY, as_dict=True), "kid": "ec"}]),
}


@pytest.mark.parametrize("what", BELIEVED)
def test_a_token_is_believed(tmp_path: Path, what: str) -> None:
    name, algorithm, kid, members = BELIEVED[what]
    assert tokens.verify(signed(PRIVATE[name], algorithm, kid), of_set(tmp_path, *members))["sub"] == "cust_1"


REFUSED: dict[str, tuple[str, str, str | None, list[Any]]] = {
    "that names no key where two fit": ("ec", "ES256", None, [member("ec"), member("ec", kid="other")]),
    "that names a key which the set has without an id": ("ec", "ES256", "ec", [member("ec", kid=None)]),
    "by another algorithm than its key is for": ("rsa", "PS256", "rsa", [member("rsa", alg="RS256")]),
    "by another algorithm than the only key is for": ("rsa", "PS256", None, [member("rsa", alg="RS256")]),
    "by a key for encryption": ("ec", "ES256", "ec", [member("ec", use="enc"), member("rsa")]),
    "by a key for another operation": ("ec", "ES256", "ec", [member("ec", key_ops=["encrypt"]), member("rsa")]),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_token_is_refused(tmp_path: Path, what: str) -> None:
    name, algorithm, kid, members = REFUSED[what]
    with pytest.raises(jwt.InvalidTokenError):
        tokens.verify(signed(PRIVATE[name], algorithm, kid), of_set(tmp_path, *members))


BROKEN: dict[str, Any] = {
    **{f"{value!r}": value for value in (None, 1, "x", [], {})},
    "symmetric": {"kty": "oct", "k": "c2VjcmV0", "kid": "ec"},
    "a type of tomorrow": {"kty": "AKP", "alg": "ML-DSA-44", "pub": "x", "kid": "ec"},
    "a curve of tomorrow": member("ec", crv="P-999"),
    "another curve than its point's": member("ec", crv="P-384"),
    "no point of the curve": member("ec", x="AAAA"),
    "half a point": member("ec", y=None),
    "a number for a point": member("ec", x=7),
    "a list for a type": member("ec", kty=["EC"]),
    "a list for an algorithm": member("ec", alg=["ES256"]),
    "an algorithm of another type": member("ec", alg="RS256"),
    "a symmetric algorithm": member("ec", alg="HS256"),
    "no algorithm at all": member("ec", alg="none"),
    "a number for an id": member("ec", kid=7),
    "a use that is a list": member("ec", use=["sig"]),
    "operations that are a text": member("ec", key_ops="verify"),
    "an RSA key that is too short": {**public_jwk(rsa.generate_private_key(65537, 1024), "ec", "RS256")},  # noqa: S505 - what is tested
    "an RSA key of nothing": member("rsa", n="", e=""),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_member_that_can_not_be_used_spoils_no_other(tmp_path: Path, what: str) -> None:
    found = of_set(tmp_path, BROKEN[what], member("ec"))
    assert tokens.verify(signed(kid="ec"), found) == tokens.verify(signed(kid=None), found)
    assert len(jwks.read_keys((tmp_path / "set.json").read_bytes())) == 1


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{}", b'{"keys": {}}', b'{"keys": []}', b'{"keys": [{}]}', b"[" * 100_000, b"\xff", b"1" * 5000]
)
def test_what_has_no_key_is_no_set(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"set|JSON|read|nested|UTF-8"):
        jwks.read_keys(text)


@pytest.fixture
def authorized(settings: TokenSettings, monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], dict[str, Any]]:
    """What the authorizer answers to an Authorization header: its caller and the policy's effect."""
    monkeypatch.setattr(tokens, "token_settings", lambda: settings)
    arn = "arn:aws:execute-api:eu-west-1:123456789012:abc/local/GET/api/orders"

    def ask(value: str | None) -> dict[str, Any]:
        request = AuthRequest("TOKEN", value, arn)  # type: ignore[arg-type]
        answer: dict[str, Any] = tokens.authorize(request).to_dict(request)
        return answer

    return ask


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_authorizer_says_who_comes_with_which_roles(authorized: Callable[..., dict[str, Any]], scheme: str) -> None:
    answer = authorized(f"{scheme} {signed(roles=['customer', 'admin'])}")

    assert answer["principalId"] == "cust_1"
    assert answer["context"] == {"roles": "customer,admin"}
    assert answer["policyDocument"]["Statement"][0]["Resource"]


NO_TOKEN = [None, "", "Bearer", "Bearer ", "Bearer   ", "Basic dXNlcjpwdw==", signed(), f"Token {signed()}"]
BAD_TOKEN = ["Bearer hello", f"Bearer {signed()} x", f"Bearer {signed()}, Bearer {signed()}", f"bearer {signed(exp=1)}"]


@pytest.mark.parametrize(("value", "challenge"), [(value, BEARER) for value in NO_TOKEN] + [(value, BEARER_REFUSED) for value in BAD_TOKEN])
def test_the_authorizer_allows_nothing_to_anybody_else(
    authorized: Callable[..., dict[str, Any]], value: str | None, challenge: str
) -> None:
    """RFC 6750, section 3: an error code only where there was a token."""
    answer = authorized(value)

    assert answer["policyDocument"]["Statement"][0]["Resource"] == []
    assert answer["context"] == {CHALLENGE: challenge}
