"""Plain `chalice local`, started by the lines that operations.md has for it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from infra.stack import devkeys
from infra.stack.ports import HOST, accepts, free_port
from tests.support.api import Api
from tests.support.eventually import eventually
from tests.support.servers import KafkaBroker
from tests.support.stack import ROOT

COMMAND = "cd orders_app && ../.venv/bin/chalice local --port 8010"


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Where what it prints is kept."""
    return tmp_path / "output"


@pytest.fixture
def url(fresh_database: str, kafka: KafkaBroker, tmp_path: Path, output: Path) -> Iterator[str]:
    """The address of the service, served with what of `make env` names the parts of a stack."""
    assert COMMAND in (ROOT / "infra/docs/operations.md").read_text()
    port = free_port()
    parts = {
        "DATABASE_URL": fresh_database,
        "KAFKA_BROKERS": kafka.bootstrap,
        "DEV_JWKS_FILE": str(devkeys.jwks_file(tmp_path)),
        "POWERTOOLS_METRICS_DISABLED": "true",
    }
    command = COMMAND.replace("../.venv/bin", str(Path(sys.executable).parent)).replace("8010", str(port))
    with output.open("wb") as file:
        process = subprocess.Popen(
            ["sh", "-c", command],
            cwd=ROOT,
            env=os.environ | parts,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        eventually(lambda: accepts(HOST, port) or process.poll() is not None, within=60, what="an open port")
        yield f"http://{HOST}:{port}"
    finally:
        # Chalice serves from a process that it has started, and starts it again when a file changes.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_an_order_is_placed_and_read_and_only_the_services_own_lines_are_printed(url: str, output: Path, tmp_path: Path) -> None:
    api = Api(url, tmp_path, "cust_1")
    placed = api.order(wait=None)
    assert (placed.status, placed.json()["saga"]["status"]) == (202, "RUNNING"), output.read_text()
    read = api.call("GET", placed.headers["Location"])
    assert (read.status, read.json()) == (200, placed.json()["order"])

    served, *lines = output.read_text().splitlines()
    assert served == f"Serving on {url}"
    own = [json.loads(line) for line in lines if line.startswith("{")]
    assert [line["message"] for line in own] == ["A saga began", "A request was answered", "A request was answered"]
    assert [(line["method"], line["status"]) for line in own if "method" in line] == [("POST", 202), ("GET", 200)]
    others = [line for line in lines if not line.startswith("{")]
    assert all(line.startswith(f"{urlsplit(url).hostname} - - [") for line in others), others
