"""Bearer tokens of an issuer whose keys are fetched: cached, rotated, missing, and never a wrong one believed."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from chalicelib.entrypoints import jwks, tokens
from chalicelib.settings import TokenSettings
from infra.stack.ports import free_port
from tests.integration.conftest import Service
from tests.support import gateway
from tests.support.answers import Answer
from tests.support.edge import ORDERS, Edge
from tests.support.jwks_server import AUDIENCE, ISSUER, Issuer, claims, issuing, new_key

LEEWAY = timedelta(seconds=tokens.LEEWAY_SECONDS)


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with issuing() as issuer:
        yield issuer


@pytest.fixture
def edge(edge: Edge, brokerless: Service, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> Edge:
    """The service as on AWS: its keys come from a URL. The gateway remembers no token, so that each request asks our function."""
    monkeypatch.setattr(brokerless.app.token_auth.config, "ttl_seconds", 0)
    use(monkeypatch, issuer.url)
    return edge


def use(monkeypatch: pytest.MonkeyPatch, jwks_url: str) -> None:
    settings = TokenSettings(jwks_url=jwks_url, jwt_issuer=ISSUER, jwt_audience=AUDIENCE)
    monkeypatch.setattr(tokens, "token_settings", lambda: settings)


def ask(edge: Edge, token: str) -> Answer:
    return gateway.call(edge.port, "GET", ORDERS, headers={"Authorization": f"Bearer {token}"})


def status(edge: Edge, token: str) -> int:
    return ask(edge, token).status


def time_passes(issuer: Issuer, seconds: float) -> None:
    """For what is remembered of the issuer."""
    tokens._issuer(issuer.url)._fetched_at -= seconds


def test_keys_are_fetched_once_for_many_requests(edge: Edge, issuer: Issuer) -> None:
    token = issuer.token("key-1")
    assert status(edge, token) == 200
    with ThreadPoolExecutor(10) as pool:
        assert set(pool.map(lambda _: status(edge, token), range(30))) == {200}
    assert issuer.requests == 1


def test_a_new_key_is_found_and_an_old_one_forgotten(edge: Edge, issuer: Issuer) -> None:
    old = issuer.token("key-1")
    assert status(edge, old) == 200
    issuer.add("key-2")
    time_passes(issuer, 31)
    assert (status(edge, issuer.token("key-2")), issuer.requests) == (200, 2)
    assert status(edge, old) == 200
    del issuer.keys["key-1"]
    time_passes(issuer, 301)
    assert status(edge, old) == 401
    assert status(edge, issuer.token("key-2")) == 200


def test_unknown_keys_are_401_and_do_not_make_us_ask_the_issuer_each_time(edge: Edge, issuer: Issuer) -> None:
    stranger = new_key("ES256")
    unknown = [jwt.encode(claims(), stranger, "ES256", headers={"kid": f"key-{number}"}) for number in range(10, 40)]
    assert {status(edge, token) for token in unknown} == {401}
    assert status(edge, jwt.encode(claims(), stranger, "ES256")) == 401
    assert status(edge, jwt.encode(claims(), new_key("RS256"), "RS256")) == 401
    assert status(edge, issuer.token("key-1")) == 200
    assert issuer.requests <= 2


AWAY: dict[str, tuple[int, bytes]] = {
    "an error": (500, b"oops"),
    "no longer there": (404, b""),
    "moved": (302, b""),
    "a page": (200, b"<html>be right back</html>"),
    "no keys": (200, b'{"keys": []}'),
    "a list": (200, b"[]"),
    "nothing": (200, b""),
    "no text": (200, b"\xff\xfe"),
    "brackets": (200, b"[" * 100_000),
    "a set without end": (200, b'{"keys": [], "x": "' + b"x" * jwks.MOST_BYTES),
}


@pytest.mark.parametrize("answers", AWAY.values(), ids=AWAY)
def test_an_issuer_that_fails_is_our_trouble_and_not_the_tokens(edge: Edge, issuer: Issuer, answers: tuple[int, bytes]) -> None:
    issuer.answers = answers
    problem = ask(edge, issuer.token("key-1"))
    problem.problem(503, "unavailable")
    assert problem.headers["Retry-After"]
    assert issuer.url.encode() not in problem.body
    # What is no token at all needs no key to be refused.
    assert status(edge, "hello") == 401
    issuer.answers = None
    assert status(edge, issuer.token("key-1")) == 200


def test_keys_of_no_use_are_the_issuers_trouble_until_the_set_is_fetched_anew(edge: Edge, issuer: Issuer) -> None:
    issuer.answers = (200, b'{"keys": [{"kty": "oct", "kid": "key-1", "k": "c2VjcmV0", "use": "enc"}]}')
    assert status(edge, issuer.token("key-1")) == 503
    issuer.answers = None
    time_passes(issuer, 301)
    assert status(edge, issuer.token("key-1")) == 200


def test_an_issuer_that_can_not_be_reached_is_our_trouble_too(edge: Edge, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, f"http://127.0.0.1:{free_port()}/jwks.json")
    assert status(edge, issuer.token("key-1")) == 503
    assert gateway.call(edge.port, "GET", "/health").status == 200


def test_a_token_that_names_no_key_finds_the_new_one(edge: Edge, issuer: Issuer) -> None:
    key, algorithm = issuer.keys["key-1"]
    assert status(edge, jwt.encode(claims(), key, algorithm)) == 200
    del issuer.keys["key-1"]
    issuer.add("key-2", "RS256")
    time_passes(issuer, 31)
    assert status(edge, jwt.encode(claims(), issuer.keys["key-2"][0], "PS512")) == 401, "the key is for RS256"
    assert status(edge, jwt.encode(claims(), issuer.keys["key-2"][0], "RS256")) == 200


@pytest.mark.parametrize("scheme", ["http", "https", "file"])
def test_a_redirect_is_not_followed_wherever_it_leads(edge: Edge, issuer: Issuer, scheme: str, tmp_path: Path) -> None:
    with issuing() as elsewhere:
        there = elsewhere.url.replace("http", scheme, 1) if scheme != "file" else (tmp_path / "jwks.json").as_uri()
        (tmp_path / "jwks.json").write_bytes(elsewhere.response()[1])
        issuer.answers, issuer.location = (302, b""), there
        assert status(edge, elsewhere.token("key-1")) >= 500
        assert elsewhere.requests == 0


def test_what_was_fetched_is_good_for_a_while_when_the_issuer_is_away(edge: Edge, issuer: Issuer) -> None:
    assert status(edge, issuer.token("key-1")) == 200
    issuer.answers = (500, b"oops")
    time_passes(issuer, 200)
    assert status(edge, issuer.token("key-1")) == 200


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "RS256", "PS256", "EdDSA"])
def test_asymmetric_signatures_are_believed(edge: Edge, issuer: Issuer, algorithm: str) -> None:
    issuer.add("other", algorithm)
    assert status(edge, issuer.token("other")) == 200


def by_hand(header: bytes, payload: dict[str, Any], sign: Callable[[bytes], bytes]) -> str:
    """A token that no library would make."""
    parts = [base64.urlsafe_b64encode(part).rstrip(b"=") for part in (header, json.dumps(payload).encode())]
    text = b".".join(parts)
    return (text + b"." + base64.urlsafe_b64encode(sign(text)).rstrip(b"=")).decode()


def plain_claims(**changes: Any) -> dict[str, Any]:
    return {name: int(value.timestamp()) if isinstance(value, datetime) else value for name, value in claims(**changes).items()}


def public_pem(issuer: Issuer) -> bytes:
    key, _ = issuer.keys["key-1"]
    pem: bytes = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return pem


def header(**members: Any) -> bytes:
    return json.dumps({"typ": "JWT", "kid": "key-1", **members}).encode()


FORGED: dict[str, Callable[[Issuer], str]] = {
    "alg none": lambda _: by_hand(header(alg="none"), plain_claims(), lambda _: b""),
    "alg NONE": lambda _: by_hand(header(alg="NONE"), plain_claims(), lambda _: b""),
    "the public key as a shared secret": lambda issuer: by_hand(
        header(alg="HS256"), plain_claims(), lambda text: hmac.new(public_pem(issuer), text, hashlib.sha256).digest()
    ),
    "RS256 by a key that is for ES256": lambda _: jwt.encode(claims(), new_key("RS256"), "RS256", headers={"kid": "key-1"}),
    "a stranger's key": lambda _: jwt.encode(claims(), new_key("ES256"), "ES256", headers={"kid": "key-1"}),
    "a key that it brings along": lambda _: jwt.encode(
        claims(), new_key("ES256"), "ES256", headers={"kid": "key-1", "jku": "http://127.0.0.1:1/"}
    ),
    "a header that is no JSON": lambda _: by_hand(b"{", plain_claims(), lambda _: b"x"),
    "a header that is no text": lambda _: by_hand(b"\xff\xfe", plain_claims(), lambda _: b"x"),
    "a header of brackets": lambda _: by_hand(b"[" * 9_000, {}, lambda _: b"x"),
    "a header that is a list": lambda _: by_hand(b"[]", plain_claims(), lambda _: b"x"),
    "an algorithm that is a list": lambda _: by_hand(header(alg=["ES256"]), plain_claims(), lambda _: b"x"),
    "a key id that is an object": lambda _: by_hand(header(alg="ES256", kid={}), plain_claims(), lambda _: b"x"),
    "a key id of half a character": lambda _: by_hand(header(alg="ES256", kid="\ud800"), plain_claims(), lambda _: b"x"),
    "a huge number in the header": lambda _: by_hand(b'{"alg": "ES256", "kid": ' + b"9" * 5_000 + b"}", {}, lambda _: b"x"),
    "another issuer": lambda issuer: issuer.token("key-1", iss="campusg-local"),
    "another audience": lambda issuer: issuer.token("key-1", aud="campusg-orders"),
    "expired": lambda issuer: issuer.token("key-1", exp=datetime.now(UTC) - LEEWAY - timedelta(seconds=2)),
    "not valid yet": lambda issuer: issuer.token("key-1", nbf=datetime.now(UTC) + LEEWAY + timedelta(seconds=10)),
    "issued tomorrow": lambda issuer: issuer.token("key-1", iat=datetime.now(UTC) + timedelta(days=1)),
    "no end": lambda issuer: issuer.token("key-1", exp=None),
    "an end that is no number": lambda issuer: issuer.token("key-1", exp="soon"),
    "an end beyond all numbers": lambda issuer: issuer.token("key-1", exp=float("inf")),
}


@pytest.mark.parametrize("what", FORGED)
def test_what_is_not_to_be_believed_is_401(edge: Edge, issuer: Issuer, what: str) -> None:
    refused = ask(edge, FORGED[what](issuer))
    refused.problem(401, "unauthorized")
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")


def test_clocks_may_differ_by_the_leeway(edge: Edge, issuer: Issuer) -> None:
    now = datetime.now(UTC)
    assert status(edge, issuer.token("key-1", exp=now - LEEWAY / 2)) == 200
    assert status(edge, issuer.token("key-1", nbf=now + LEEWAY / 2)) == 200
