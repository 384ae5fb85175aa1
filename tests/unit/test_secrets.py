"""No secret stands in the project's files: keys, tokens and passwords are made where they are needed, or come from the environment."""

import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.secrets import found_in

ROOT = Path(__file__).parents[2]
# Where git can't say what is part of the project: what isn't.
MADE = {".git", ".venv", ".tools", ".build", ".local", ".hypothesis", ".schemathesis", "deployments", "__pycache__"}

# What looks like one and isn't: why.
HARMLESS = {
    "campusg": "the password of docker-compose.yml, whose servers listen on 127.0.0.1",
    "password": "stands for one in descriptions",
    "secret": "made up by tests of what shows no password",
    "p": "made up by tests",
    "p%40ss": "made up by tests of how an address is read",
    "https://example.com/api/oauth/token": "an address, in the specification of AsyncAPI",
    "arn:aws:secretsmanager:eu-west-1:1:secret:orders-a1b2": "the name of a secret, made up by tests",
}

PLANTED = {
    "a private key": "-----BEGIN EC " + "PRIVATE KEY-----",
    "a key of AWS": "AKIA" + "IOSFODNN7EXAMPLE",
    "a token": ".".join(("eyJ" + "hbGciOiJFUzI1NiJ9", "eyJ" + "zdWIiOiJjdXN0XzEifQ", secrets.token_urlsafe(64))),
    "a token of a service": "ghp" + "_" + secrets.token_hex(18),
    "a password in an address": "postgresql+pg8000://orders" + ":" + "hunter2" + "@db.example/orders",
    "a value that looks drawn at random": "db_password" + ' = "' + "q7Rz9KfT2mWx4LpVb8Yc1NhJ" + '"',
}


def files() -> list[Path]:
    """The project's files: those that git keeps, or, in a copy without git, all but what tools make."""
    if shutil.which("git") and (ROOT / ".git").exists():
        kept = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
        return [ROOT / name for name in kept if (ROOT / name).is_file()]
    return list(walk(ROOT))


def walk(folder: Path) -> Iterator[Path]:
    for each in sorted(folder.iterdir()):
        if each.name in MADE or each.name.endswith("_cache") or each.is_symlink():
            continue
        yield from walk(each) if each.is_dir() else [each]


def test_without_git_the_same_files_are_looked_at() -> None:
    assert {file for file in files() if not file.is_symlink() and "orders_app/chalicelib" not in str(file)} <= set(walk(ROOT))


def test_no_file_has_a_secret_and_every_exception_is_needed() -> None:
    texts = {file: file.read_text(encoding="utf-8", errors="replace") for file in files()}
    found = {(str(file.relative_to(ROOT)), kind, secret) for file, text in texts.items() for kind, secret in found_in(text)}

    assert len(texts) > 500
    assert [each for each in sorted(found) if each[2] not in HARMLESS] == []
    assert {secret for _, _, secret in found} == HARMLESS.keys()


@pytest.mark.parametrize("kind", PLANTED)
def test_a_secret_is_found(kind: str) -> None:
    assert [found for found, _ in found_in(f"before\n{PLANTED[kind]}\nafter")] == [kind]


@pytest.mark.parametrize(
    "text",
    [
        "JWT_KEY_FILE = 'jwt-key.pem'",
        "token = 'The request carries no bearer token.'",
        "-----BEGIN CERTIFICATE-----",
        "https://host:8000/a@b",
    ],
)
def test_what_is_none_is_left_alone(text: str) -> None:
    assert list(found_in(text)) == []
