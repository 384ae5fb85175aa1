"""Local tokens."""

import json
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest

from infra.stack.devkeys import TokenRequestError, jwks_file, requested_token, token

NOW = datetime.now(UTC).replace(microsecond=0)


def _verified(data_dir: Path, encoded: str) -> dict[str, object]:
    keys = jwt.PyJWKSet.from_json(jwks_file(data_dir).read_text())
    claims: dict[str, object] = jwt.decode(
        encoded, keys[jwt.get_unverified_header(encoded)["kid"]], algorithms=["ES256"], audience="campusg-orders", issuer="campusg-local"
    )
    return claims


def test_a_token_carries_its_claims_and_is_good_for_twelve_hours(tmp_path: Path) -> None:
    claims = _verified(tmp_path, token(tmp_path, ["runner", "admin"], "run_1", NOW))

    assert claims["sub"] == "run_1"
    assert claims["roles"] == ["runner", "admin"]
    assert claims["iat"] == NOW.timestamp()
    assert claims["exp"] == (NOW + timedelta(hours=12)).timestamp()


def test_the_key_is_made_once_and_only_its_public_half_is_in_the_set(tmp_path: Path) -> None:
    first = jwks_file(tmp_path).read_bytes()

    assert jwks_file(tmp_path).read_bytes() == first
    assert "d" not in json.loads(first)["keys"][0]
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("jwt-key.pem", "jwks.json")} == {0o600}


def test_a_lost_key_set_is_made_again_from_the_key(tmp_path: Path) -> None:
    encoded = token(tmp_path, ["customer"], "cust_1", NOW)
    jwks_file(tmp_path).unlink()

    assert _verified(tmp_path, encoded)["sub"] == "cust_1"


def test_many_processes_at_once_on_a_new_folder_agree_on_one_key(tmp_path: Path) -> None:
    data_dir = tmp_path / "new" / "folder"
    environment = {**os.environ, "DATA_DIR": str(data_dir), "ROLE": "customer", "SUB": "c"}
    command = [sys.executable, "-m", "infra.stack", "token"]
    processes = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(6)]

    tokens = [process.communicate(timeout=60)[0].strip() for process in processes]

    assert all(_verified(data_dir, each)["sub"] == "c" for each in tokens)
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700


def test_a_folder_that_exists_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    jwks_file(tmp_path)

    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


@pytest.mark.parametrize("role", ["", "chef", "customer,", "customer runner", "Customer"])
def test_a_wrong_role_is_named(tmp_path: Path, role: str) -> None:
    with pytest.raises(TokenRequestError, match=r"^ROLE "):
        requested_token(tmp_path, role, "cust_1")


@pytest.mark.parametrize("subject", ["", "a b", "x" * 65, "é", "a\n"])
def test_a_wrong_subject_is_named(tmp_path: Path, subject: str) -> None:
    with pytest.raises(TokenRequestError, match=r"^SUB "):
        requested_token(tmp_path, "customer", subject)


def test_several_roles_and_every_character_of_an_id_are_taken(tmp_path: Path) -> None:
    claims = _verified(tmp_path, requested_token(tmp_path, "customer, admin,customer", "aZ09_.:@|-"))

    assert claims["roles"] == ["customer", "admin"]
    assert claims["sub"] == "aZ09_.:@|-"
