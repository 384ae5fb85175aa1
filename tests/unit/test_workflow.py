"""The workflow for GitHub, as far as it can be judged without GitHub: the schema of workflow files, and what the schema can't say."""

import copy
import hashlib
import json
import re
from typing import Any

import jsonschema
import pytest
import yaml

from tests.support.image import ROOT

WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
SCHEMA = ROOT / "tests" / "data" / "github-workflows.json"
MAKEFILE = (ROOT / "Makefile").read_text()


@pytest.fixture(scope="module")
def workflow() -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load(WORKFLOW.read_text())
    # YAML 1.1 takes the key `on` for a truth value; GitHub does not.
    return {"on" if name is True else name: value for name, value in found.items()}


@pytest.fixture(scope="module")
def commands(workflow: dict[Any, Any]) -> str:
    return "\n".join(step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step)


def validator() -> Any:
    return jsonschema.Draft7Validator(json.loads(SCHEMA.read_text()))


def test_the_schema_is_the_one_whose_origin_is_noted() -> None:
    noted = re.search(r"`([0-9a-f]{64})`", SCHEMA.with_suffix(".md").read_text())
    assert noted is not None
    assert hashlib.sha256(SCHEMA.read_bytes()).hexdigest() == noted[1]


def test_the_file_keeps_to_the_schema(workflow: dict[Any, Any]) -> None:
    assert [error.message for error in validator().iter_errors(workflow)] == []


@pytest.mark.parametrize("mistake", [{"runs_on": "ubuntu-24.04"}, {"timeout-minutes": "long"}, {"steps": [{"uses": 1}]}])
def test_the_schema_finds_mistakes(workflow: dict[Any, Any], mistake: dict[str, Any]) -> None:
    wrong = copy.deepcopy(workflow)
    wrong["jobs"]["embedded"] |= mistake
    assert not validator().is_valid(wrong)


def test_it_runs_what_must_hold_by_targets_that_there_are(commands: str) -> None:
    targets = [target for line in re.findall(r"^make (.*)$", commands, re.MULTILINE) for target in line.split()]
    assert {"lint", "test", "infra-check", "test-ground"} <= set(targets)
    for target in targets:
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target


def test_it_may_only_read_and_every_job_ends(workflow: dict[Any, Any]) -> None:
    assert workflow["permissions"] == {"contents": "read"}
    assert all("timeout-minutes" in job and "permissions" not in job for job in workflow["jobs"].values())


def test_the_servers_are_the_oldest_postgresql_that_is_supported_the_newest_and_apache_kafka(workflow: dict[Any, Any]) -> None:
    job = workflow["jobs"]["servers"]
    [service] = job["services"].values()
    assert (service["image"], job["strategy"]["matrix"]["postgres"]) == ("postgres:${{ matrix.postgres }}", ["15", "latest"])
    user, password = service["env"]["POSTGRES_USER"], service["env"]["POSTGRES_PASSWORD"]
    assert job["env"] == {
        "DATABASE_URL": f"postgresql+pg8000://{user}:{password}@127.0.0.1:5432/postgres",
        "KAFKA_BROKERS": "127.0.0.1:9092",
    }
