"""schemathesis reads /openapi.json and tries all that it allows and forbids, as each role, against a running stack."""

import json
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from infra.documents.openapi.route import ANYONE
from infra.documents.openapi.routes import ROUTES
from infra.stack import devkeys
from tests.support.api import Api
from tests.support.stack import ROOT, Stack

# The first of each role is who asks; the second must not see what the first has. Admins see everything, so one is enough.
PEOPLE = {"customer": ["cust_1", "cust_2"], "runner": ["run_1", "run_2"], "admin": ["admin_1"]}
SECONDS = 240

# A request can be in order and still meet an order in the wrong state. The tool allows 409 for that by itself, but there is also a tag that
# is no longer current, and a cancellation that is an admin's alone by now and needs a reason. No check is left out.
CONFIG = """
[auth.wfc]
path = {path}
user = {user}
{peers}"""
EXCEPTION = """
[[operations]]
include-name = "{name}"
checks.positive_data_acceptance.expected-statuses = ["2xx", "3xx", "401", "403", "404", "409", "412", {more}"429", "5xx"]
"""
EXCEPTIONS = "".join(
    EXCEPTION.format(name=f"{route.method} {route.path}", more='"422", ' if route.name == "cancelOrder" else "")
    for route in ROUTES
    if "If-Match" in route.parameters
)
# Methods are told apart before anything else of a route; two that no route has stand for all.
ADMIN_ONLY = """
[phases.coverage]
unexpected-methods = ["DELETE", "TRACE"]
"""
# Malformed requests are told apart in the same way for every role, and some routes never look at roles: the admin's run tries all of that,
# the others an example of each route and what follows from it.
OTHERS_ONLY = """
[phases.examples]
fill-missing = true
"""
PHASES = {"admin": "examples,coverage,fuzzing,stateful"}
PUBLIC = [route.path for route in ROUTES if route.who == ANYONE]


@pytest.fixture(scope="module")
def runs(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """One run of the tool for each role, all at the same time, on a stack that has orders in several statuses."""
    on_the_way = ["ACCEPTED", "COLLECTED", "ON_THE_WAY"]
    placed = [place(stack, statuses) for statuses in ([], [], ["ACCEPTED"], ["ACCEPTED"], on_the_way, [*on_the_way, "DELIVERED"])]
    known = {
        "SCHEMATHESIS_ORDERS": " ".join(each["order"]["orderId"] for each in placed),
        "SCHEMATHESIS_SAGAS": " ".join(each["saga"]["sagaId"] for each in placed),
    }
    asked = [run(stack, role, tmp_path_factory.mktemp(role), known) for role in PEOPLE]
    command = [sys.executable, "-m", "tests.support.schemathesis_runs"]
    ended = subprocess.run(command, cwd=ROOT, input=json.dumps(asked), capture_output=True, text=True, check=False, timeout=SECONDS)
    assert ended.returncode == 0, ended.stderr
    return dict(zip(PEOPLE, map(json.loads, ended.stdout.splitlines()), strict=True))


@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("role", PEOPLE)
def test_schemathesis_finds_nothing(runs: Mapping[str, Any], role: str) -> None:
    output = runs[role]["output"]
    assert runs[role]["exit_code"] == 0, output
    assert f"Tested: {len(ROUTES) if role == 'admin' else len(ROUTES) - len(PUBLIC)}\n" in output


def run(stack: Stack, role: str, folder: Path, known: dict[str, str]) -> dict[str, object]:
    """How the tool goes over the document as one role; its seed is fixed, its number of examples small."""
    document, auth, config = folder / "openapi.json", folder / "auth.json", folder / "schemathesis.toml"
    # From a file, as the tool leaves out the route that it loads a document from.
    document.write_text(requests.get(f"{stack.url}/openapi.json", timeout=10).text)
    auth.write_text(json.dumps({"auth": [entry(stack, role, sub) for sub in PEOPLE[role]]}))
    peers = f"peers = {json.dumps(PEOPLE[role])}\n" if len(PEOPLE[role]) > 1 else ""
    settings = CONFIG.format(path=json.dumps(str(auth)), user=json.dumps(PEOPLE[role][0]), peers=peers) + EXCEPTIONS
    config.write_text(settings + (ADMIN_ONLY if role == "admin" else OTHERS_ONLY))
    left_out = [] if role == "admin" else [word for path in PUBLIC for word in ("--exclude-path", path)]
    return {
        "folder": str(folder),
        "arguments": [
            *("--config-file", str(config), "run", str(document), "--url", stack.url, *left_out),
            *("--checks", "all", "--phases", PHASES.get(role, "examples,stateful"), "--max-examples", "3"),
            *("--generation-deterministic", "--continue-on-failure", "--no-color"),
        ],
        "environment": {"SCHEMATHESIS_HOOKS": "tests.support.schemathesis_hooks", "SCHEMATHESIS_ROLE": role, **known},
    }


def place(stack: Stack, statuses: list[str]) -> dict[str, Any]:
    """An order of cust_1 that run_1 takes through these statuses: the order and the saga as they were first answered."""
    placed = Api(stack.url, stack.data_dir, "cust_1").order()
    path, runner = placed.headers["Location"], Api(stack.url, stack.data_dir, "run_1", "runner")
    for status in statuses:
        if status == "ACCEPTED":
            answer = runner.call("POST", f"{path}/accept", {"runnerId": "run_1"}, wait=20)
        else:
            answer = runner.call("PATCH", f"{path}/status", {"status": status})
        assert answer.status == 200, answer.body
    return dict(placed.json())


def entry(stack: Stack, role: str, sub: str) -> dict[str, object]:
    """A person, as the tool's file of identities has it."""
    token = devkeys.token(stack.data_dir, [role], sub, datetime.now(UTC))
    return {"name": sub, "fixedHeaders": [{"name": "Authorization", "value": f"Bearer {token}"}]}
