"""schemathesis reads /openapi.json and tries all that it allows and forbids, as each role, against a running stack."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from chalicelib.entrypoints.openapi.routes import ROUTES
from infra.local import devkeys
from tests.support.stack import ROOT, Stack

# Whoever else has the role must not see what the first one made; admins see all, so there is nothing to check between them.
PEERS = {"customer": ["cust_1", "cust_2"], "runner": ["run_1", "run_2"], "admin": ["admin_1"]}

# A request can be in order and still meet an order that has changed: 412 is to If-Match what 409, which the tool allows by itself, is to a
# status. No check is left out.
CONFIG = """
[auth.wfc]
path = {path}
user = {user}
peers = {peers}

[[operations]]
include-name = "PATCH /api/orders/{{orderId}}/status"
checks.positive_data_acceptance.expected-statuses = ["2xx", "3xx", "401", "403", "404", "409", "412", "429", "5xx"]
"""


@pytest.mark.parametrize("role", PEERS)
def test_schemathesis_finds_nothing(stack: Stack, tmp_path: Path, role: str) -> None:
    (tmp_path / "auth.json").write_text(json.dumps({"auth": [entry(stack, role, sub) for sub in PEERS[role]]}))
    config = CONFIG.format(path=json.dumps(str(tmp_path / "auth.json")), user=json.dumps(PEERS[role][0]), peers=json.dumps(PEERS[role]))
    (tmp_path / "schemathesis.toml").write_text(config)

    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(tmp_path / "schemathesis.toml")),
            *("run", f"{stack.url}/openapi.json", "--checks", "all", "--phases", "examples,coverage,fuzzing,stateful"),
            *("--generation-deterministic", "--max-examples", "8", "--continue-on-failure", "--no-color"),
        ],
        cwd=ROOT,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.support.schemathesis_hooks", "SCHEMATHESIS_ROLE": role},
        stdin=subprocess.DEVNULL,
        text=True,
        capture_output=True,
        check=False,
        timeout=110,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"Tested: {len(ROUTES)}" in done.stdout


def entry(stack: Stack, role: str, sub: str) -> dict[str, object]:
    """A person, as the tool's file of identities has it."""
    token = devkeys.token(stack.data_dir, [role], sub, datetime.now(UTC))
    return {"name": sub, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {token}"}]}
